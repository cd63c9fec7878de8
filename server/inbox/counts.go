package inbox

import (
	"hash/fnv"
	"strconv"
	"time"
)

// Counts are a user's counters. They count alarms and notices, not entries.
type Counts struct {
	// Unread: announced after the user's mark and not read one by one.
	Unread int
	// Active: alarms active or unacknowledged, by Severity.
	Active [Critical + 1]int
	// Flood is the flood that the user is in, its zero value for none.
	Flood Flood
	// Stale: the node has lost touch with the log, so all of this may be old.
	Stale bool
}

// AppendJSON writes the counters as members of an object, without its braces:
// "unread":3,"active":{"critical":1,…}, and during a flood
// "flood":{"since":"2026-11-21T02:00:00.250Z","quiet":7}, and on a node that has lost
// touch with the log "stale":true.
func (c Counts) AppendJSON(b []byte) []byte {
	b = append(b, `"unread":`...)
	b = strconv.AppendInt(b, int64(c.Unread), 10)
	b = append(b, `,"active":{`...)
	for i, s := range Severities {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, s.String()...)
		b = append(b, `":`...)
		b = strconv.AppendInt(b, int64(c.Active[s]), 10)
	}
	b = append(b, '}')
	if c.Flood.Since != 0 {
		b = append(b, `,"flood":{"since":"`...)
		b = appendMilli(b, c.Flood.Since)
		b = append(b, `","quiet":`...)
		b = strconv.AppendInt(b, int64(c.Flood.Quiet), 10)
		b = append(b, '}')
	}
	if c.Stale {
		b = append(b, `,"stale":true`...)
	}
	return b
}

// appendMilli writes a Unix time in milliseconds by TimeFormat. It stands in every
// frame of a flood, and reading the layout takes longer than all of its digits.
func appendMilli(b []byte, ms int64) []byte {
	t := time.UnixMilli(ms).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	b = append(appendDigits(b, year, 4), '-')
	b = append(appendDigits(b, int(month), 2), '-')
	b = append(appendDigits(b, day, 2), 'T')
	b = append(appendDigits(b, hour, 2), ':')
	b = append(appendDigits(b, minute, 2), ':')
	b = append(appendDigits(b, second, 2), '.')
	return append(appendDigits(b, t.Nanosecond()/1e6, 3), 'Z')
}

// appendDigits writes the last n digits of a number that is not negative.
func appendDigits(b []byte, number, n int) []byte {
	at := len(b)
	for range n {
		b = append(b, '0')
	}
	for i := at + n - 1; i >= at; i-- {
		b[i] = byte('0' + number%10)
		number /= 10
	}
	return b
}

// cut limits a mark to what its epoch still vouches for.
func (s *state) cut(m Mark) Mark {
	if end := s.markEnd(m.Epoch); m.Epoch != "" && end > 0 && m.Upto >= end {
		m.Upto = end - 1
		m.Epoch = s.epochAt(m.Upto)
	}
	return m
}

// reads says whether the mark covers what the record last announced.
func (m Mark) reads(r *record) bool {
	return r.announced <= m.Upto || r.announced <= m.Read[r.subject]
}

func (s *state) counts(m *membership, mark Mark) Counts {
	c := Counts{Stale: s.stale}
	var raised uint64
	m.each(func(a *audience) {
		raised = max(raised, a.raised)
		c.Unread += a.unread.after(mark.Upto)
		for i, n := range a.open {
			c.Active[i] += n
		}
	})
	for subject := range mark.Read {
		r := s.records[subject]
		if r != nil && !r.held && r.announced > mark.Upto && mark.reads(r) && m.has(r.home) {
			c.Unread--
		}
	}
	if raised != 0 {
		c.Flood = s.floods.of(m, raised)
	}
	return c
}

// version is a short text that changes with the counters and with the mark.
func version(c Counts, m Mark) string {
	h := fnv.New64a()
	b := strconv.AppendUint(c.AppendJSON(nil), m.Upto, 10)
	b = strconv.AppendInt(append(b, '.'), int64(len(m.Read)), 10)
	h.Write(b)
	return strconv.FormatUint(h.Sum64(), 36)
}

// SetMark makes the mark the user's present one, unless it is older, and wakes
// his readers. Whoever watches the Marks calls it.
func (v *View) SetMark(user string, m Mark) {
	v.mu.Lock()
	newer := m.Rev > v.marks[user].Rev
	if newer {
		v.marks[user] = m
	}
	v.mu.Unlock()
	if newer {
		v.bells.ring(userBell(user))
	}
}

// mark is the user's mark as far as the log vouches for it.
func (v *View) mark(user string) Mark { return v.s.cut(v.marks[user]) }
