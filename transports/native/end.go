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
func (c *Conversation) end(e *encoder, why error) {
	var bad closing
	switch {
	case errors.As(why, &bad):
		c.part(bad.code, bad.reason, why)
	case e.failed || errors.Is(why, context.Canceled):
		c.part(CodeGoingAway, "", why) // nobody is there to hear more
	default:
		reason := reasonOf(why)
		code, ok := codes[reason]
		if !ok {
			code = CodeRotate
		}
		if !e.over {
			e.Bye(reason, c.o.Limits.RetryHint())
			if done, err := e.Flush(); !done && err == nil {
				go func() { // ends when the client has taken it, or has had its time
					_ = e.Settle() // the close comes either way
					c.part(code, string(reason), why)
				}()
				return
			}
		}
		c.part(code, string(reason), why)
	}
}

// part closes the connection behind what was told; why is noted.
func (c *Conversation) part(code int, reason string, why error) {
	c.conn.Close(code, reason)
	c.why = why
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
