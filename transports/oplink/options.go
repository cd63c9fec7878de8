package oplink

import (
	"context"

	"tocsin/transports"
)

// Channel is the one that can be subscribed to: the user's own inbox.
const Channel = "@user"

// Close codes besides those of a transports.Closing: one of RFC 6455, and one of
// docs/protocol.md §6.
const (
	codeNotJSON  = 1007
	codeSlowDown = 4429
)

// Codes of errors.
const (
	errorNotAuth     = 1 // say who you are, first or otherwise
	errorOperation   = 2 // there is no such operation or channel
	errorUnavailable = 3 // not now: come back
)

// Options are what conversations are made of. View, Pump and Authenticate are
// required.
type Options struct {
	transports.DialogueOptions
	// Authenticate says who a token speaks for, if he may read an inbox. temporary
	// says of an error that the token may be good all the same.
	Authenticate func(ctx context.Context, token string) (id transports.Identity, temporary bool, err error)
}
