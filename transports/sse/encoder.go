package sse

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// buffers are shared by all streams: one that is silent holds none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the largest buffer that goes back to the pool, in bytes.
const maxKept = 256 << 10

// An encoder writes one stream. Lines end in LF only.
type encoder struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	retry   time.Duration
	pad     int

	begun bool    // the headers are out
	held  *[]byte // from the pool, while something is collected
	b     []byte  // what is collected, in held's memory
}

var _ transports.Encoder = (*encoder)(nil)

func (e *encoder) hold() {
	if e.held == nil {
		e.held = buffers.Get().(*[]byte)
		e.b = (*e.held)[:0]
	}
}

func (e *encoder) release() {
	if e.held == nil {
		return
	}
	if cap(e.b) <= maxKept {
		*e.held = e.b[:0]
		buffers.Put(e.held)
	}
	e.held, e.b = nil, nil
}

// Hello puts the padding, the time to reconnect and the hello into one block: a
// block that only has a retry is an empty event to some clients.
func (e *encoder) Hello(h transports.Hello) {
	e.hold()
	if e.pad > 0 {
		e.b = append(e.b, ':')
		for range e.pad {
			e.b = append(e.b, ' ')
		}
		e.b = append(e.b, '\n')
	}
	e.b = append(e.b, "retry: "...)
	e.b = strconv.AppendInt(e.b, e.retry.Milliseconds(), 10)
	e.b = append(e.b, '\n')
	e.event("hello")
	if !h.Gap {
		// With a gap the client keeps its old id until it has heard of the gap.
		e.id(h.Cursor)
	}
	from := e.data()
	e.b = append(e.b, `{"v":1,"cursor":`...)
	e.b = inbox.AppendString(e.b, h.Cursor)
	e.b = append(e.b, `,"resumed":`...)
	e.b = strconv.AppendBool(e.b, h.Resumed)
	e.b = append(e.b, `,"ping":`...)
	e.b = strconv.AppendFloat(e.b, h.Ping.Seconds(), 'f', -1, 64)
	e.b = append(e.b, ',')
	e.b = h.Counts.AppendJSON(e.b)
	e.b = append(e.b, '}')
	e.end(from)
}

// Part writes the gap, the entries as unnamed events and, where they changed,
// the counters.
func (e *encoder) Part(p transports.Part) {
	e.hold()
	if p.Gap != nil && p.From == 0 {
		e.event("gap")
		if len(p.Items) == 0 {
			e.id(p.Cursor) // nothing follows, so this is all of the repair
		}
		from := e.data()
		e.b = p.Gap.AppendJSON(e.b)
		e.end(from)
	}
	for i := p.From; i < p.To; i++ {
		e.b = append(e.b, "id: "...)
		e.b = p.AppendCursor(e.b, i)
		e.b = append(e.b, '\n')
		from := e.data()
		e.b = p.Items[i].AppendJSON(e.b)
		e.end(from)
	}
	if p.Changed {
		e.event("counts")
		from := e.data()
		e.b = append(e.b, '{')
		e.b = p.Counts.AppendJSON(e.b)
		e.b = append(e.b, '}')
		e.end(from)
	}
}

// Ping is an event, not a comment: page code must see it.
func (e *encoder) Ping(cursor string) {
	e.hold()
	e.event("ping")
	e.id(cursor)
	from := e.data()
	e.b = append(e.b, "{}"...)
	e.end(from)
}

func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.hold()
	e.event("bye")
	from := e.data()
	e.b = append(e.b, `{"reason":`...)
	e.b = inbox.AppendString(e.b, string(reason))
	e.b = append(e.b, `,"retry_ms":`...)
	e.b = strconv.AppendInt(e.b, retry.Milliseconds(), 10)
	e.b = append(e.b, '}')
	e.end(from)
}

func (e *encoder) event(name string) {
	e.b = append(e.b, "event: "...)
	e.b = append(e.b, name...)
	e.b = append(e.b, '\n')
}

func (e *encoder) id(cursor string) {
	e.b = append(e.b, "id: "...)
	e.b = append(e.b, cursor...)
	e.b = append(e.b, '\n')
}

// data begins the payload, and returns where it does.
func (e *encoder) data() int {
	e.b = append(e.b, "data: "...)
	return len(e.b)
}

// end closes the event whose payload stands from there on. Our JSON has no line
// breaks, but a body from elsewhere must not be able to begin an event.
func (e *encoder) end(from int) {
	payload := e.b[from:]
	if bytes.IndexByte(payload, '\n') >= 0 || bytes.IndexByte(payload, '\r') >= 0 {
		e.b = appendLines(e.b[:from], bytes.Clone(payload))
	}
	e.b = append(e.b, '\n', '\n')
}

// appendLines writes a payload as lines, the first of which has its field name
// already. CR, LF and CRLF end a line.
func appendLines(b, payload []byte) []byte {
	for {
		i := bytes.IndexAny(payload, "\r\n")
		if i < 0 {
			return append(b, payload...)
		}
		b = append(b, payload[:i]...)
		b = append(b, "\ndata: "...)
		if payload[i] == '\r' && i+1 < len(payload) && payload[i+1] == '\n' {
			i++
		}
		payload = payload[i+1:]
	}
}

// Flush bounds its writing: a client that takes nothing loses its connection,
// not anybody else's time.
func (e *encoder) Flush() error {
	if e.held == nil {
		return nil
	}
	defer e.release()
	if !e.begun {
		e.begun = true
		h := e.w.Header()
		h.Set("Content-Type", "text/event-stream; charset=utf-8")
		h.Set("Cache-Control", "no-cache, no-transform")
		h.Set("X-Accel-Buffering", "no")
		e.w.WriteHeader(http.StatusOK)
	}
	if len(e.b) == 0 {
		return nil
	}
	if err := e.rc.SetWriteDeadline(time.Now().Add(e.timeout)); err != nil {
		return fmt.Errorf("bound the writing: %w", err)
	}
	if _, err := e.w.Write(e.b); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := e.rc.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	return nil
}
