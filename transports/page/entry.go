package page

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// An entry is what the page knows of one (docs/protocol.md §3).
type entry struct {
	Seq    uint64    `json:"seq"`
	Type   string    `json:"type"`
	Time   time.Time `json:"time"`
	By     string    `json:"by"`
	Note   string    `json:"note"`
	Status string    `json:"status"` // in a history only
	Quiet  bool      `json:"quiet"`  // in a history only
	Alarm  *alarm    `json:"alarm"`
	Notice *notice   `json:"notice"`
}

type alarm struct {
	ID          string            `json:"id"`
	Rev         uint64            `json:"rev"`
	Device      string            `json:"device"`
	Type        string            `json:"type"`
	Qualifier   string            `json:"qualifier"`
	Severity    string            `json:"severity"`
	SeverityMax string            `json:"severity_max"`
	Active      bool              `json:"active"`
	Acked       bool              `json:"acked"`
	Count       uint64            `json:"count"`
	Groups      []string          `json:"groups"`
	RaisedAt    time.Time         `json:"raised_at"`
	LastRaised  time.Time         `json:"last_raised_at"`
	ReceivedAt  time.Time         `json:"received_at"`
	ClearedAt   *time.Time        `json:"cleared_at"`
	ClearReason string            `json:"clear_reason"`
	AckedBy     *string           `json:"acked_by"`
	AckedAt     *time.Time        `json:"acked_at"`
	AckNote     string            `json:"ack_note"`
	Earlier     uint64            `json:"earlier_unacked"`
	Message     string            `json:"message"`
	Attrs       map[string]string `json:"attrs"`

	Chattering   bool       `json:"chattering"`
	ShelvedUntil *time.Time `json:"shelved_until"`
	ShelvedBy    string     `json:"shelved_by"`
	Comments     uint64     `json:"comments"`
	Superseded   bool       `json:"superseded"`
}

type notice struct {
	ID    string `json:"id"`
	From  string `json:"from"`
	Title string `json:"title"`
	Body  string `json:"body"`
}

// Types of entries that the page tells apart.
const (
	typeRaised  = "alarm.raised"
	typeAcked   = "alarm.acked"
	typeCleared = "alarm.cleared"
	typeRemoved = "alarm.removed"
	typeNotice  = "notice"
)

func decode(text []byte) (entry, error) {
	var e entry
	if err := json.Unmarshal(text, &e); err != nil {
		return e, fmt.Errorf("read an entry: %w", err)
	}
	return e, nil
}

// identity is what has one row: an alarm by device, type and qualifier, whichever
// its occurrence, and a notice by itself. Empty: neither.
func (e *entry) identity() string {
	switch {
	case e.Alarm != nil:
		return strings.Join([]string{"alarm", e.Alarm.Device, e.Alarm.Type, e.Alarm.Qualifier}, "\x00")
	case e.Notice != nil:
		return "notice\x00" + e.Notice.ID
	}
	return ""
}

// rev counts the changes of the identity.
func (e *entry) rev() uint64 {
	if e.Alarm == nil {
		return 0
	}
	return e.Alarm.Rev
}

// came is when the server first heard of it: a device's clock may be wrong.
func (e *entry) came() time.Time {
	switch {
	case e.Alarm == nil:
		return e.Time
	case e.Alarm.ReceivedAt.IsZero():
		return e.Alarm.RaisedAt
	}
	return e.Alarm.ReceivedAt
}

// A mark is a word for what became of a row since the cursor.
type mark string

// The marks there are. markNew outlasts what follows it.
const (
	markNone    mark = ""
	markNew     mark = "new"
	markUpdated mark = "updated"
	markAcked   mark = "acknowledged"
	markCleared mark = "cleared"
	markRemoved mark = "no longer yours"
)

// marks lists them in the order in which they are summed up.
var marks = [...]mark{markNew, markUpdated, markCleared, markAcked, markRemoved}

func markOf(typ string) mark {
	switch typ {
	case typeRaised, typeNotice:
		return markNew
	case typeAcked:
		return markAcked
	case typeCleared:
		return markCleared
	case typeRemoved:
		return markRemoved
	}
	return markUpdated
}
