package inbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

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
	fieldTime // also when the entry itself happened
	fieldPurged
	fieldDue
	fieldLost // inside fieldEpochs
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

// time keeps milliseconds; the zero time, and any before 1970, is none.
func (b *encoder) time(field int, t time.Time) {
	if ms := t.UnixMilli(); ms > 0 {
		b.number(field, uint64(ms))
	}
}

func decodeTime(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms)).UTC()
}

func encodeBytes[T string | []byte | Audience](b *encoder, field int, s T) {
	if len(s) != 0 {
		*b = binary.AppendUvarint(*b, uint64(field)<<1|1)
		*b = binary.AppendUvarint(*b, uint64(len(s)))
		*b = append(*b, s...)
	}
}

// Encode writes the entry as it is stored. Seq, Subject and Stored are not part
// of it.
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
		n.time(fieldTime, l.Time)
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
		for _, l := range p.Lost {
			encodeBytes(&n, fieldLost, binary.AppendUvarint(binary.AppendUvarint(nil, l.First), l.Last))
		}
		encodeBytes(&b, fieldEpochs, []byte(n))
	}
	b.time(fieldTime, e.At)
	b.time(fieldDue, e.Due)
	b.number(fieldPurged, e.Purged)
	encodeBytes(&b, fieldPrivate, e.Private)
	encodeBytes(&b, fieldBody, e.Body)
	return b
}

// Decode reads a stored message. Body and Private share the message's memory.
func Decode(m Message) (Entry, error) {
	e := Entry{Seq: m.Seq, Subject: m.Subject, Stored: m.Time}
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
		case fieldTime:
			e.At = decodeTime(n)
		case fieldDue:
			e.Due = decodeTime(n)
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
			l.Time = decodeTime(n)
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
		case fieldLost:
			first, w := binary.Uvarint(s)
			last, v := binary.Uvarint(s[max(w, 0):])
			if w <= 0 || v <= 0 {
				return ErrStored
			}
			p.Lost = append(p.Lost, Span{first, last})
		}
		return nil
	})
	return p, err
}

// IsStored says whether bytes may be a stored entry, without reading them.
func IsStored(data []byte) bool { return len(data) > 0 && data[0] == storedVersion }

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
