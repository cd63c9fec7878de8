package apppush

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// CodeIdle closes a connection from which nothing has come for too long.
const CodeIdle = 4408

// beat is the client's sign of life.
const beat = "--"

// Places keep where connections are whose clients keep no cursor. Its methods may
// be called by many goroutines at once.
type Places interface {
	// Hold says from where a connection that begins has to deliver, so that nothing
	// is lost to the user; empty, if nothing could be. place is what it holds then,
	// empty for none.
	Hold(ctx context.Context, user string) (place, from string, err error)
	// Keep notes how far the connection that holds the place has come for certain,
	// and returns the one that it holds then. An empty place becomes one.
	Keep(ctx context.Context, user, place, cursor string) (string, error)
	// Leave is the last Keep: the user's next connection may have the place.
	Leave(ctx context.Context, place, cursor string) error
}

// Options are what conversations are made of; they are shared by all connections.
// View, Pump and Places are required.
type Options struct {
	transports.DialogueOptions
	Places Places
	// Idle is how long a client may send nothing but answers to pings; 0 is 605 s.
	Idle time.Duration
	// Logger hears of places that could not be kept; nil is silent.
	Logger *slog.Logger

	messages transports.Shared[[]byte]
}

func (o *Options) idle() time.Duration { return cmp.Or(o.Idle, 605*time.Second) }

// A Conversation is one client's. Receive and Gone are the carrier's to call, one
// after the other; Mark and Arrived may be called meanwhile.
type Conversation struct {
	transports.Dialogue
	o     *Options
	conn  transports.Conn
	keeps bool // the client keeps cursors
	idle  *time.Timer
	place place
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins a conversation with a client who is known. With a cursor it begins
// there, and tells the client his cursor with each message; without, where he may
// have lost something.
func Begin(conn transports.Conn, id transports.Identity, cursor string, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, keeps: cursor != ""}
	c.Dialogue.Begin(c, &leaving{host, c}, &o.DialogueOptions)
	// The timer's goroutine does not wait.
	c.idle = time.AfterFunc(o.idle(), func() {
		c.End(transports.Closing{Code: CodeIdle, Reason: fmt.Sprintf("nothing has come for %v", o.idle())})
	})
	c.Admit(id)
	c.Listen()
	if c.keeps {
		c.Start(inbox.Start{Cursor: cursor})
		return c
	}
	c.place.begin(c, id.User)
	return c
}

// Refuse ends a conversation before it has begun.
func Refuse(conn transports.Conn, why transports.Closing, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, keeps: true}
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	c.End(why)
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice {
	e := &encoder{c: c, Frames: transports.Frames{Conn: c.conn}}
	e.Taken = func(messages bool) {
		if messages {
			c.wrote(e.Told())
		}
	}
	return e
}

// Receive handles the client's next message: whatever it is, he lives.
func (c *Conversation) Receive(text []byte) {
	c.alive()
	if string(text) == beat && !c.keeps {
		c.place.beaten(time.Now())
	}
}

// Pinged hears that the client has sent a ping.
func (c *Conversation) Pinged() { c.alive() }

func (c *Conversation) alive() {
	if c.idle != nil && !c.Over() {
		c.idle.Reset(c.o.idle())
	}
}

// Mark hears that a ping is about to be written.
func (c *Conversation) Mark(ping uint64) {
	if !c.keeps {
		c.place.mark(ping)
	}
}

// Arrived hears that the client has answered a ping.
func (c *Conversation) Arrived(ping uint64) {
	if !c.keeps {
		c.place.arrived(ping, time.Now())
	}
}

// wrote notes that messages up to the cursor were written.
func (c *Conversation) wrote(cursor string) {
	if !c.keeps {
		c.place.wrote(cursor)
	}
}

// latest is where the inbox ends, as a cursor.
func (c *Conversation) latest(ctx context.Context, who transports.Client) (string, error) {
	s, err := transports.Open(c.o.View, who, inbox.Start{})
	if err != nil {
		return "", err
	}
	defer s.Reader.Close()
	b, err := s.Reader.Read(ctx, 1)
	if err != nil {
		return "", fmt.Errorf("find the end of the inbox: %w", err)
	}
	return string(b.AppendCursor(nil, -1)), nil
}

// A leaving host leaves the place before the rest of the end, which a node that
// goes down waits for.
type leaving struct {
	transports.Host
	c *Conversation
}

func (l *leaving) Ended(why error) {
	l.c.idle.Stop()
	if !l.c.keeps {
		l.c.place.leave()
	}
	l.Host.Ended(why)
}
