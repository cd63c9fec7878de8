package apppush

import (
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes one client's messages.
type encoder struct {
	c *Conversation
	transports.Frames
}

var _ transports.Voice = (*encoder)(nil)

// Hello implements transports.Encoder: there is no word for it.
func (e *encoder) Hello(transports.Hello) {}

// Part writes a message for each entry, and one for the gap.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 {
		e.message(gapMessage(p.Gap), p.Batch, -1)
	}
	for i := p.From; i < p.To; i++ {
		if m := e.c.o.messages.Of(&p.Items[i], messageOf); m != nil {
			e.message(m, p.Batch, i)
		}
	}
	e.Reach(&p)
}

// message writes a message that all share, for those who keep cursors with the one
// after it.
func (e *encoder) message(m []byte, b *inbox.Batch, i int) {
	e.Open()
	if !e.c.keeps {
		e.B = append(e.B, m...)
		e.Close()
		return
	}
	e.B = append(append(e.B, m[:len(m)-1]...), `,"cursor":"`...)
	e.B = append(b.AppendCursor(e.B, i), '"', '}') // a cursor needs no escapes
	e.Close()
}

// Bye implements transports.Encoder: all that is told is in the close.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

// Farewell implements transports.Voice.
func (e *encoder) Farewell(why error, gone func()) {
	closing := transports.CloseOf(why)
	e.c.conn.Close(closing.Code, closing.Reason)
	gone()
}
