package oplink

import (
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// maxMistakes is how many operations in a row may be none before the client is sent
// away.
const maxMistakes = 10

// A Conversation is one client's.
type Conversation struct {
	transports.Dialogue
	o        *Options
	conn     transports.Conn
	voice    atomic.Pointer[encoder] // of what is subscribed to; nil while nothing is
	mistakes int                     // in a row
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins a conversation over the connection. Options are shared by many.
func Begin(conn transports.Conn, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn}
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice {
	if e := c.voice.Load(); e != nil {
		return e
	}
	return &encoder{Frames: transports.Frames{Conn: c.conn}} // of a farewell
}

// opening is what an event of this user's begins with. His uid is a number, if it
// looks like one and JavaScript can tell it from all others.
func opening(user string) []byte {
	b := []byte(`{"event":"` + Channel + `","data":{"uid":`)
	n, err := strconv.ParseInt(user, 10, 64)
	if err == nil && n >= -maxSafe && n <= maxSafe && strconv.FormatInt(n, 10) == user {
		b = append(b, user...)
	} else {
		b = inbox.AppendString(b, user)
	}
	return append(b, `,"msg":`...)
}

// maxSafe is the largest whole number of which JavaScript knows its neighbours.
const maxSafe = 1<<53 - 1

// An operation is a message of the client.
type operation struct {
	Op      string `json:"op"`
	Token   string `json:"token"`
	Channel string `json:"channel"`
	// Cursor asks for what follows it, and to be told of cursors.
	Cursor *string `json:"cursor"`
}

// Receive handles the client's next message.
func (c *Conversation) Receive(text []byte) {
	if c.Over() {
		return
	}
	var m operation
	if err := json.Unmarshal(text, &m); err != nil {
		c.End(transports.Closing{Code: codeNotJSON, Reason: "want a JSON object with an op"})
		return
	}
	switch {
	case m.Op == "auth":
		c.auth(&m)
	case m.Op != "subscribe" && m.Op != "unsubscribe":
		c.mistake("Unknown op")
	case c.Identity() == nil:
		c.refuse(errorNotAuth, "Not Auth")
	case m.Channel != Channel:
		c.mistake("Unknown channel")
	case m.Op == "subscribe":
		c.subscribe(&m)
	default:
		c.unsubscribe()
	}
}

// auth says who the client is; later on it renews the token in place.
func (c *Conversation) auth(m *operation) {
	ctx, cancel := c.Bounded()
	defer cancel()
	id, temporary, err := c.o.Authenticate(ctx, m.Token)
	switch {
	case err != nil && temporary:
		c.refuse(errorUnavailable, "Unavailable")
		if c.Identity() == nil {
			c.End(transports.Unavailable)
		}
	case err != nil && c.Identity() == nil:
		c.refuse(errorNotAuth, "Not Auth")
		c.End(transports.Closing{Code: transports.CodeUnauthenticated, Reason: "not authenticated"})
	case err != nil: // the old token is good until its time is over
		c.refuse(errorNotAuth, "Not Auth")
		c.blunder()
	case c.Identity() != nil && c.Identity().User != id.User:
		c.End(transports.Closing{Code: transports.CodeForbidden, Reason: "the token is another user's"})
	default:
		c.mistakes = 0
		c.Admit(id)
		if !c.Begun() {
			c.Listen()
		}
		c.succeed()
	}
}

// subscribe begins the delivery, which tells of its beginning itself: what comes
// after that is delivered.
func (c *Conversation) subscribe(m *operation) {
	c.mistakes = 0
	if c.voice.Load() != nil {
		c.succeed()
		return
	}
	e := &encoder{Frames: transports.Frames{Conn: c.conn}, opening: opening(c.Identity().User), greeted: make(chan struct{})}
	e.Taken = e.taken
	from := inbox.Start{}
	if e.cursors = m.Cursor != nil; e.cursors {
		from.Cursor = *m.Cursor
	}
	c.voice.Store(e)
	c.Start(from)
	ctx, cancel := c.Bounded()
	defer cancel()
	select {
	case <-e.greeted: // so that the answers to what follows come after it
	case <-ctx.Done():
	}
}

// unsubscribe ends the delivery.
func (c *Conversation) unsubscribe() {
	c.mistakes = 0
	e := c.voice.Load()
	if e == nil {
		c.succeed()
		return
	}
	stopped := make(chan struct{})
	c.Stop(func(string) { close(stopped) })
	ctx, cancel := c.Bounded()
	defer cancel()
	select {
	case <-stopped:
	case <-ctx.Done():
		c.End(transports.Unavailable) // unless it is over anyway
		return
	}
	c.voice.Store(nil)
	if !e.answered() {
		c.succeed() // it was stopped before it had begun, and owes its own answer
	}
	c.succeed()
}

// mistake answers what no client of the protocol sends.
func (c *Conversation) mistake(text string) {
	c.refuse(errorOperation, text)
	c.blunder()
}

func (c *Conversation) blunder() {
	if c.mistakes++; c.mistakes >= maxMistakes {
		c.End(transports.Closing{Code: codeSlowDown, Reason: "too many mistakes"})
	}
}

var success = []byte(`{"result":true}`)

// succeed answers an operation. An answer that cannot be sent ends the connection
// by itself, as with refuse.
func (c *Conversation) succeed() { _ = c.conn.Send(success) }

func (c *Conversation) refuse(code int, text string) {
	_ = c.conn.Send(fmt.Appendf(nil, `{"code":%d,"msg":%q}`, code, text))
}
