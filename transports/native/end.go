package native

import (
	"context"
	"errors"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// A closing ends a conversation with a code of its own and without a bye: the
// client did what it must not.
type closing struct {
	code   int
	reason string
}

func (c closing) Error() string { return "closed: " + c.reason }

// codes of the reasons; of those that are not here it is CodeRotate: come back,
// perhaps elsewhere.
var codes = map[transports.Reason]int{
	transports.Drain:      CodeGoingAway,
	transports.Expired:    CodeUnauthenticated,
	transports.Revoked:    CodeUnauthenticated,
	transports.Superseded: CodeSuperseded,
}

// end tells the client why it is over, unless that has been told, and closes.
func (c *Conversation) end(e *encoder, err error) {
	var bad closing
	switch {
	case errors.As(err, &bad):
		c.conn.Close(bad.code, bad.reason)
	case e.failed || errors.Is(err, context.Canceled):
		c.conn.Close(CodeGoingAway, "") // nobody is there to hear more
	default:
		reason := reasonOf(err)
		if !e.over {
			e.Bye(reason, c.o.Limits.RetryHint())
			_ = e.Flush() // the close comes either way
		}
		code, ok := codes[reason]
		if !ok {
			code = CodeRotate
		}
		c.conn.Close(code, string(reason))
	}
	c.why = err
	close(c.done)
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
