package inbox

import (
	"context"
	"errors"
	"time"
)

// Errors of a Log. They are matched with [errors.Is]; a Log wraps them with
// what it was doing.
var (
	// ErrConflict: the subject's newest message is not the expected one. Read
	// it with Newest, decide again, append again.
	ErrConflict = errors.New("the subject has moved on")
	// ErrNotFound: no message there, or it was purged.
	ErrNotFound = errors.New("no such message")
	// ErrFull: free space is below the reserve. Nothing was stored; reading
	// goes on.
	ErrFull = errors.New("storage is below its reserve of free space")
	// ErrUnavailable: the log did not answer in time or has no leader. Whether
	// the message was stored is unknown: send it again with the same ID.
	ErrUnavailable = errors.New("the log is unavailable")
	// ErrTooLarge: the message exceeds what the log takes.
	ErrTooLarge = errors.New("the message is too large for the log")
)

// A Proposal is one change proposed to the log.
type Proposal struct {
	// Subject names the thing that changes; see subject.go.
	Subject string
	// Expect is the sequence of the subject's newest message, 0 for none. The
	// append fails with ErrConflict when another message has come since.
	Expect uint64
	// Any: whatever the subject's newest message is; Expect is not looked at. It
	// is for subjects whose messages are no state that the next one rests on.
	Any bool
	// ID is the event's id. Within the log's window (10 minutes unless set
	// otherwise) a second proposal with the same ID, on whatever subject, stores
	// nothing and yields the first one's sequence with Duplicate set; that check
	// comes before Expect. Empty: no such check.
	ID string
	// Data is the message, owned by the log from the call on.
	Data []byte
}

// A Receipt answers one Proposal.
type Receipt struct {
	// Seq is where the message stands in the log; with Duplicate, where the
	// first message with this ID stands (its subject may be another).
	Seq       uint64
	Duplicate bool
	// Err is nil once the message is stored, else one of the errors above,
	// wrapped.
	Err error
}

// A Message is one stored message.
type Message struct {
	Seq     uint64
	Subject string
	Data    []byte
	// Time is when the log took the message, by its leader's clock.
	Time time.Time
}

// Bounds are the ends of the log as its leader knows them.
type Bounds struct {
	// First is the lowest sequence still stored, Last the highest ever given
	// out; an empty log has First = Last + 1.
	First, Last uint64
	// Bytes is what the stored messages take, in bytes.
	Bytes uint64
	// Messages is how many are stored.
	Messages uint64
	// Led is for how long who answered has led the log, where several servers keep it;
	// 0 where it is not known, or one keeps it alone. A leader that has just begun may
	// be behind those that follow it.
	Led time.Duration
}

// A Scan says which messages to read.
type Scan struct {
	// From is the first sequence wanted; 0 is the beginning.
	From uint64
	// Newest asks for the newest message of every subject instead of all
	// messages: as of the highest sequence that comes. While others append, a
	// subject may come more than once, and a step back in sequence is possible.
	Newest bool
	// Subject, unless empty, asks for the messages of this subject alone. It does
	// not go together with Newest.
	Subject string
	// Follow goes on with what is appended later, until the context ends.
	// Without it the scan ends at what was last when it began.
	Follow bool
}

// A Source is the reading side of a log.
type Source interface {
	// At reads one message by sequence, from the leader. ErrNotFound when it
	// was purged or never was.
	At(ctx context.Context, seq uint64) (Message, error)
	// Bounds asks the leader for the ends of the log.
	Bounds(ctx context.Context) (Bounds, error)
	// Scan calls each for every message wanted, in the log's order except as
	// Scan.Newest says, from one goroutine. It returns nil at the end, the
	// context's error, or what each returned. Messages purged meanwhile are left
	// out without a word: the caller sees the hole in the sequences.
	Scan(ctx context.Context, s Scan, each func(Message) error) error
}

// A Log is one ordered, durable stream of messages.
//
// Every implementation passes inboxtest.Log.
type Log interface {
	Source
	// Append stores the proposals in their order and returns a receipt for
	// each, in the same order, once all are answered. They are sent without
	// waiting for each other, so two of one call must not share a subject. One
	// that fails does not stop the others.
	Append(ctx context.Context, proposals ...Proposal) []Receipt
	// Newest reads a subject's newest message from the leader. ErrNotFound
	// when there is none.
	Newest(ctx context.Context, subject string) (Message, error)
	// Purge removes every message below the sequence.
	Purge(ctx context.Context, below uint64) error
}
