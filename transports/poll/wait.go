package poll

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"tocsin/transports"
)

// wait takes the connection and answers when there is something to tell; where
// the connection cannot be had, as over HTTP/2, it waits here.
func (q *question) wait(w http.ResponseWriter, r *http.Request, s transports.Session, ask transports.Ask,
	empty transports.Page, opened func(func(error)), closed func(error)) error {
	type result struct {
		answer
		err error
	}
	done := make(chan result, 1)
	deliver := func(a answer, err error) { done <- result{a, err} }
	var k *kept
	held := q.o.Pump.Hold(s, ask, empty, func(p transports.Page, err error) {
		var a answer
		if err == nil {
			a = q.answer(&p)
		}
		closed(err)
		deliver(a, err)
	})
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err == nil {
		k = &kept{conn: transports.Unwrap(conn), next: q.o.Next, gone: held.End, written: make(chan struct{})}
		if n := buffered.Reader.Buffered(); n > 0 {
			k.read, _ = buffered.Reader.Peek(n)
			k.read = bytes.Clone(k.read)
		}
		k.wire = transports.NewWire(k.conn, q.o.Limits.WriteTimeout)
		k.prepare(w.Header(), r)
		o := q.o
		deliver = func(a answer, err error) {
			if err != nil {
				a.status, a.header, a.body = o.Problem(err)
			}
			k.answer(a)
		}
		opened(held.End)
		held.Start()
		// Ends when the client is gone, or when its next request begins.
		go k.watch()
		return nil
	}
	opened(held.End)
	stop := context.AfterFunc(r.Context(), func() { held.End(context.Cause(r.Context())) })
	defer stop()
	held.Start()
	answered := <-done
	if answered.err == nil {
		answered.write(w)
	}
	return answered.err
}

// A kept is the connection of a poll that waits.
type kept struct {
	conn net.Conn
	wire *transports.Wire
	next func(net.Conn, []byte) // nil: the connection ends with the answer
	gone func(cause error)
	head []byte // the lines of the header that every answer has

	answered atomic.Bool
	failed   bool          // the answer could not be written
	written  chan struct{} // closed when the answer is out, or cannot be
	read     []byte        // of the next request
}

// prepare keeps of the request what its answer needs.
func (k *kept) prepare(h http.Header, r *http.Request) {
	// What is left of a body would be taken for the next request, which a proxy in
	// front may have sent for somebody else.
	if !r.ProtoAtLeast(1, 1) || r.Close || r.ContentLength != 0 {
		k.next = nil
	}
	if k.next == nil {
		h.Set("Connection", "close")
	}
	var b bytes.Buffer
	_ = h.Write(&b) // to memory
	k.head = bytes.Clone(b.Bytes())
}

// answer writes the answer, without waiting.
func (k *kept) answer(a answer) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\n", a.status, http.StatusText(a.status), time.Now().UTC().Format(http.TimeFormat))
	b.Write(k.head)
	_ = a.header.Write(&b)
	b.WriteString("\r\n")
	b.Write(a.body)
	done, err := k.wire.Try(b.Bytes())
	if !done && err == nil {
		go func() { // ends when the client has taken it, or has had its time
			k.out(a, k.wire.Settle())
		}()
		return
	}
	k.out(a, err)
}

// out ends the waiting for the client's next byte. Once written is closed the
// connection may be another's: its next request can be there already.
func (k *kept) out(a answer, err error) {
	if err == nil {
		a.arrived()
	}
	k.failed = err != nil
	k.answered.Store(true)
	_ = k.conn.SetReadDeadline(time.Unix(1, 0))
	close(k.written)
}

// watch hears whether the client is still there while its poll waits.
func (k *kept) watch() {
	if len(k.read) == 0 {
		b := make([]byte, 1)
		n, err := k.conn.Read(b)
		k.read = b[:n]
		if err != nil && !k.answered.Load() {
			k.gone(context.Canceled)
		}
	}
	<-k.written
	if k.failed || k.next == nil {
		_ = k.conn.Close()
		return
	}
	if err := k.conn.SetReadDeadline(time.Time{}); err != nil {
		_ = k.conn.Close()
		return
	}
	k.next(k.conn, k.read)
}
