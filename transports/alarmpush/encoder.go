package alarmpush

import (
	"errors"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"tocsin/server/inbox"
	"tocsin/transports"
	pb "tocsin/transports/alarmpush/alarmpushpb"
)

// Numbers of the fields that are written by hand.
const (
	fieldAlarm  protowire.Number = 3 // of Frame
	fieldCursor protowire.Number = 1 // of AlarmNotice
)

// An encoder writes one client's frames: one for each notice.
type encoder struct {
	c *Conversation
	transports.Frames

	greeted bool // the login has been answered
}

var _ transports.Voice = (*encoder)(nil)

// Hello answers the login, unless a gap comes first: then Part does.
func (e *encoder) Hello(h transports.Hello) {
	if !e.greeted && !h.Gap {
		e.frame(loginReply(&pb.LoginReply{Ok: true, User: e.c.user, Cursor: h.Cursor}))
	}
	e.greeted = true
}

// Part writes a frame for each entry that is an alarm's. A gap is told in the answer
// to the login, with the cursor before what repairs it.
func (e *encoder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 {
		e.frame(loginReply(&pb.LoginReply{
			Ok: true, User: e.c.user, Reason: string(p.Gap.Reason), Cursor: string(p.AppendCursor(nil, -1)),
		}))
	}
	snapshot := p.Snapshot()
	for i := p.From; i < p.To; i++ {
		n := e.c.o.notices.Of(&p.Items[i], noticeOf)
		if n != nil && !(snapshot && n.state != unhandled) {
			e.notice(n, p.Batch, i)
		}
	}
	e.Reach(&p)
}

// notice writes the notice of the i-th item: what all share, behind the cursor.
func (e *encoder) notice(n *notice, b *inbox.Batch, i int) {
	var room [inbox.MaxCursor]byte
	cursor := b.AppendCursor(room[:0], i)
	e.Open()
	e.B = protowire.AppendTag(e.B, fieldAlarm, protowire.BytesType)
	e.B = protowire.AppendVarint(e.B, uint64(protowire.SizeTag(fieldCursor)+protowire.SizeBytes(len(cursor))+len(n.fields)))
	e.B = protowire.AppendTag(e.B, fieldCursor, protowire.BytesType)
	e.B = protowire.AppendBytes(e.B, cursor)
	e.B = append(e.B, n.fields...)
	e.Close()
}

// Ping implements transports.Encoder.
func (e *encoder) Ping(cursor string, stale bool) {
	e.Frames.Ping(cursor, stale)
	e.frame(e.c.beatAt(time.Now()))
}

// Bye implements transports.Encoder: all that is told is in the close.
func (e *encoder) Bye(transports.Reason, time.Duration) {}

func (e *encoder) frame(f *pb.Frame) {
	e.Open()
	if b, err := (proto.MarshalOptions{}).MarshalAppend(e.B, f); err == nil {
		e.B = b
	}
	e.Close()
}

// Farewell implements transports.Voice. That somebody is not logged in is told in
// the words of the login, too.
func (e *encoder) Farewell(why error, gone func()) {
	closing := transports.CloseOf(why)
	part := func() {
		e.c.conn.Close(closing.Code, closing.Reason)
		gone()
	}
	told := errors.As(why, new(transports.Closing))
	if login := closing.Code == transports.CodeUnauthenticated || closing.Code == transports.CodeNoAuth; told || !login || e.Failed {
		part()
		return
	}
	e.frame(loginReply(&pb.LoginReply{Reason: closing.Reason}))
	transports.LastWords(e, part)
}
