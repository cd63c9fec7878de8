package native

import (
	"fmt"
	"strconv"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes one client's frames: one for the entries of a flush, however
// many they are.
type encoder struct {
	conn   transports.Conn
	limits *transports.Limits

	transports.Buffer        // the frames collected
	ends              []int  // where each ends
	sent              int    // how many have been given to the connection
	at                string // the cursor after what is collected

	told   string // the cursor that the client has
	greets bool   // hello has been told
	over   bool   // bye has been told
	failed bool   // nothing can be told any more
}

var _ transports.Voice = (*encoder)(nil)

func (e *encoder) open(op string) {
	e.Hold()
	for range e.conn.Headroom() {
		e.B = append(e.B, 0)
	}
	e.B = append(e.B, `{"op":"`...)
	e.B = append(e.B, op...)
	e.B = append(e.B, '"')
}

func (e *encoder) close() {
	e.B = append(e.B, '}')
	e.ends = append(e.ends, len(e.B))
}

func (e *encoder) cursor(cursor string) {
	e.B = append(e.B, `,"cursor":`...)
	e.B = inbox.AppendString(e.B, cursor)
}

func (e *encoder) counts(c *inbox.Counts) {
	e.B = append(e.B, ',')
	e.B = c.AppendJSON(e.B)
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
	e.B = append(e.B, `,"v":1`...)
	e.cursor(h.Cursor)
	e.B = append(e.B, `,"resumed":`...)
	e.B = strconv.AppendBool(e.B, h.Resumed)
	e.B = append(e.B, `,"ping":`...)
	e.B = strconv.AppendFloat(e.B, h.Ping.Seconds(), 'f', -1, 64)
	e.counts(&h.Counts)
	e.close()
}

// Part writes the gap, then the entries with the cursor after them. A gap without
// entries is followed by an empty frame of them, whose cursor ends the repair.
func (e *encoder) Part(p transports.Part) {
	gap := p.Gap != nil && p.From == 0
	if gap {
		e.open("gap")
		e.B = append(e.B, `,"gap":`...)
		e.B = p.Gap.AppendJSON(e.B)
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
	e.B = append(e.B, `,"entries":[`...)
	for i := p.From; i < p.To; i++ {
		if i > p.From {
			e.B = append(e.B, ',')
		}
		e.B = p.Items[i].AppendJSON(e.B)
	}
	e.B = append(e.B, ']')
	e.cursor(e.at)
	e.counts(&p.Counts)
	e.close()
}

// Ping carries the cursor, which rises also by what others got.
func (e *encoder) Ping(cursor string, stale bool) {
	e.at = cursor
	e.open("ping")
	e.cursor(cursor)
	if stale {
		e.B = append(e.B, `,"stale":true`...)
	}
	e.close()
}

func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.over = true
	e.open("bye")
	e.B = append(e.B, `,"reason":`...)
	e.B = inbox.AppendString(e.B, string(reason))
	e.B = append(e.B, `,"retry_ms":`...)
	e.B = strconv.AppendInt(e.B, retry.Milliseconds(), 10)
	e.close()
}

// Flush implements transports.Encoder: each frame goes when the one before it has
// left.
func (e *encoder) Flush() (done bool, err error) {
	for e.sent < len(e.ends) {
		from := 0
		if e.sent > 0 {
			from = e.ends[e.sent-1]
		}
		done, err := e.conn.Try(e.B[from:e.ends[e.sent]])
		if err != nil {
			return false, e.fail(err)
		}
		if e.sent++; !done {
			return false, nil
		}
	}
	if e.at != "" {
		e.told = e.at
	}
	e.ends, e.sent = e.ends[:0], 0
	e.Release()
	return true, nil
}

// Settle implements transports.Encoder.
func (e *encoder) Settle() error {
	for {
		if err := e.conn.Settle(); err != nil {
			return e.fail(err)
		}
		if done, err := e.Flush(); done || err != nil {
			return err
		}
	}
}

func (e *encoder) fail(err error) error {
	e.Release()
	e.failed = true
	return fmt.Errorf("send a frame: %w", err)
}
