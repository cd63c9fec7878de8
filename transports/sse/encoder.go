package sse

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes one stream. Lines end in LF only.
type encoder struct {
	w       http.ResponseWriter
	rc      *http.ResponseController
	timeout time.Duration
	retry   time.Duration
	pad     int

	// taken is called with the connection once the stream begins, or with nil
	// where it cannot be had. Nil afterwards: a stream that lasts keeps nothing for it.
	taken func(net.Conn)

	begun             bool             // the headers are out
	wire              *transports.Wire // nil where the stream goes through w
	transports.Buffer                  // what is collected
}

var _ transports.Encoder = (*encoder)(nil)

// Hello puts the padding, the time to reconnect and the hello into one block: a
// block that only has a retry is an empty event to some clients.
func (e *encoder) Hello(h transports.Hello) {
	e.Hold()
	if e.pad > 0 {
		e.B = append(e.B, ':')
		for range e.pad {
			e.B = append(e.B, ' ')
		}
		e.B = append(e.B, '\n')
	}
	e.B = append(e.B, "retry: "...)
	e.B = strconv.AppendInt(e.B, e.retry.Milliseconds(), 10)
	e.B = append(e.B, '\n')
	e.event("hello")
	if !h.Gap {
		// With a gap the client keeps its old id until it has heard of the gap.
		e.id(h.Cursor)
	}
	from := e.data()
	e.B = append(e.B, `{"v":1,"cursor":`...)
	e.B = inbox.AppendString(e.B, h.Cursor)
	e.B = append(e.B, `,"resumed":`...)
	e.B = strconv.AppendBool(e.B, h.Resumed)
	e.B = append(e.B, `,"ping":`...)
	e.B = strconv.AppendFloat(e.B, h.Ping.Seconds(), 'f', -1, 64)
	e.B = append(e.B, ',')
	e.B = h.Counts.AppendJSON(e.B)
	e.B = append(e.B, '}')
	e.end(from)
}

// Part writes the gap, the entries as unnamed events and, where they changed,
// the counters.
func (e *encoder) Part(p transports.Part) {
	e.Hold()
	if p.Gap != nil && p.From == 0 {
		e.event("gap")
		if len(p.Items) == 0 {
			e.id(p.Cursor) // nothing follows, so this is all of the repair
		}
		from := e.data()
		e.B = p.Gap.AppendJSON(e.B)
		e.end(from)
	}
	for i := p.From; i < p.To; i++ {
		e.B = append(e.B, "id: "...)
		e.B = p.AppendCursor(e.B, i)
		e.B = append(e.B, '\n')
		from := e.data()
		e.B = p.Items[i].AppendJSON(e.B)
		e.end(from)
	}
	if p.Changed {
		e.event("counts")
		from := e.data()
		e.B = append(e.B, '{')
		e.B = p.Counts.AppendJSON(e.B)
		e.B = append(e.B, '}')
		e.end(from)
	}
}

// Ping is an event, not a comment: page code must see it.
func (e *encoder) Ping(cursor string, stale bool) {
	e.Hold()
	e.event("ping")
	e.id(cursor)
	from := e.data()
	if stale {
		e.B = append(e.B, `{"stale":true}`...)
	} else {
		e.B = append(e.B, "{}"...)
	}
	e.end(from)
}

func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.Hold()
	e.event("bye")
	from := e.data()
	e.B = append(e.B, `{"reason":`...)
	e.B = inbox.AppendString(e.B, string(reason))
	e.B = append(e.B, `,"retry_ms":`...)
	e.B = strconv.AppendInt(e.B, retry.Milliseconds(), 10)
	e.B = append(e.B, '}')
	e.end(from)
}

func (e *encoder) event(name string) {
	e.B = append(e.B, "event: "...)
	e.B = append(e.B, name...)
	e.B = append(e.B, '\n')
}

func (e *encoder) id(cursor string) {
	e.B = append(e.B, "id: "...)
	e.B = append(e.B, cursor...)
	e.B = append(e.B, '\n')
}

// data begins the payload, and returns where it does.
func (e *encoder) data() int {
	e.B = append(e.B, "data: "...)
	return len(e.B)
}

// end closes the event whose payload stands from there on. Our JSON has no line
// breaks, but a body from elsewhere must not be able to begin an event.
func (e *encoder) end(from int) {
	payload := e.B[from:]
	if bytes.IndexByte(payload, '\n') >= 0 || bytes.IndexByte(payload, '\r') >= 0 {
		e.B = appendLines(e.B[:from], bytes.Clone(payload))
	}
	e.B = append(e.B, '\n', '\n')
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

// Flush implements transports.Encoder.
func (e *encoder) Flush() (done bool, err error) {
	if !e.Held() {
		return true, nil
	}
	if !e.begun {
		if err := e.begin(); err != nil {
			return false, err
		}
	}
	if len(e.B) == 0 {
		e.Release()
		return true, nil
	}
	if e.wire == nil {
		return false, nil
	}
	if done, err = e.wire.Try(e.B); done || err != nil {
		e.Release()
	}
	return done, err
}

// Settle implements transports.Encoder.
func (e *encoder) Settle() error {
	defer e.Release()
	if e.wire != nil {
		return e.wire.Settle()
	}
	if err := e.rc.SetWriteDeadline(time.Now().Add(e.timeout)); err != nil {
		return fmt.Errorf("bound the writing: %w", err)
	}
	if _, err := e.w.Write(e.B); err != nil {
		return fmt.Errorf("write events: %w", err)
	}
	if err := e.rc.Flush(); err != nil {
		return fmt.Errorf("flush events: %w", err)
	}
	// Over HTTP/2 a deadline ends the stream when it is over, though nothing is being
	// written.
	if err := e.rc.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("unbound the writing: %w", err)
	}
	return nil
}

// sendBuffer is the kernel's share of what one client has not read yet, in bytes.
// It would grow to megabytes, for those who read slowest.
const sendBuffer = 128 << 10

// begin takes the connection, so that a silent stream keeps neither the request
// nor its goroutine; where it cannot be had, as over HTTP/2, the stream goes
// through the response.
func (e *encoder) begin() error {
	e.begun = true
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache, no-transform")
	h.Set("X-Accel-Buffering", "no")
	conn, _, err := e.rc.Hijack()
	if err != nil {
		e.w.WriteHeader(http.StatusOK)
		e.handOver(nil)
		return nil //nolint:nilerr // then it goes this way
	}
	if tcp, ok := transports.Unwrap(conn).(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	h.Set("Connection", "close")
	if h.Get("Date") == "" {
		h.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	}
	head := bytes.NewBufferString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(head) // to memory
	head.WriteString("\r\n")
	e.B = slices.Insert(e.B, 0, head.Bytes()...)
	e.wire = transports.NewWire(conn, e.timeout)
	e.w, e.rc = nil, nil
	e.handOver(conn)
	return nil
}

func (e *encoder) handOver(conn net.Conn) {
	e.taken(conn)
	e.taken = nil
}
