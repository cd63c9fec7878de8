package transports

import "fmt"

// Frames are the messages that an encoder has collected for one client, each of
// which is a message of its own. Conn is required; the zero value of the rest is
// ready. It belongs to one goroutine.
type Frames struct {
	Conn Conn
	Buffer
	ends []int // where each ends
	sent int   // how many have been given to the connection
}

// Open begins a message; append its text to B, and call Close.
func (f *Frames) Open() {
	f.Hold()
	for range f.Conn.Headroom() {
		f.B = append(f.B, 0)
	}
}

// Close ends the message.
func (f *Frames) Close() { f.ends = append(f.ends, len(f.B)) }

// Flush sends what was collected, each message when the one before it has left; done
// is false where the client's side does not take it at once, and Settle comes next.
func (f *Frames) Flush() (done bool, err error) {
	for f.sent < len(f.ends) {
		from := 0
		if f.sent > 0 {
			from = f.ends[f.sent-1]
		}
		done, err := f.Conn.Try(f.B[from:f.ends[f.sent]])
		if err != nil {
			return false, f.fail(err)
		}
		if f.sent++; !done {
			return false, nil
		}
	}
	f.ends, f.sent = f.ends[:0], 0
	f.Release()
	return true, nil
}

// Settle waits until the client's side has taken all of it.
func (f *Frames) Settle() error {
	for {
		if err := f.Conn.Settle(); err != nil {
			return f.fail(err)
		}
		if done, err := f.Flush(); done || err != nil {
			return err
		}
	}
}

func (f *Frames) fail(err error) error {
	f.Release()
	return fmt.Errorf("send a frame: %w", err)
}
