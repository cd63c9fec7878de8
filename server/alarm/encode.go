package alarm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"tocsin/server/inbox"
)

// Types of entries.
const (
	TypeRaised    = "alarm.raised"
	TypeUpdated   = "alarm.updated"
	TypeAcked     = "alarm.acked"
	TypeUnacked   = "alarm.unacked"
	TypeCleared   = "alarm.cleared"
	TypeShelved   = "alarm.shelved"
	TypeCommented = "alarm.commented"
	TypeNotice    = "notice"
)

// A body is what readers see of an entry.
type body struct {
	Type  string    `json:"type"`
	Time  time.Time `json:"time"`
	By    string    `json:"by"`
	Note  string    `json:"note,omitempty"` // of the command
	Alarm Alarm     `json:"alarm"`
}

// text writes JSON by hand: an alarm is encoded once for all of its readers, but
// on the path of every event.
type text []byte

func (b *text) key(name string) {
	if n := len(*b); n > 0 && (*b)[n-1] != '{' {
		*b = append(*b, ',')
	}
	*b = append(*b, '"')
	*b = append(*b, name...)
	*b = append(*b, '"', ':')
}

func (b *text) string(name, s string) {
	b.key(name)
	*b = inbox.AppendString(*b, s)
}

func (b *text) number(name string, n uint64) {
	b.key(name)
	*b = strconv.AppendUint(*b, n, 10)
}

func (b *text) bool(name string, v bool) {
	b.key(name)
	*b = strconv.AppendBool(*b, v)
}

func (b *text) time(name string, t time.Time) {
	b.key(name)
	*b = append(*b, '"')
	*b = t.UTC().AppendFormat(*b, inbox.TimeFormat)
	*b = append(*b, '"')
}

func (b *text) timeOrNull(name string, t *time.Time) {
	if t == nil {
		b.key(name)
		*b = append(*b, "null"...)
		return
	}
	b.time(name, *t)
}

func (b *text) head(typ string, now time.Time, by string) {
	*b = append(*b, '{')
	b.string("type", typ)
	b.time("time", now)
	b.string("by", by)
}

// encode writes an entry's body. The alarm comes last: see Text.
func (c *change) encode() []byte {
	b := make(text, 0, 640+len(c.alarm.Message)+len(c.note))
	b.head(c.typ, c.now, c.by)
	if c.note != "" {
		b.string("note", c.note)
	}
	b.key("alarm")
	return append(c.alarm.AppendJSON(b), '}')
}

// Text cuts the alarm's own JSON object out of the body of an alarm's entry. It
// shares the body's memory; nil for what is no such body.
func Text(body []byte) []byte {
	// Inside a string the quotes would be escaped.
	const key = `,"alarm":`
	i := bytes.Index(body, []byte(key))
	if i < 0 {
		return nil
	}
	return body[i+len(key) : len(body)-1]
}

// AppendJSON writes the alarm as an object, as it stands in entries and in every
// answer that has one.
func (a *Alarm) AppendJSON(to []byte) []byte {
	b := append(text(to), '{')
	b.string("id", a.ID)
	b.number("rev", a.Rev)
	b.string("device", a.Device)
	b.string("type", a.Type)
	b.string("qualifier", a.Qualifier)
	b.number("occurrence", a.Occurrence)
	b.string("severity", a.Severity)
	b.string("severity_max", a.SeverityMax)
	b.string("kind", a.Kind)
	b.bool("active", a.Active)
	b.bool("acked", a.Acked)
	b.number("count", a.Count)
	b.key("groups")
	b = append(b, '[')
	for i, g := range a.Groups {
		if i > 0 {
			b = append(b, ',')
		}
		b = inbox.AppendString(b, g)
	}
	b = append(b, ']')
	b.time("raised_at", a.RaisedAt)
	b.time("last_raised_at", a.LastRaised)
	b.time("received_at", a.ReceivedAt)
	b.timeOrNull("cleared_at", a.ClearedAt)
	if a.ClearReason != "" {
		b.string("clear_reason", a.ClearReason)
	}
	b.key("acked_by")
	if a.AckedBy == nil {
		b = append(b, "null"...)
	} else {
		b = inbox.AppendString(b, *a.AckedBy)
	}
	b.timeOrNull("acked_at", a.AckedAt)
	if a.AckNote != "" {
		b.string("ack_note", a.AckNote)
	}
	b.number("earlier_unacked", a.Earlier)
	if a.Chattering {
		b.bool("chattering", true)
	}
	if a.ShelvedUntil != nil {
		b.time("shelved_until", *a.ShelvedUntil)
		b.string("shelved_by", a.ShelvedBy)
	}
	if a.Comments > 0 {
		b.number("comments", a.Comments)
	}
	if a.Superseded {
		b.bool("superseded", true)
	}
	b.string("message", a.Message)
	b.key("attrs")
	b.attrs(a.Attrs)
	return append(b, '}')
}

func (b *text) attrs(attrs map[string]string) {
	*b = append(*b, '{')
	if len(attrs) == 1 {
		for k, v := range attrs {
			b.attr(k, v)
		}
	} else if len(attrs) > 1 {
		for _, k := range slices.Sorted(maps.Keys(attrs)) {
			b.attr(k, attrs[k])
		}
	}
	*b = append(*b, '}')
}

func (b *text) attr(k, v string) {
	if n := len(*b); (*b)[n-1] != '{' {
		*b = append(*b, ',')
	}
	*b = inbox.AppendString(*b, k)
	*b = append(*b, ':')
	*b = inbox.AppendString(*b, v)
}

// decode reads the alarm that an entry carries.
func decode(e *inbox.Entry) (body, error) {
	var b body
	if err := json.Unmarshal(e.Body, &b); err != nil {
		return b, fmt.Errorf("read the alarm of entry %d: %w", e.Seq, err)
	}
	return b, nil
}
