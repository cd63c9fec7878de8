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

	noted string // the cursor of which the conversation knows
	again uint64 // what stands up to here in the log was sent before
	had   uint64 // so were notices up to here, in a repair
}

var _ transports.Voice = (*encoder)(nil)

// Hello tells nothing. When the delivery begins anew by itself, what was sent has
// been sent before.
func (e *encoder) Hello(h transports.Hello) {
	if told, err := inbox.ParseCursor(e.Told()); err == nil {
		e.again = max(e.again, told.Seq)
	}
	if !h.Gap {
		e.At = h.Cursor
	}
}

// Part writes the entries. A gap has no words here: what repairs it follows.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 && p.Gap.Reason == inbox.GapEpoch {
		e.again, e.had, e.At = 0, 0, "" // the log has lost what was sent
		e.c.place.restart()
	}
	if at, err := inbox.ParseCursor(e.At); err == nil && p.Gap != nil && p.From == 0 {
		e.had = at.Seq
	}
	for i := p.From; i < p.To; i++ {
		e.notice(&p.Items[i])
	}
	e.Reach(&p)
}

func (e *encoder) notice(item *inbox.Item) {
	e.Open()
	e.B = append(e.B, e.c.o.notices.Of(item, noticeOf)...)
	e.B = append(e.B, e.reader...)
	if item.At <= e.again || item.At <= e.had && item.IsNotice() {
		e.B = append(e.B, "true}"...)
	} else {
		e.B = append(e.B, "false}"...)
	}
	e.Close()
}

// Bye tells nothing: the close code does.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

// taken notes what has been sent.
func (e *encoder) taken(news bool) {
	if told := e.Told(); told != e.noted {
		e.noted = told
		e.c.sent(told, news)
	}
}

// Farewell implements transports.Voice: the close code is all that is told.
func (e *encoder) Farewell(why error, gone func()) {
	c := transports.CloseOf(why)
	e.Conn.Close(c.Code, c.Reason)
	gone()
}
