package sse

import (
	"context"
	"net"
	"net/http"
	"strconv"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// maxPad bounds the comment that ?pad= asks for, in bytes.
const maxPad = 8 << 10

// Options are what streams are served from.
type Options struct {
	View *inbox.View
	Pump *transports.Pump
	// Limits must have their defaults filled in.
	Limits transports.Limits
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
	// Reached is as in transports.Session.
	Reached func(inbox.Reach)
}

// Serve answers the request with the client's stream. It returns when the stream
// has begun, which then goes on in Options.Pump; where the connection cannot be
// had, when it is over. opened is called with the stream before it begins; and
// if it was, closed with why it is over, once. An error is that of a stream which
// ended before its first byte, and for the caller to answer:
// transports.ErrNoStream, a transports.ParamError, those of transports.Stream.
func Serve(w http.ResponseWriter, r *http.Request, c transports.Client, o Options,
	opened func(*transports.Stream), closed func(error)) error {
	if !r.ProtoAtLeast(1, 1) {
		return transports.ErrNoStream
	}
	start, err := transports.StartOf(r)
	if err != nil {
		return err
	}
	pad, err := padOf(r)
	if err != nil {
		return err
	}
	s, err := transports.Open(o.View, c, start)
	if err != nil {
		return err
	}
	s.Delivered, s.Reached = o.Delivered, o.Reached
	taken, over := make(chan net.Conn, 1), make(chan error, 1)
	e := &encoder{w: w, rc: http.NewResponseController(w), timeout: o.Limits.WriteTimeout,
		retry: o.Limits.RetryHint(), pad: pad, taken: func(conn net.Conn) { taken <- conn }}
	st := o.Pump.Stream(s, e, func(err error) {
		e.Release()
		if e.wire != nil {
			e.wire.Close()
		}
		closed(err)
		over <- err
	})
	opened(st)
	st.Start()
	// The server's context ends with the handler, so it serves until then.
	stop := context.AfterFunc(r.Context(), func() { st.End(context.Cause(r.Context())) })
	defer stop()
	select {
	case err := <-over:
		return err
	case conn := <-taken:
		if conn == nil {
			return <-over
		}
		// Ends with the connection, which the stream closes in the end.
		go watch(conn, st)
		return nil
	}
}

// watch ends the stream when its client is gone. What a client sends after its
// request is nothing to a stream.
func watch(conn net.Conn, st *transports.Stream) {
	var b [64]byte
	for range maxPad {
		if _, err := conn.Read(b[:]); err != nil {
			break
		}
	}
	st.End(context.Canceled)
}

// padOf reads ?pad=.
func padOf(r *http.Request) (int, error) {
	text := r.URL.Query().Get("pad")
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &transports.ParamError{Param: "pad", Detail: "want a number of bytes, at most 8192", Limit: maxPad}
	}
	return min(n, maxPad), nil
}
