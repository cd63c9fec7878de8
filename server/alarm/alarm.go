package alarm

import "time"

// An Alarm is the state of one alarm's present occurrence, as on the wire
// (docs/protocol.md §3). Times are to the millisecond.
type Alarm struct {
	ID          string            `json:"id"`
	Rev         uint64            `json:"rev"`
	Device      string            `json:"device"`
	Type        string            `json:"type"`
	Qualifier   string            `json:"qualifier"`
	Occurrence  uint64            `json:"occurrence"`
	Severity    string            `json:"severity"`
	SeverityMax string            `json:"severity_max"`
	Kind        string            `json:"kind"`
	Active      bool              `json:"active"`
	Acked       bool              `json:"acked"`
	Count       uint64            `json:"count"`
	Groups      []string          `json:"groups"`
	RaisedAt    time.Time         `json:"raised_at"`
	LastRaised  time.Time         `json:"last_raised_at"`
	ReceivedAt  time.Time         `json:"received_at"`
	ClearedAt   *time.Time        `json:"cleared_at"`
	ClearReason string            `json:"clear_reason,omitempty"`
	AckedBy     *string           `json:"acked_by"`
	AckedAt     *time.Time        `json:"acked_at"`
	AckNote     string            `json:"ack_note,omitempty"`
	Earlier     uint64            `json:"earlier_unacked"`
	Message     string            `json:"message"`
	Attrs       map[string]string `json:"attrs"`
}

// Status words of a Result.
const (
	StatusRaised   = "raised"
	StatusRepeated = "repeated"
	StatusCleared  = "cleared"
	StatusOrphan   = "orphan"
	StatusLate     = "late"
	StatusRejected = "rejected"
)

// StatusMoved is the outcome inside an entry that moved an alarm to other groups.
const StatusMoved = "moved"

// A Result answers one event, in the order of the events.
type Result struct {
	// ID names the occurrence, Rev its revision after the event, Seq the entry.
	ID     string
	Rev    uint64
	Seq    uint64
	Status string
	// Duplicate: the event had been stored before; the rest is its outcome then.
	Duplicate bool
	// Err is set with StatusRejected: a FieldError, ErrMalformed, ErrIDReused,
	// or an error of the log. With an error of the log the event may be sent
	// again with the same ID.
	Err error
}
