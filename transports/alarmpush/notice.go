package alarmpush

import (
	"encoding/json"
	"time"

	"google.golang.org/protobuf/proto"

	"tocsin/server/inbox"
	pb "tocsin/transports/alarmpush/alarmpushpb"
)

// The states of a notice.
const (
	unhandled = "unhandled" // nobody has acknowledged it, be it active or over
	handled   = "handled"   // somebody has
	cleared   = "cleared"   // somebody had before it was over
	removed   = "removed"   // it is none of the user's any more
)

// Types of entries that say more than the alarm's state does.
const (
	typeAcked   = "alarm.acked"
	typeCleared = "alarm.cleared"
	typeRemoved = "alarm.removed"
)

// A notice is what all connections share of an AlarmNotice: its fields without the
// cursor, encoded.
type notice struct {
	fields []byte
	state  string
}

// noticeOf makes the notice of an entry; nil for one that is about no alarm.
func noticeOf(i *inbox.Item) *notice {
	var e entry
	if json.Unmarshal(i.Body(), &e) != nil || e.Alarm == nil {
		return nil
	}
	a, state := e.Alarm, e.state()
	fields, err := proto.Marshal(&pb.AlarmNotice{
		AlarmId: a.ID, Device: a.Device, Type: a.Type, Severity: a.Severity, State: state, Rev: a.Rev,
	})
	if err != nil {
		return nil // entries are valid UTF-8
	}
	return &notice{fields, state}
}

// An entry is what of it matters here (docs/protocol.md §3).
type entry struct {
	Type  string `json:"type"`
	Alarm *struct {
		ID        string     `json:"id"`
		Device    string     `json:"device"`
		Type      string     `json:"type"`
		Severity  string     `json:"severity"`
		Rev       uint64     `json:"rev"`
		Active    bool       `json:"active"`
		Acked     bool       `json:"acked"`
		AckedAt   *time.Time `json:"acked_at"`
		ClearedAt *time.Time `json:"cleared_at"`
	} `json:"alarm"`
}

// state has one word for what are two things. Of an alarm that is both
// acknowledged and over it is what came last; an entry that is about neither has
// only the times to tell.
func (e *entry) state() string {
	a := e.Alarm
	switch {
	case e.Type == typeRemoved:
		return removed
	case !a.Acked:
		return unhandled
	case a.Active, e.Type == typeAcked:
		return handled
	case e.Type == typeCleared:
		return cleared
	case a.AckedAt != nil && a.ClearedAt != nil && a.AckedAt.After(*a.ClearedAt):
		return handled
	}
	return cleared
}
