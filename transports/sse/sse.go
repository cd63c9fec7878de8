package sse

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// maxPad bounds the comment that ?pad= asks for, in bytes.
const maxPad = 8 << 10

// Options are what streams are served from.
type Options struct {
	View *inbox.View
	// Limits must have their defaults filled in.
	Limits transports.Limits
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
	// Reached is as in transports.Session.
	Reached func(inbox.Reach)
}

// Serve answers the request with the client's stream, until ctx or the client
// ends it, and says why as transports.Stream does. Errors before the first byte:
// transports.ErrNoStream, a transports.ParamError, those of transports.Stream.
func Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, c transports.Client, o Options) error {
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
	defer s.Reader.Close()
	s.Delivered, s.Reached = o.Delivered, o.Reached
	e := &encoder{w: w, rc: http.NewResponseController(w), timeout: o.Limits.WriteTimeout,
		retry: o.Limits.RetryHint(), pad: pad}
	defer e.Release()
	err = transports.Stream(ctx, s, e, o.Limits)
	// The connection may serve another request, which has a deadline of its own.
	_ = e.rc.SetWriteDeadline(time.Now().Add(o.Limits.WriteTimeout))
	return err
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
