package stomp

import (
	"context"
	"errors"
	"fmt"
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

	transports.Buffer        // the frames collected
	ends              []int  // where each ends
	sent              int    // how many have been given to the connection
	at                string // the cursor after what is collected

	told   string // the cursor that the client has
	over   bool   // why it ends has been told
	failed bool   // nothing can be told any more
}

var _ transports.Voice = (*encoder)(nil)

// open begins a frame.
func (e *encoder) open() {
	e.Hold()
	for range e.c.conn.Headroom() {
		e.B = append(e.B, 0)
	}
}

func (e *encoder) close() { e.ends = append(e.ends, len(e.B)) }

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
	e.open()
	e.B = appendReceipt(e.B, e.version, *sub.receipt, h.Cursor, func(b []byte) []byte {
		b = append(b, "resumed:"...)
		b = strconv.AppendBool(b, h.Resumed)
		b = append(b, "\nunread:"...)
		return append(strconv.AppendInt(b, int64(h.Counts.Unread), 10), '\n')
	})
	sub.receipt = nil
	e.close()
}

// Part implements transports.Encoder.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 {
		e.gap(&p)
	}
	if e.at = p.Cursor; p.To > 0 {
		e.at = p.CursorAt(p.To - 1)
	}
	for i := p.From; i < p.To; i++ {
		e.entry(&p, i)
	}
	if p.Changed && e.sub.counts {
		e.counts(e.at, &p.Counts)
	}
}

// entry writes MESSAGE. It costs no memory but the cursor, where that has to be
// acknowledged.
func (e *encoder) entry(p *transports.Part, i int) {
	e.open()
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
	e.close()
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
	e.open()
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
	e.close()
}

// counts writes a MESSAGE of the counters alone, for who has asked for it. There is
// nothing in it to acknowledge.
func (e *encoder) counts(cursor string, counts *inbox.Counts) {
	e.open()
	b := append(e.B, "MESSAGE\n"...)
	if e.sub.id != "" {
		b = e.version.appendHeader(b, "subscription", e.sub.id)
	}
	b = append(append(append(b, "message-id:"...), cursor...), "\ncounts:true\n"...)
	b, at := e.openBody(b, counts)
	b = append(b, `{"type":"counts",`...)
	e.B = closeLength(append(counts.AppendJSON(b), '}'), at)
	e.close()
}

// Ping implements transports.Encoder: heart-beats are the conversation's own, but
// the cursor rises also by what others got.
func (e *encoder) Ping(cursor string, _ bool) { e.at = cursor }

// Bye implements transports.Encoder.
func (e *encoder) Bye(reason transports.Reason, retry time.Duration) {
	e.over = true
	if how := reasons[reason]; how.message != "" {
		e.fail(&failure{message: how.message, retry: retry})
	}
}

// fail writes ERROR.
func (e *encoder) fail(f *failure) {
	e.open()
	e.B = appendError(e.B, e.version, f)
	e.close()
}

// Flush implements transports.Encoder: each frame goes when the one before it has
// left.
func (e *encoder) Flush() (done bool, err error) {
	for e.sent < len(e.ends) {
		from := 0
		if e.sent > 0 {
			from = e.ends[e.sent-1]
		}
		done, err := e.c.conn.Try(e.B[from:e.ends[e.sent]])
		if err != nil {
			return false, e.broken(err)
		}
		if e.sent++; !done {
			return false, nil
		}
	}
	if e.sent > 0 {
		e.c.beats.said()
	}
	if e.at != "" {
		e.told = e.at
	}
	e.ends, e.sent = e.ends[:0], 0
	e.Release()
	return true, nil
}

// Settle implements transports.Encoder.
func (e *encoder) Settle() error {
	for {
		if err := e.c.conn.Settle(); err != nil {
			return e.broken(err)
		}
		if done, err := e.Flush(); done || err != nil {
			return err
		}
	}
}

func (e *encoder) broken(err error) error {
	e.Release()
	e.failed = true
	return fmt.Errorf("send a frame: %w", err)
}

// Told implements transports.Voice.
func (e *encoder) Told() string { return e.told }

// Farewell implements transports.Voice.
func (e *encoder) Farewell(why error, gone func()) {
	e.c.rested(e.sub, e.told)
	code, reason, last := e.ending(why)
	part := func() {
		e.c.conn.Close(code, strings.ToValidUTF8(reason[:min(len(reason), maxReason)], ""))
		gone()
	}
	if last == nil || e.over || e.failed {
		part()
		return
	}
	e.fail(last)
	if done, err := e.Flush(); !done && err == nil {
		go func() { // ends when the client has taken it, or has had its time
			_ = e.Settle() // the close comes either way
			part()
		}()
		return
	}
	part()
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
