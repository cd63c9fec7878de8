package native

import (
	"context"
	"errors"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// codes of the reasons; of those that are not here it is CodeRotate: come back,
// perhaps elsewhere.
var codes = map[transports.Reason]int{
	transports.Drain:      CodeGoingAway,
	transports.Expired:    CodeUnauthenticated,
	transports.Revoked:    CodeUnauthenticated,
	transports.Superseded: CodeSuperseded,
}

// Told implements transports.Voice.
func (e *encoder) Told() string { return e.told }

// Farewell implements transports.Voice.
func (e *encoder) Farewell(why error, gone func()) {
	part := func(code int, reason string) {
		e.conn.Close(code, reason)
		gone()
	}
	var bad transports.Closing
	switch {
	case errors.As(why, &bad):
		part(bad.Code, bad.Reason)
	case errors.Is(why, transports.ErrNoAuth):
		part(CodeNoAuth, "no auth in time")
	case e.failed || errors.Is(why, context.Canceled):
		part(CodeGoingAway, "") // nobody is there to hear more
	default:
		reason := reasonOf(why)
		code, ok := codes[reason]
		if !ok {
			code = CodeRotate
		}
		if !e.over {
			e.Bye(reason, e.limits.RetryHint())
			transports.LastWords(e, func() { part(code, string(reason)) })
			return
		}
		part(code, string(reason))
	}
}

// reasonOf is the Reason in the error, or the one that its kind amounts to.
func reasonOf(err error) transports.Reason {
	var reason transports.Reason
	switch {
	case errors.As(err, &reason):
		return reason
	case errors.Is(err, inbox.ErrStale):
		return transports.Stale
	}
	return transports.Unavailable
}
