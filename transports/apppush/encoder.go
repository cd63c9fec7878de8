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

	at     string // the cursor after what is collected
	told   string // the cursor that the client has, or might have
	tells  bool   // what is collected are messages
	failed bool   // nothing can be told any more
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
	if e.at = p.Cursor; p.To > 0 {
		e.at = p.CursorAt(p.To - 1)
	}
}

// message writes a message that all share, for those who keep cursors with the one
// after it.
func (e *encoder) message(m []byte, b *inbox.Batch, i int) {
	e.tells = true
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

// Ping implements transports.Encoder: the carrier has pings of its own.
func (e *encoder) Ping(cursor string, _ bool) { e.at = cursor }

// Bye implements transports.Encoder: all that is told is in the close.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

// Flush implements transports.Encoder.
func (e *encoder) Flush() (done bool, err error) {
	done, err = e.Frames.Flush()
	return done, e.flushed(done, err)
}

// Settle implements transports.Encoder.
func (e *encoder) Settle() error {
	err := e.Frames.Settle()
	return e.flushed(err == nil, err)
}

func (e *encoder) flushed(done bool, err error) error {
	e.failed = e.failed || err != nil
	if done && e.at != "" {
		if e.told = e.at; e.tells {
			e.c.wrote(e.told)
		}
		e.tells = false
	}
	return err
}

// Told implements transports.Voice.
func (e *encoder) Told() string { return e.told }

// Farewell implements transports.Voice.
func (e *encoder) Farewell(why error, gone func()) {
	closing := transports.CloseOf(why)
	e.c.conn.Close(closing.Code, closing.Reason)
	gone()
}
