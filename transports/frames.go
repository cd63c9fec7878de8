package transports

import "fmt"

// A Packer is a Conn that takes many messages at once.
type Packer interface {
	// Pack makes of b, whose last message begins at from with Headroom, what goes
	// out, and returns it.
	Pack(b []byte, from int) []byte
	// TryPacked is Try for any number of messages that were packed, one behind the
	// other.
	TryPacked(packed []byte) (done bool, err error)
}

// Frames collects the messages of a Voice that tells each entry in one of its own,
// and sends them: at once where the connection is a Packer, else one after the
// other. It belongs to one goroutine at a time.
type Frames struct {
	Conn Conn
	// At is the cursor after what is collected, Told the one that the client has: once
	// all of that has been taken, it is At.
	At string
	// Failed says that nothing can be told any more.
	Failed bool
	// Taken, unless nil, is called when all that was collected has been taken, which
	// may have been no message at all.
	Taken func(messages bool)
	Buffer
	told string
	from int   // where the message that is being written begins
	ends []int // of the messages, unless they are packed
	sent int   // how many have been given to the connection; packed they are one
}

// Open begins a message, whose text is appended to B.
func (f *Frames) Open() {
	f.Hold()
	f.from = len(f.B)
	for range f.Conn.Headroom() {
		f.B = append(f.B, 0)
	}
}

// Close ends the message.
func (f *Frames) Close() {
	if p, ok := f.Conn.(Packer); ok {
		f.B = p.Pack(f.B, f.from)
		return
	}
	f.ends = append(f.ends, len(f.B))
}

// Flush is an Encoder's. After an error nothing is left.
func (f *Frames) Flush() (done bool, err error) {
	p, packs := f.Conn.(Packer)
	if packs && f.sent == 0 && len(f.B) > 0 {
		f.sent = 1
		if done, err := p.TryPacked(f.B); !done {
			return false, f.failed(err)
		}
	}
	for f.sent < len(f.ends) {
		from := 0
		if f.sent > 0 {
			from = f.ends[f.sent-1]
		}
		f.sent++
		if done, err := f.Conn.Try(f.B[from:f.ends[f.sent-1]]); !done {
			return false, f.failed(err)
		}
	}
	if f.At != "" {
		f.told = f.At
	}
	messages := f.sent > 0
	f.forget()
	if f.Taken != nil {
		f.Taken(messages)
	}
	return true, nil
}

// Told is a Voice's.
func (f *Frames) Told() string { return f.told }

// Reach notes the cursor after a part.
func (f *Frames) Reach(p *Part) {
	if f.At = p.Cursor; p.To > 0 {
		f.At = p.CursorAt(p.To - 1)
	}
}

// Ping is an Encoder's, for those who have no word for it.
func (f *Frames) Ping(cursor string, _ bool) { f.At = cursor }

// Settle is an Encoder's.
func (f *Frames) Settle() error {
	for {
		if err := f.Conn.Settle(); err != nil {
			return f.failed(err)
		}
		if done, err := f.Flush(); done || err != nil {
			return err
		}
	}
}

func (f *Frames) failed(err error) error {
	if err == nil {
		return nil
	}
	f.forget()
	f.Failed = true
	return fmt.Errorf("send a frame: %w", err)
}

func (f *Frames) forget() {
	f.ends, f.sent = f.ends[:0], 0
	f.Release()
}
