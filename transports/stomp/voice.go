package stomp

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// An encoder writes what one client is told of its inbox: a frame each, in a
// message of the carrier each.
type encoder struct {
	c       *Conversation
	sub     *subscription // nil while nothing is delivered
	version version

	transports.Frames

	over bool // why it ends has been told
}

var _ transports.Voice = (*encoder)(nil)

func newEncoder(c *Conversation, sub *subscription, v version) *encoder {
	e := &encoder{c: c, sub: sub, version: v, Frames: transports.Frames{Conn: c.conn}}
	e.Taken = func(frames bool) {
		if frames {
			c.beats.said()
		}
	}
	return e
}

// Hello implements transports.Encoder: the receipt of SUBSCRIBE says where it
// begins. Who is to acknowledge and never has goes on from here the next time, too.
func (e *encoder) Hello(h transports.Hello) {
	sub := e.sub
	if sub.seeds {
		sub.seeds = false
		e.c.o.points.move(e.c.o.Places, e.c.Identity().User, h.Cursor, true)
	}
	if sub.receipt != nil {
		e.begun(&h)
	}
	if sub.counts {
		e.counts(h.Cursor, &h.Counts)
	}
}

// begun writes the receipt of SUBSCRIBE.
func (e *encoder) begun(h *transports.Hello) {
	sub := e.sub
	e.Open()
	e.B = appendReceipt(e.B, e.version, *sub.receipt, h.Cursor, func(b []byte) []byte {
		b = append(b, "resumed:"...)
		b = strconv.AppendBool(b, h.Resumed)
		b = append(b, "\nunread:"...)
		return append(strconv.AppendInt(b, int64(h.Counts.Unread), 10), '\n')
	})
	sub.receipt = nil
	e.Frames.Close()
}

// Part implements transports.Encoder.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 {
		e.gap(&p)
	}
	e.Reach(&p)
	for i := p.From; i < p.To; i++ {
		e.entry(&p, i)
	}
	if p.Changed && e.sub.counts {
		e.counts(e.At, &p.Counts)
	}
}

// entry writes MESSAGE. It costs no memory but the cursor, where that has to be
// acknowledged.
func (e *encoder) entry(p *transports.Part, i int) {
	e.Open()
	b := append(e.B, "MESSAGE\n"...)
	if e.sub.id != "" {
		b = e.version.appendHeader(b, "subscription", e.sub.id)
	}
	b = append(b, "message-id:"...)
	from := len(b)
	b = p.AppendCursor(b, i)
	cursor := b[from:]
	b = append(b, '\n')
	if e.sub.acks {
		if e.version == v12 {
			b = append(append(append(b, "ack:"...), cursor...), '\n')
		}
		e.sub.pending.sent(string(cursor))
	}
	b, at := e.openBody(b, &p.Counts)
	e.B = closeLength(p.Items[i].AppendJSON(b), at)
	e.Frames.Close()
}

// openBody writes the rest of the head.
func (e *encoder) openBody(b []byte, counts *inbox.Counts) (to []byte, at int) {
	b = append(b, "destination:"+Inbox+"\nunread:"...)
	b = strconv.AppendInt(b, int64(counts.Unread), 10)
	b = append(b, "\ncontent-type:application/json\n"...)
	return openLength(b)
}

// gap writes a MESSAGE that is no entry: its header gap says so, and its type.
// Until the next one the client has the cursor that it came with.
func (e *encoder) gap(p *transports.Part) {
	if e.sub.acks && p.Gap.Reason != inbox.GapCompacted {
		e.sub.pending.restart()
	}
	text := p.Gap.AppendJSON(nil)
	e.Open()
	b := append(e.B, "MESSAGE\n"...)
	if e.sub.id != "" {
		b = e.version.appendHeader(b, "subscription", e.sub.id)
	}
	b = append(append(append(b, "message-id:"...), p.Gap.From...), '\n')
	if e.sub.acks && e.version == v12 {
		b = append(b, "ack:gap\n"...)
	}
	b = e.version.appendHeader(b, "gap", string(text))
	b, at := e.openBody(b, &p.Counts)
	b = append(append(append(b, `{"type":"gap","gap":`...), text...), '}')
	e.B = closeLength(b, at)
	e.Frames.Close()
}

// counts writes a MESSAGE of the counters alone, for who has asked for it. There is
// nothing in it to acknowledge.
func (e *encoder) counts(cursor string, counts *inbox.Counts) {
	e.Open()
	b := append(e.B, "MESSAGE\n"...)
	if e.sub.id != "" {
		b = e.version.appendHeader(b, "subscription", e.sub.id)
	}
	b = append(append(append(b, "message-id:"...), cursor...), "\ncounts:true\n"...)
	b, at := e.openBody(b, counts)
	b = append(b, `{"type":"counts",`...)
	e.B = closeLength(append(counts.AppendJSON(b), '}'), at)
	e.Frames.Close()
}

// Bye implements transports.Encoder.
func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.over = true
	if how := reasons[reason]; how.message != "" {
		e.fail(&failure{message: how.message, retry: retry})
	}
}

// fail writes ERROR.
func (e *encoder) fail(f *failure) {
	e.Open()
	e.B = appendError(e.B, e.version, f)
	e.Frames.Close()
}

// Farewell implements transports.Voice.
func (e *encoder) Farewell(why error, gone func()) {
	e.c.rested(e.sub, e.Told())
	code, reason, last := e.ending(why)
	part := func() {
		e.c.conn.Close(code, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
		gone()
	}
	if last == nil || e.over || e.Failed {
		part()
		return
	}
	e.fail(last)
	transports.LastWords(e, part)
}

// maxReason is how much of a message is the reason of the close, in bytes: a
// WebSocket's has at most 123.
const maxReason = 120

// ending is the code and the reason of the close, and the ERROR before it, if there
// is one.
func (e *encoder) ending(why error) (code int, reason string, last *failure) {
	var ended transports.Reason
	var normal transports.Closing
	switch {
	case errors.As(why, &normal):
		return normal.Code, normal.Reason, nil
	case errors.Is(why, context.Canceled):
		return CodeGoingAway, "", nil // nobody is there to hear more
	case errors.Is(why, transports.ErrNoAuth):
		last = &failure{code: CodeNoAuth, message: "no CONNECT in time"}
	case errors.As(why, &ended):
		how := reasons[ended]
		if how.message == "" {
			return how.code, string(ended), nil
		}
		last = &failure{code: how.code, message: how.message}
	default:
		last = e.c.o.failureOf(why)
	}
	return last.code, last.message, last
}
