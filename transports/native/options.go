package native

import (
	"context"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// Close codes (docs/protocol.md §6). After all but 4401, 4403 and 4409 the client
// comes back with its cursor.
const (
	CodeGoingAway       = 1001
	CodeRotate          = 4011
	CodeUnauthenticated = 4401
	CodeForbidden       = 4403
	CodeNoAuth          = 4408
	CodeSuperseded      = 4409
	CodeSlowDown        = 4429
)

// Commands do what a client asks for besides reading. An error is answered with
// the problem that Options.Problem makes of it. Its methods may be called by many
// goroutines at once, and return when their context is over.
type Commands interface {
	// MarkRead marks as read what was announced up to a cursor, and the alarms and
	// notices with these ids, and returns the user's counters.
	MarkRead(ctx context.Context, c transports.Client, upto string, ids []string) (inbox.Counts, error)
	// Do does one command and returns the alarm as JSON, as it is then.
	Do(ctx context.Context, c transports.Client, what transports.Command) (alarm []byte, err error)
	// AckAll acknowledges many alarms, and returns a JSON array of results, one an
	// id, in their order. One that fails stops no other.
	AckAll(ctx context.Context, c transports.Client, alarms []string, note string) (results []byte, err error)
	// Publish takes a JSON array of events, and returns one of results, one an
	// event. It is called for those who may publish.
	Publish(ctx context.Context, c transports.Client, events []byte) ([]byte, error)
}

// Options are what conversations are made of. Commands, Authenticate and Problem
// are required.
type Options struct {
	// DialogueOptions: View and Pump are required, too.
	transports.DialogueOptions
	Commands Commands
	// Authenticate says who a token speaks for, if he may read an inbox.
	Authenticate func(ctx context.Context, token string) (transports.Identity, error)
	// Problem puts an error into words: a problem as JSON, without a line break,
	// and its status. Of this package: ErrForbidden and transports.ParamError.
	Problem func(err error) (status int, problem []byte)

	// PublishOnly makes conversations of publishers, who have no inbox: nothing is
	// delivered, and of the commands there is publish alone. View and Limits.Ping
	// mean nothing then.
	PublishOnly bool
	// Limits must have their defaults filled in.
	Limits transports.Limits
}
