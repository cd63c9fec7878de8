package native

import (
	"tocsin/transports"
)

// A Conversation is one client's. Receive and Gone are the carrier's to call, one
// after the other.
type Conversation struct {
	transports.Dialogue
	o        *Options
	conn     transports.Conn
	mistakes int // in a row
}

var _ transports.Speaker = (*Conversation)(nil)

// Begin begins a conversation over the connection. id is who the handshake said,
// or nil: then the first message says it. Options are shared by many.
func Begin(conn transports.Conn, id *transports.Identity, host transports.Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn}
	c.Dialogue.Begin(c, host, &o.DialogueOptions)
	if id != nil {
		c.Admit(*id)
		if o.PublishOnly {
			c.Listen()
		}
	}
	return c
}

// Voice implements transports.Speaker.
func (c *Conversation) Voice() transports.Voice {
	return &encoder{conn: c.conn, limits: &c.o.Limits}
}
