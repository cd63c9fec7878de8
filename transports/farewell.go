package transports

import (
	"context"
	"errors"

	"tocsin/server/inbox"
)

// Close codes of docs/protocol.md §6. After all but 4401, 4403 and 4409 the client
// comes back.
const (
	CodeGoingAway       = 1001
	CodeRotate          = 4011
	CodeUnauthenticated = 4401
	CodeForbidden       = 4403
	CodeNoAuth          = 4408
	CodeSuperseded      = 4409
)

// farewells are the codes of reasons; of those that are not here it is CodeRotate:
// come back, perhaps elsewhere.
var farewells = map[Reason]int{
	Drain:      CodeGoingAway,
	Expired:    CodeUnauthenticated,
	Revoked:    CodeUnauthenticated,
	Superseded: CodeSuperseded,
}

// CloseOf is how the end of a dialogue is told by a close alone.
func CloseOf(why error) Closing {
	var c Closing
	var reason Reason
	switch {
	case errors.As(why, &c):
		return c
	case errors.Is(why, ErrNoAuth):
		return Closing{CodeNoAuth, "no authentication in time"}
	case errors.As(why, &reason):
	case errors.Is(why, inbox.ErrStale):
		reason = Stale
	case errors.Is(why, context.Canceled):
		return Closing{CodeGoingAway, ""} // nobody is there to hear more
	default:
		reason = Unavailable
	}
	code, ok := farewells[reason]
	if !ok {
		code = CodeRotate
	}
	return Closing{code, string(reason)}
}

// LastWords sends what was collected, and calls part when the client has it or has had
// its time. It does not wait.
func LastWords(f Flusher, part func()) {
	if done, err := f.Flush(); !done && err == nil {
		go func() { // ends when the client has taken it, or has had its time
			_ = f.Settle() // the close comes either way
			part()
		}()
		return
	}
	part()
}

// Refusing is the Closing of a client who is not let in, for a reason that would
// be answered with the status over HTTP.
func Refusing(status int, reason string) Closing {
	switch {
	case status >= 500:
		return Closing{CodeRotate, reason} // not his fault: he comes back
	case status == 403:
		return Closing{CodeForbidden, reason}
	}
	return Closing{CodeUnauthenticated, reason}
}
