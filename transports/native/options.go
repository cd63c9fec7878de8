package native

import (
	"context"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// A Conn carries the frames of one client. The carrier has it.
type Conn interface {
	// Headroom is how many bytes a frame given to Try has before its text: they are
	// the carrier's to write in.
	Headroom() int
	// Try writes one frame after those before it, as far as the client's side takes
	// it at once. done is false when something is left: then Settle comes next, and
	// the frame must not be changed before that has returned. An error says that
	// the connection is over. Try and Settle are called by one goroutine at a time.
	Try(frame []byte) (done bool, err error)
	// Settle waits until what Try left has gone, or returns an error when the
	// connection is over, which a client that takes nothing for
	// Limits.WriteTimeout brings about.
	Settle() error
	// Send is Try and Settle for a text alone. Many goroutines may call it.
	Send(text []byte) error
	// Close ends the connection with a close code, behind the frame in flight, and
	// does not wait. Only the first call counts.
	Close(code int, reason string)
}

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

// An Identity is who a client is.
type Identity struct {
	transports.Client
	// Publish: it may publish, too.
	Publish bool
	// Proof is the composer's own: what its Join wants to know of the token.
	Proof any
}

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

// A Host hears of one conversation's course, one call after the other.
type Host interface {
	// Known hears who the client is, and again with each new token of his; the
	// conversation may be ended at any time from then on, and by anyone.
	Known(c *Conversation, id Identity)
	// Delivers hears that the delivery begins, also when it begins anew for other
	// groups. reached is as in transports.Session, and may be nil; done is called
	// once, when the delivery is over.
	Delivers() (reached func(inbox.Reach), done func())
	// Ended is called once, at the end of Gone, with why: a transports.Reason where
	// the server ended it, context.Canceled where the client was gone.
	Ended(why error)
}

// Options are what conversations are made of. The first five are required; zero
// values of the others are the defaults given here.
type Options struct {
	View     *inbox.View
	Pump     *transports.Pump
	Commands Commands
	// Authenticate says who a token speaks for, if he may read an inbox.
	Authenticate func(ctx context.Context, token string) (Identity, error)
	// Problem puts an error into words: a problem as JSON, without a line break,
	// and its status. Of this package: ErrForbidden and transports.ParamError.
	Problem func(err error) (status int, problem []byte)

	// PublishOnly makes conversations of publishers, who have no inbox: nothing is
	// delivered, and of the commands there is publish alone. View and Limits.Ping
	// mean nothing then.
	PublishOnly bool
	// Limits must have their defaults filled in.
	Limits transports.Limits
	// AuthTimeout is how long a client may take to begin; 0 is 10 s.
	AuthTimeout time.Duration
	// CommandTimeout bounds each command; 0 is 10 s.
	CommandTimeout time.Duration
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
}

func (o *Options) authTimeout() time.Duration { return orTenSeconds(o.AuthTimeout) }

func (o *Options) commandTimeout() time.Duration { return orTenSeconds(o.CommandTimeout) }

func orTenSeconds(d time.Duration) time.Duration {
	if d == 0 {
		return 10 * time.Second
	}
	return d
}
