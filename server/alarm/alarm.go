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
	// Chattering: raised so often that its changes are told at intervals only.
	Chattering bool `json:"chattering,omitempty"`
	// ShelvedUntil is when a shelved alarm comes back by itself.
	ShelvedUntil *time.Time `json:"shelved_until,omitempty"`
	ShelvedBy    string     `json:"shelved_by,omitempty"`
	// Comments is how many comments the occurrence has; the texts are in its
	// history.
	Comments uint64 `json:"comments,omitempty"`
	// Superseded: a newer occurrence has taken the place of this one, which is
	// shown as it was last. Only Get says so, no entry.
	Superseded bool `json:"superseded,omitempty"`
}

// Status words of a Result, and of the entry that the event made.
const (
	StatusRaised   = "raised"
	StatusRepeated = "repeated"
	StatusCleared  = "cleared"
	StatusOrphan   = "orphan"
	StatusLate     = "late"
	StatusRejected = "rejected"
	// StatusUnchanged answers a report of a level that was as reported already
	// (Event.Level). It made no entry.
	StatusUnchanged = "unchanged"
)

// Status words of the other entries: of commands, and of the worker.
const (
	StatusAcked     = "acked"
	StatusUnacked   = "unacked"
	StatusShelved   = "shelved"
	StatusUnshelved = "unshelved"
	StatusCommented = "commented"
	StatusMoved     = "moved"   // to other groups, with its device
	StatusFolded    = "folded"  // quiet changes were told together
	StatusExpired   = "expired" // cleared for want of reports
	StatusWatched   = "watched" // quiet: whether somebody got it was looked at
	StatusRenewed   = "renewed" // quiet: kept from being purged
)

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
