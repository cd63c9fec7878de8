package notices

import (
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes one client's notices, each in a frame of its own.
type encoder struct {
	transports.Frames
	c      *Conversation
	reader []byte // the members that differ by reader, up to read

	at    string // the cursor after what is collected
	news  bool   // something is collected
	told  string // the cursor that the client was sent
	again uint64 // what stands up to here in the log was sent before
}

var _ transports.Voice = (*encoder)(nil)

// Hello tells nothing. When the delivery begins anew by itself, what was sent has
// been sent before.
func (e *encoder) Hello(h transports.Hello) {
	if told, err := inbox.ParseCursor(e.told); err == nil {
		e.again = max(e.again, told.Seq)
	}
	if !h.Gap {
		e.at = h.Cursor
	}
}

// Part writes the entries. A gap has no words here: what repairs it follows.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 && p.Gap.Reason == inbox.GapEpoch {
		e.again = 0 // the log has lost what was sent
		e.c.place.restart()
	}
	for i := p.From; i < p.To; i++ {
		e.notice(&p.Items[i])
	}
	if e.at = p.Cursor; p.To > 0 {
		e.at = p.CursorAt(p.To - 1)
	}
	e.news = e.news || p.To > p.From
}

func (e *encoder) notice(item *inbox.Item) {
	e.Open()
	e.B = append(e.B, e.c.o.notices.Of(item, noticeOf)...)
	e.B = append(e.B, e.reader...)
	if item.At <= e.again {
		e.B = append(e.B, "true}"...)
	} else {
		e.B = append(e.B, "false}"...)
	}
	e.Close()
}

// Ping tells nothing: there are pings of the carrier's.
func (e *encoder) Ping(cursor string, _ bool) { e.at = cursor }

// Bye tells nothing: the close code does.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

// Flush implements transports.Encoder.
func (e *encoder) Flush() (done bool, err error) {
	if done, err = e.Frames.Flush(); done {
		e.taken()
	}
	return done, err
}

// Settle implements transports.Encoder.
func (e *encoder) Settle() error {
	err := e.Frames.Settle()
	if err == nil {
		e.taken()
	}
	return err
}

// taken notes that what was collected has been sent.
func (e *encoder) taken() {
	if e.told == e.at {
		return
	}
	e.told = e.at
	e.c.sent(e.told, e.news)
	e.news = false
}

// Told implements transports.Voice.
func (e *encoder) Told() string { return e.told }

// Farewell implements transports.Voice: the close code is all that is told.
func (e *encoder) Farewell(why error, gone func()) {
	c := transports.CloseOf(why)
	e.Conn.Close(c.Code, c.Reason)
	gone()
}
