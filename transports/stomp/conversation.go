package stomp

import (
	"fmt"
	"sync/atomic"
	"time"

	"tocsin/transports"
)

// A Conversation is one client's. Receive and Gone are the carrier's to call, one
// after the other.
type Conversation struct {
	transports.Dialogue
	o       *Options
	conn    transports.Conn
	host    transports.Host
	greeted *transports.Identity // who the handshake said
	parser  parser
	version atomic.Int32 // 0 until CONNECT

	subs   map[string]*subscription
	inbox  atomic.Pointer[subscription] // the one that delivers the inbox, or nil
	out    outbox
	beats  beats
	waited time.Duration // of this message of the carrier, because it sends too much
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins a conversation over the connection. id is who the handshake said,
// or nil: then CONNECT says it. A host that is a Register hears of topics, too.
func Begin(conn transports.Conn, id *transports.Identity, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, host: host, greeted: id}
	c.out.c, c.beats.c = c, c
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice {
	return newEncoder(c, c.inbox.Load(), c.speaks())
}

// speaks is the version that was agreed on.
func (c *Conversation) speaks() version { return version(c.version.Load()) }

// commands are what a client may say, once it is connected.
var commands = map[string]func(*Conversation, *frame) error{
	"SEND":        (*Conversation).send,
	"SUBSCRIBE":   (*Conversation).subscribe,
	"UNSUBSCRIBE": (*Conversation).unsubscribe,
	"ACK":         (*Conversation).ack,
	"NACK":        (*Conversation).nack,
	"DISCONNECT":  (*Conversation).disconnect,
	"BEGIN":       (*Conversation).transact,
	"COMMIT":      (*Conversation).transact,
	"ABORT":       (*Conversation).transact,
}

// Receive takes the client's next message: a part of a frame, a frame, or several.
func (c *Conversation) Receive(message []byte) {
	c.beats.heard()
	c.waited = 0
	for len(message) > 0 && !c.Over() {
		f, rest, err := c.parser.next(message)
		if err != nil {
			c.fail(nil, malformed(err.Error()))
			return
		}
		if f == nil {
			return
		}
		if err := c.handle(f); err != nil {
			c.fail(f, err)
			return
		}
		message = rest
	}
}

// handle does what a frame asks for, and sends its receipt.
func (c *Conversation) handle(f *frame) error {
	if f.command == "CONNECT" || f.command == "STOMP" {
		return c.connect(f)
	}
	command, known := commands[f.command]
	_, transacts := f.get("transaction")
	switch {
	case c.speaks() == 0:
		return malformed("CONNECT comes first")
	case !known:
		return malformed(fmt.Sprintf("%.40q is no command", f.command))
	case transacts:
		return c.transact(f)
	}
	if err := command(c, f); err != nil {
		return err
	}
	if receipt, wanted := f.get("receipt"); wanted && !f.answered {
		c.say(appendReceipt(nil, c.speaks(), receipt, "", nil))
	}
	return nil
}

// transact refuses transactions.
func (c *Conversation) transact(*frame) error {
	return malformed("there are no transactions here")
}

// disconnect ends the conversation, once everything before it is done: that is what
// its receipt says.
func (c *Conversation) disconnect(f *frame) error {
	ctx, cancel := c.Bounded()
	defer cancel()
	// Where it cannot be stored the client gets it again, as after any end.
	_ = c.o.points.stored(ctx, c.Identity().User)
	if receipt, wanted := f.get("receipt"); wanted {
		c.say(appendReceipt(nil, c.speaks(), receipt, "", nil))
		f.answered = true
	}
	c.End(transports.Closing{Code: CodeNormal, Reason: "bye"})
	return nil
}

// say sends a frame; one that cannot be sent ends the connection by itself.
func (c *Conversation) say(frame []byte) {
	if c.conn.Send(frame) == nil {
		c.beats.said()
	}
}

// Gone ends the conversation when its connection is over.
func (c *Conversation) Gone() {
	c.beats.stop()
	for _, sub := range c.subs {
		sub.end()
	}
	c.subs = nil
	c.Dialogue.Gone()
}
