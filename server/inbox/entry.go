package inbox

import (
	"strconv"
	"strings"
	"time"
)

// An Entry is the full state of one subject after one change.
//
// Sequences inside an entry cannot name the entry itself, which has none before
// it is stored: 0 stands for "this one".
type Entry struct {
	Seq     uint64 // position in the log, 0 before the append
	Subject string

	// Epoch names the start of the node that wrote the entry.
	Epoch string
	// Audience is whose inbox the entry belongs to; empty for nobody's.
	Audience Audience
	// Left are the audiences that saw the subject formerly and do not now.
	Left []Left
	// Status is the outcome of the event, in the words of the package alarm, for
	// a retry to be answered with.
	Status string
	// Quiet entries are not shown to readers when they come; state, counters and
	// de-duplication see them.
	Quiet bool
	// Told is, in a quiet entry, the sequence of the subject's last change shown
	// to readers, 0 for none. Other entries are that change themselves.
	Told uint64
	// Prev is the sequence of the change shown before this one, 0 for none. The
	// view learns from it what the window no longer holds.
	Prev uint64
	// Announced is the sequence of the last change that made the subject unread:
	// a raise, an escalation, a notice. Never says that there was none.
	Announced uint64
	// Tag tells occurrences of one alarm apart; with the subject it makes the ID.
	Tag string
	// Rev counts the changes of the subject's state.
	Rev      uint64
	Severity Severity
	// Active is the condition of an alarm, and the membership of a dir.m entry.
	Active bool
	Acked  bool
	// Groups of a dir.d or dir.r entry.
	Groups []string
	// Epochs of a sys.epoch entry, oldest first, its own last.
	Epochs []Epoch
	// Purged of a sys.purged entry: what stands below this sequence is gone.
	Purged uint64
	// At is when the change happened, by the clock that its writer orders events
	// by, to the millisecond; a device's, where that is trusted.
	At time.Time
	// Due is when the worker must look at the subject again, by the server's
	// clock, to the millisecond; zero for never. It holds while the entry is the
	// subject's newest.
	Due time.Time
	// Stored is when the log took the entry, zero before the append.
	Stored time.Time
	// Private is state of the writer's own that the core does not read.
	Private []byte
	// Body is what readers see: a JSON object without its seq.
	Body []byte
}

// Never in Announced says that the subject was never announced.
const Never = ^uint64(0)

// A Left names a former audience of a subject: what it saw last, and when it
// ceased to.
type Left struct {
	Audience Audience
	Seq      uint64 // of the entry that took the subject away; 0 = this one
	Tag      string // of the occurrence that was seen
	Rev      uint64
	Time     time.Time
}

// An Epoch is a stretch of the log, begun by a node's start.
type Epoch struct {
	Name  string
	First uint64 // its sys.epoch entry; 0 = this one
	// Lost are the sequences that the log was found to have lost when the epoch
	// began. Whoever read the log before is told so by a gap, wherever he stood.
	Lost []Span
}

// A Span is a range of sequences, both ends included.
type Span struct{ First, Last uint64 }

// ToldAt is the sequence of the subject's last change shown to readers, as of
// this stored entry; 0 for none.
func (e *Entry) ToldAt() uint64 {
	if e.Quiet {
		return e.Told
	}
	return e.Seq
}

// AnnouncedAt is the sequence of the subject's last announcement, as of this
// stored entry; 0 for none.
func (e *Entry) AnnouncedAt() uint64 {
	switch e.Announced {
	case 0:
		return e.Seq
	case Never:
		return 0
	}
	return e.Announced
}

// Succeed fills in what an entry inherits from prev, its subject's newest stored
// entry: Told, Prev, Left and, unless the entry announces something, Announced.
// What was left below the sequence purged is forgotten.
func (e *Entry) Succeed(prev *Entry, announces bool, now time.Time, purged uint64) {
	e.Told, e.Prev = 0, 0
	if e.Quiet {
		e.Told = prev.ToldAt()
	} else {
		e.Prev = prev.ToldAt()
	}
	e.Announced = 0
	if !announces {
		if e.Announced = prev.AnnouncedAt(); e.Announced == 0 {
			e.Announced = Never
		}
	}
	e.Left = nil
	for _, l := range prev.Left {
		if l.Seq == 0 {
			l.Seq = prev.Seq
		}
		if l.Audience != e.Audience && l.Seq >= purged {
			e.Left = append(e.Left, l)
		}
	}
	if prev.Audience != "" && prev.Audience != e.Audience {
		e.Left = append(e.Left, Left{Audience: prev.Audience, Tag: prev.Tag, Rev: prev.Rev + 1, Time: now})
	}
}

// Open says whether an alarm still wants somebody: active or unacknowledged.
func (e *Entry) Open() bool { return e.Severity != 0 && (e.Active || !e.Acked) }

// ID names the alarm's occurrence, or the notice, for ever. It is opaque to
// clients.
func (e *Entry) ID() string { return itemID(e.Subject, e.Tag) }

func itemID(subject, tag string) string {
	_, rest, _ := strings.Cut(subject, ".")
	if tag == "" {
		return rest
	}
	return rest + "." + tag
}

// ParseID splits an ID into its subject and tag. ok is false for what was never
// an ID.
func ParseID(id string) (subject, tag string, ok bool) {
	t := strings.Split(id, ".")
	for _, token := range t {
		if _, ok := Unescape(token); !ok {
			return "", "", false
		}
	}
	switch {
	case len(t) == 5:
		return prefixAlarm + strings.Join(t[:3], "."), t[3] + "." + t[4], true
	case len(t) == 3 && (t[0] == "u" || t[0] == "r"), len(t) == 2 && t[0] == "all":
		return prefixNotice + id, "", true
	}
	return "", "", false
}

// AlarmTag makes the tag of an alarm's occurrence from its number and the
// server's time of its first raise.
func AlarmTag(occurrence uint64, raised time.Time) string {
	return strconv.FormatUint(occurrence, 10) + "." + strconv.FormatInt(raised.UnixMilli(), 36)
}

// Severity is how bad an alarm is, worst highest. 0 is no alarm at all.
type Severity uint8

// The severities of ITU-T X.733.
const (
	Indeterminate Severity = 1 + iota
	Warning
	Minor
	Major
	Critical
)

// Severities lists the severities, worst first.
var Severities = [...]Severity{Critical, Major, Minor, Warning, Indeterminate}

var severityWords = [...]string{"", "indeterminate", "warning", "minor", "major", "critical"}

// String is the severity's word on the wire.
func (s Severity) String() string {
	if int(s) < len(severityWords) {
		return severityWords[s]
	}
	return "severity(" + strconv.Itoa(int(s)) + ")"
}

// ParseSeverity is the reverse of String.
func ParseSeverity(word string) (Severity, bool) {
	for i := 1; i < len(severityWords); i++ {
		if severityWords[i] == word {
			return Severity(i), true
		}
	}
	return 0, false
}
