package inbox

import (
	"encoding/binary"
	"errors"
	"fmt"
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
}

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

// The stored form of an entry (docs/decisions/0004): a version byte, then
// fields, each a key (field number shifted left by one; lowest bit set where
// bytes follow) and a number, both varints; with the bit set the number is the
// length of the bytes that follow. Fields at their zero value are left out,
// unknown ones are skipped, so that a later version can add some.
const storedVersion = 1

const (
	fieldEpoch = 1 + iota
	fieldAudience
	fieldLeft
	fieldStatus
	fieldFlags // severity << 3 | quiet << 2 | active << 1 | acked
	fieldTold
	fieldPrev
	fieldAnnounced
	fieldTag
	fieldRev
	fieldGroup
	fieldEpochs
	fieldPrivate
	fieldBody
	// Inside fieldLeft and fieldEpochs.
	fieldSeq
	fieldTime
	fieldPurged
)

// ErrStored: bytes that are not a stored entry.
var ErrStored = errors.New("not a stored entry")

type encoder []byte

func (b *encoder) number(field int, n uint64) {
	if n != 0 {
		*b = binary.AppendUvarint(*b, uint64(field)<<1)
		*b = binary.AppendUvarint(*b, n)
	}
}

func encodeBytes[T string | []byte | Audience](b *encoder, field int, s T) {
	if len(s) != 0 {
		*b = binary.AppendUvarint(*b, uint64(field)<<1|1)
		*b = binary.AppendUvarint(*b, uint64(len(s)))
		*b = append(*b, s...)
	}
}

// Encode writes the entry as it is stored. Seq and Subject are not part of it.
func (e *Entry) Encode() []byte {
	b := make(encoder, 0, 96+len(e.Body)+len(e.Private))
	b = append(b, storedVersion)
	encodeBytes(&b, fieldEpoch, e.Epoch)
	encodeBytes(&b, fieldAudience, e.Audience)
	for _, l := range e.Left {
		var n encoder
		encodeBytes(&n, fieldAudience, l.Audience)
		n.number(fieldSeq, l.Seq)
		encodeBytes(&n, fieldTag, l.Tag)
		n.number(fieldRev, l.Rev)
		n.number(fieldTime, uint64(l.Time.UnixMilli()))
		encodeBytes(&b, fieldLeft, []byte(n))
	}
	encodeBytes(&b, fieldStatus, e.Status)
	flags := uint64(e.Severity) << 3
	for i, set := range [...]bool{e.Acked, e.Active, e.Quiet} {
		if set {
			flags |= 1 << i
		}
	}
	b.number(fieldFlags, flags)
	b.number(fieldTold, e.Told)
	b.number(fieldPrev, e.Prev)
	b.number(fieldAnnounced, e.Announced)
	encodeBytes(&b, fieldTag, e.Tag)
	b.number(fieldRev, e.Rev)
	for _, g := range e.Groups {
		encodeBytes(&b, fieldGroup, g)
	}
	for _, p := range e.Epochs {
		var n encoder
		encodeBytes(&n, fieldEpoch, p.Name)
		n.number(fieldSeq, p.First)
		encodeBytes(&b, fieldEpochs, []byte(n))
	}
	b.number(fieldPurged, e.Purged)
	encodeBytes(&b, fieldPrivate, e.Private)
	encodeBytes(&b, fieldBody, e.Body)
	return b
}

// Decode reads a stored message. Body and Private share the message's memory.
func Decode(m Message) (Entry, error) {
	e := Entry{Seq: m.Seq, Subject: m.Subject}
	err := storedFields(m, func(field int, n uint64, s []byte) error {
		switch field {
		case fieldEpoch:
			e.Epoch = string(s)
		case fieldAudience:
			e.Audience = Audience(s)
		case fieldLeft:
			l, err := decodeLeft(s)
			e.Left = append(e.Left, l)
			return err
		case fieldStatus:
			e.Status = string(s)
		case fieldFlags:
			e.Acked, e.Active, e.Quiet = n&1 != 0, n&2 != 0, n&4 != 0
			e.Severity = Severity(n >> 3 & 7)
		case fieldTold:
			e.Told = n
		case fieldPrev:
			e.Prev = n
		case fieldAnnounced:
			e.Announced = n
		case fieldTag:
			e.Tag = string(s)
		case fieldRev:
			e.Rev = n
		case fieldGroup:
			e.Groups = append(e.Groups, string(s))
		case fieldEpochs:
			p, err := decodeEpoch(s)
			e.Epochs = append(e.Epochs, p)
			return err
		case fieldPurged:
			e.Purged = n
		case fieldPrivate:
			e.Private = s
		case fieldBody:
			e.Body = s
		}
		return nil
	})
	return e, err
}

// decodeBody reads no more of a stored message than what readers see.
func decodeBody(m Message) (body []byte, err error) {
	err = storedFields(m, func(field int, _ uint64, s []byte) error {
		if field == fieldBody {
			body = s
		}
		return nil
	})
	return body, err
}

func decodeLeft(b []byte) (Left, error) {
	var l Left
	err := fields(b, func(field int, n uint64, s []byte) error {
		switch field {
		case fieldAudience:
			l.Audience = Audience(s)
		case fieldSeq:
			l.Seq = n
		case fieldTag:
			l.Tag = string(s)
		case fieldRev:
			l.Rev = n
		case fieldTime:
			l.Time = time.UnixMilli(int64(n)).UTC()
		}
		return nil
	})
	return l, err
}

func decodeEpoch(b []byte) (Epoch, error) {
	var p Epoch
	err := fields(b, func(field int, n uint64, s []byte) error {
		switch field {
		case fieldEpoch:
			p.Name = string(s)
		case fieldSeq:
			p.First = n
		}
		return nil
	})
	return p, err
}

// storedFields calls each for every field of a stored message.
func storedFields(m Message, each func(field int, n uint64, s []byte) error) error {
	err := ErrStored
	if len(m.Data) > 0 && m.Data[0] == storedVersion {
		err = fields(m.Data[1:], each)
	}
	if err != nil {
		return fmt.Errorf("message %d of %s: %w", m.Seq, m.Subject, err)
	}
	return nil
}

// fields calls each for every field; s is nil for numbers.
func fields(b []byte, each func(field int, n uint64, s []byte) error) error {
	for len(b) > 0 {
		key, w := binary.Uvarint(b)
		if w <= 0 {
			return ErrStored
		}
		b = b[w:]
		n, w := binary.Uvarint(b)
		if w <= 0 {
			return ErrStored
		}
		b = b[w:]
		var s []byte
		if key&1 != 0 {
			if n > uint64(len(b)) {
				return ErrStored
			}
			s, b = b[:n:n], b[n:]
		}
		if err := each(int(key>>1), n, s); err != nil {
			return err
		}
	}
	return nil
}
