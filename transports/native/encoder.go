package native

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// buffers are shared by all conversations: one that is silent holds none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the largest buffer that goes back to the pool, in bytes.
const maxKept = 256 << 10

// An encoder writes one client's frames: one for the entries of a flush, however
// many they are.
type encoder struct {
	conn Conn

	held *[]byte // from the pool, while something is collected
	b    []byte  // the frames collected, in held's memory
	ends []int   // where each ends
	at   string  // the cursor after what is collected

	told   string // the cursor that the client has
	greets bool   // hello has been told
	over   bool   // bye has been told
	failed bool   // nothing can be told any more
}

var _ transports.Encoder = (*encoder)(nil)

func (e *encoder) open(op string) {
	if e.held == nil {
		e.held = buffers.Get().(*[]byte)
		e.b = (*e.held)[:0]
	}
	e.b = append(e.b, `{"op":"`...)
	e.b = append(e.b, op...)
	e.b = append(e.b, '"')
}

func (e *encoder) close() {
	e.b = append(e.b, '}')
	e.ends = append(e.ends, len(e.b))
}

func (e *encoder) cursor(cursor string) {
	e.b = append(e.b, `,"cursor":`...)
	e.b = inbox.AppendString(e.b, cursor)
}

func (e *encoder) counts(c *inbox.Counts) {
	e.b = append(e.b, ',')
	e.b = c.AppendJSON(e.b)
}

// Hello opens the delivery. When it begins anew within a conversation, only the
// counters are news.
func (e *encoder) Hello(h transports.Hello) {
	if e.greets {
		e.open("counts")
		e.counts(&h.Counts)
		e.close()
		return
	}
	e.greets = true
	e.open("hello")
	e.b = append(e.b, `,"v":1`...)
	e.cursor(h.Cursor)
	e.b = append(e.b, `,"resumed":`...)
	e.b = strconv.AppendBool(e.b, h.Resumed)
	e.b = append(e.b, `,"ping":`...)
	e.b = strconv.AppendFloat(e.b, h.Ping.Seconds(), 'f', -1, 64)
	e.counts(&h.Counts)
	e.close()
}

// Part writes the gap, then the entries with the cursor after them. A gap without
// entries is followed by an empty frame of them, whose cursor ends the repair.
func (e *encoder) Part(p transports.Part) {
	gap := p.Gap != nil && p.From == 0
	if gap {
		e.open("gap")
		e.b = append(e.b, `,"gap":`...)
		e.b = p.Gap.AppendJSON(e.b)
		e.close()
	}
	if e.at = p.Cursor; p.To > 0 {
		e.at = p.CursorAt(p.To - 1)
	}
	switch {
	case gap || p.To > p.From:
		e.entries(p)
	case p.Changed:
		e.open("counts")
		e.counts(&p.Counts)
		e.close()
	}
}

func (e *encoder) entries(p transports.Part) {
	e.open("entries")
	e.b = append(e.b, `,"entries":[`...)
	for i := p.From; i < p.To; i++ {
		if i > p.From {
			e.b = append(e.b, ',')
		}
		e.b = p.Items[i].AppendJSON(e.b)
	}
	e.b = append(e.b, ']')
	e.cursor(e.at)
	e.counts(&p.Counts)
	e.close()
}

// Ping carries the cursor, which rises also by what others got.
func (e *encoder) Ping(cursor string) {
	e.at = cursor
	e.open("ping")
	e.cursor(cursor)
	e.close()
}

func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.over = true
	e.open("bye")
	e.b = append(e.b, `,"reason":`...)
	e.b = inbox.AppendString(e.b, string(reason))
	e.b = append(e.b, `,"retry_ms":`...)
	e.b = strconv.AppendInt(e.b, retry.Milliseconds(), 10)
	e.close()
}

// Flush sends the frames, each when the one before it has left.
func (e *encoder) Flush() error {
	from := 0
	for _, end := range e.ends {
		if err := e.conn.Send(e.b[from:end]); err != nil {
			// The carrier may still have the frame, so its memory is not used again.
			e.held, e.b, e.failed = nil, nil, true
			return fmt.Errorf("send a frame: %w", err)
		}
		from = end
	}
	if e.at != "" {
		e.told = e.at
	}
	e.ends = e.ends[:0]
	if e.held != nil {
		if cap(e.b) <= maxKept {
			*e.held = e.b[:0]
			buffers.Put(e.held)
		}
		e.held, e.b = nil, nil
	}
	return nil
}
