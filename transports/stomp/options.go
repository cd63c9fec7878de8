package stomp

import (
	"context"
	"errors"
	"time"

	"tocsin/transports"
)

// Close codes: those of docs/protocol.md §6, and two of RFC 6455.
const (
	CodeNormal          = 1000
	CodeGoingAway       = 1001
	CodeProtocol        = 1002
	CodeRotate          = 4011
	CodeUnauthenticated = 4401
	CodeForbidden       = 4403
	CodeNoAuth          = 4408
	CodeSuperseded      = 4409
	CodeSlowDown        = 4429
)

// PlacesName is the name under which Places keep the resume points.
const PlacesName = "stomp"

// Places keep cursors, on all nodes. They may be called by many goroutines at once.
type Places interface {
	// Get returns the cursor that is kept, empty if none is.
	Get(ctx context.Context, name, user string) (cursor string, err error)
	// Set keeps the cursor that choose makes of the one that is kept; it may be
	// called again.
	Set(ctx context.Context, name, user string, choose func(old string) string) error
}

// A Broadcast is a message of a topic.
type Broadcast struct {
	Seq         uint64 // different messages have different ones
	Name        string // of the topic
	From        string // who published it
	ContentType string // empty where nothing was said
	Content     string // UTF-8
	Time        time.Time
}

// A Listener hears of a topic, from one goroutine that it must not keep waiting.
type Listener interface {
	Heard(b Broadcast)
	// Missed hears that there may have been messages which were not told.
	Missed()
}

// Topics broadcast. They may be called by many goroutines at once.
type Topics interface {
	// Listen has the listener told what is published from now on, until leave.
	Listen(name string, l Listener) (leave func())
	// Publish stores a message, whose Seq and Time it makes itself.
	Publish(ctx context.Context, b Broadcast) error
}

// A Register is a Host that keeps a register of sessions: a conversation tells it
// of subscriptions to topics, too, which deliver nothing of an inbox.
type Register interface {
	transports.Host
	// Session names the connection, once its client is known.
	Session() string
	// Subscribed hears that a subscription to a topic has begun; done is called
	// once, when it has ended.
	Subscribed(destination string) (done func())
}

// A Problem is an error in words.
type Problem struct {
	Status int    // of HTTP
	Title  string // one line
	JSON   []byte // all of it, as an object
	// Retry is when to come back; 0 where nothing is said.
	Retry time.Duration
}

// ErrNoToken: neither the handshake nor CONNECT has a token.
var ErrNoToken = errors.New("CONNECT has no token")

// ErrForbidden: the client's token does not allow to publish.
var ErrForbidden = errors.New("the token does not allow this")

// Options are what conversations are made of; many share them, and they are not to
// be copied. All but the last three are required.
type Options struct {
	// DialogueOptions: View and Pump are required, too.
	transports.DialogueOptions
	// Authenticate says who a token speaks for, if he may read an inbox.
	Authenticate func(ctx context.Context, token string) (transports.Identity, error)
	// Problem puts an error into words. Of this package: ErrNoToken, ErrForbidden
	// and transports.ParamError.
	Problem func(err error) Problem
	Topics  Topics
	Places  Places

	// Apps gives the topic of what is sent to /app/<name>, by name.
	Apps map[string]string
	// PublishersOnly: who sends must have Identity.Publish.
	PublishersOnly bool
	// Beat is how often the server can say that it lives; 0 is 10 s. Clients are
	// asked for half as often.
	Beat time.Duration

	points points
	paces  paces
	casts  castCache
}

// defaultBeat is that of Options.Beat.
const defaultBeat = 10 * time.Second
