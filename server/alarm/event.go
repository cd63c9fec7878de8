package alarm

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin/server/inbox"
)

// Limits of an event, in the units of their names.
const (
	MaxTypeBytes      = 128
	MaxQualifierChars = 128
	MaxIDChars        = 128
	MaxMessageBytes   = 1024 // longer ones are cut at a rune
	MaxAttrs          = 32
	MaxAttrsBytes     = 4096 // names and values together
	MaxEventBytes     = 64 << 10
	MaxBatchEvents    = 5000
)

// States of an event.
const (
	StateRaised  = "raised"
	StateCleared = "cleared"
)

// Kinds of alarm.
const (
	KindStateful  = "stateful"
	KindMomentary = "momentary"
)

// An Event is one report of a publisher about one alarm of one device.
type Event struct {
	// ID names the event, so that it can be sent again; empty: no
	// de-duplication. It is scoped to the publisher.
	ID        string            `json:"id"`
	Device    string            `json:"device"`
	Type      string            `json:"type"`
	Qualifier string            `json:"qualifier"`
	Severity  string            `json:"severity"`
	State     string            `json:"state"`
	Kind      string            `json:"kind"`
	Message   string            `json:"message"`
	Attrs     map[string]string `json:"attrs"`
	// Time is the device's; zero is the server's time of arrival.
	Time time.Time `json:"time"`

	// Level says that the event repeats a condition rather than reports a change
	// of it, as bits that stand in every report of a device do: it counts only
	// where it differs from what is known. A door sets it, never the text of an
	// event.
	Level bool `json:"-"`
}

// ParseEvent reads one JSON object. Unknown fields are ignored. The error is
// ErrMalformed or a FieldError.
func ParseEvent(text []byte) (Event, error) {
	e, err := ReadEvent(text)
	if err != nil {
		return e, err
	}
	return e, e.Check()
}

// ReadEvent is ParseEvent for a door that completes the event before it is
// checked: what is missing or out of bounds is no error yet.
func ReadEvent(text []byte) (Event, error) {
	var e Event
	if len(text) > MaxEventBytes {
		return e, inbox.Fieldf("event", "at most %d bytes, not %d", MaxEventBytes, len(text))
	}
	if t := bytes.TrimSpace(text); len(t) == 0 || t[0] != '{' {
		return e, fmt.Errorf("%w: an event is a JSON object", ErrMalformed)
	}
	if !utf8.Valid(text) {
		return e, fmt.Errorf("%w: an event is UTF-8", ErrMalformed)
	}
	if err := json.Unmarshal(text, &e); err != nil {
		return e, explain(err)
	}
	return e, nil
}

// explain turns what encoding/json says into the field and what it wants.
func explain(err error) error {
	var typ *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	var when *time.ParseError
	switch {
	case errors.As(err, &typ):
		want := map[string]string{"string": "a string", "map[string]string": "an object of strings"}[typ.Type.String()]
		if want == "" {
			want = typ.Type.String()
		}
		return inbox.Fieldf(typ.Field, "want %s, not %s", want, typ.Value)
	case errors.As(err, &when), strings.Contains(err.Error(), "Time.UnmarshalJSON"):
		return inbox.Fieldf("time", "want RFC 3339, such as 2026-11-21T02:00:00.250Z")
	case errors.As(err, &syntax):
		return fmt.Errorf("%w: not JSON at byte %d: %s", ErrMalformed, syntax.Offset, syntax.Error())
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// Check says whether the event is within bounds; the error is a FieldError.
func (e *Event) Check() error {
	if err := inbox.CheckText("device", e.Device, 1, inbox.MaxDeviceChars); err != nil {
		return err
	}
	if err := CheckType(e.Type); err != nil {
		return err
	}
	if err := inbox.CheckText("qualifier", e.Qualifier, 0, MaxQualifierChars); err != nil {
		return err
	}
	if err := inbox.CheckText("id", e.ID, 0, MaxIDChars); err != nil {
		return err
	}
	if e.Severity == "" && e.State != StateCleared {
		return inbox.Fieldf("severity", "required: critical, major, minor, warning, indeterminate or cleared")
	}
	switch e.State {
	case "", StateRaised, StateCleared:
	default:
		return inbox.Fieldf("state", "want %s or %s, not %.40q", StateRaised, StateCleared, e.State)
	}
	switch e.Kind {
	case "", KindStateful, KindMomentary:
	default:
		return inbox.Fieldf("kind", "want %s or %s, not %.40q", KindStateful, KindMomentary, e.Kind)
	}
	if !e.Time.IsZero() && (e.Time.Year() < 1970 || e.Time.Year() > 9999) {
		return inbox.Fieldf("time", "want a year from 1970 to 9999, not %d", e.Time.Year())
	}
	return checkAttrs(e.Attrs)
}

// CheckType says whether s may be the type of an alarm; the error is a FieldError.
func CheckType(s string) error {
	if s == "" || len(s) > MaxTypeBytes {
		return inbox.Fieldf("type", "1 to %d characters, not %d", MaxTypeBytes, len(s))
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.IndexByte("_.:-", c) >= 0) {
			return inbox.Fieldf("type", "only A-Z a-z 0-9 _ . : - may stand in it, not %q", s[i:i+1])
		}
	}
	return nil
}

func checkAttrs(attrs map[string]string) error {
	if len(attrs) > MaxAttrs {
		return inbox.Fieldf("attrs", "at most %d, not %d", MaxAttrs, len(attrs))
	}
	total := 0
	for k, v := range attrs {
		if k == "" {
			return inbox.Fieldf("attrs", "a name is empty")
		}
		total += len(k) + len(v)
	}
	if total > MaxAttrsBytes {
		return inbox.Fieldf("attrs", "at most %d bytes together, not %d", MaxAttrsBytes, total)
	}
	return nil
}

// severity reads the event's severity word; cleared says that it means the state.
// An unknown word is indeterminate and returned as original.
func (e *Event) severity() (s inbox.Severity, cleared bool, original string) {
	if e.Severity == StateCleared || e.State == StateCleared {
		return 0, true, ""
	}
	if s, ok := inbox.ParseSeverity(e.Severity); ok {
		return s, false, ""
	}
	return inbox.Indeterminate, false, e.Severity
}
