package ingest

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// MaxPagerDutyBytes bounds a body for PagerDuty, as PagerDuty does.
const MaxPagerDutyBytes = 512 << 10

// A PagerDuty is an event in the form of PagerDuty's Events API v2.
type PagerDuty struct {
	// RoutingKey is where clients of PagerDuty have room for a secret.
	RoutingKey string `json:"routing_key"`
	Action     string `json:"event_action"`
	DedupKey   string `json:"dedup_key"`
	Client     string `json:"client"`
	ClientURL  string `json:"client_url"`
	Payload    struct {
		Summary   string                     `json:"summary"`
		Source    string                     `json:"source"`
		Severity  string                     `json:"severity"`
		Timestamp string                     `json:"timestamp"`
		Component string                     `json:"component"`
		Group     string                     `json:"group"`
		Class     string                     `json:"class"`
		Details   map[string]json.RawMessage `json:"custom_details"`
	} `json:"payload"`
}

// Actions of a PagerDuty event.
const (
	Trigger     = "trigger"
	Acknowledge = "acknowledge"
	Resolve     = "resolve"
)

// ParsePagerDuty reads a body. The error is alarm.ErrMalformed.
func ParsePagerDuty(body []byte) (*PagerDuty, error) {
	var p PagerDuty
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: an event is UTF-8", alarm.ErrMalformed)
	}
	err := json.Unmarshal(body, &p)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && strings.HasSuffix(wrong.Field, "custom_details") {
		err = nil // an object, says PagerDuty, but clients send anything; all else has been read
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", alarm.ErrMalformed, err)
	}
	return &p, nil
}

// Missing names the fields that the event must have and has not, in the words of
// PagerDuty's own answers.
func (p *PagerDuty) Missing() (errs []string) {
	blank := func(name, value string) {
		if strings.TrimSpace(value) == "" {
			errs = append(errs, "'"+name+"' is missing or blank")
		}
	}
	blank("event_action", p.Action)
	switch p.Action {
	case Trigger:
		blank("payload.summary", p.Payload.Summary)
		blank("payload.source", p.Payload.Source)
		blank("payload.severity", p.Payload.Severity)
	case Acknowledge, Resolve:
		blank("dedup_key", p.DedupKey)
	case "":
	default:
		errs = append(errs, "'event_action' must be one of trigger, acknowledge, resolve")
	}
	if utf8.RuneCountInString(p.DedupKey) > maxDedupKey {
		errs = append(errs, fmt.Sprintf("'dedup_key' must have at most %d characters", maxDedupKey))
	}
	return errs
}

// maxDedupKey is PagerDuty's own limit, in characters.
const maxDedupKey = 255

// Event makes an event of the alarm model of one whose Missing is empty; one that
// acknowledges gives a raise, of which only the identity means something. device
// is the one that events with a key of the sender's own are about. key is that
// key, or the one that the sender is to resolve the event with.
//
// Such an event cannot be about its payload's source: a resolve need have nothing
// but the key, so device, type and qualifier must follow from the key and from who
// sends it. A key that is made here holds all three.
func (p *PagerDuty) Event(device string) (item Item, key string) {
	e := alarm.Event{State: alarm.StateRaised}
	id, ours := parseKey(p.DedupKey)
	switch {
	case p.DedupKey == "":
		id = p.identity()
		p.DedupKey = id.key()
	case !ours:
		id = identity{fit(device, inbox.MaxDeviceChars), keyedType, fit(p.DedupKey, alarm.MaxQualifierChars)}
	}
	e.Device, e.Type, e.Qualifier = id.device, id.typ, id.qualifier
	if p.Action == Resolve {
		e.State = alarm.StateCleared
	}
	var err error
	if e.Time, err = parseTime(p.Payload.Timestamp); err != nil {
		return Item{Err: err}, p.DedupKey
	}
	if p.Payload.Timestamp != "" { // sent again, it is the same one
		e.ID = "pd:" + digest(p.Action, p.DedupKey, e.Device, stamp(e.Time), p.Payload.Severity, p.Payload.Summary)
	}
	p.describe(&e)
	return checked(e, nil), p.DedupKey
}

// describe takes over the words. A resolve without a payload says nothing.
func (p *PagerDuty) describe(e *alarm.Event) {
	l := &p.Payload
	e.Message = l.Summary
	var known bool
	e.Severity, known = wordOf(l.Severity, map[string]inbox.Severity{"error": inbox.Major, "info": inbox.Warning})
	// Of PagerDuty's four words, error means major, warning minor, info warning.
	if strings.EqualFold(l.Severity, "warning") {
		e.Severity, known = inbox.Minor.String(), false
	}
	var kept attrs
	if !known {
		kept.add("severity", l.Severity)
	}
	for _, one := range [...][2]string{
		{"source", l.Source}, {"component", l.Component}, {"group", l.Group}, {"class", l.Class},
		{"client", p.Client}, {"client_url", p.ClientURL},
	} {
		kept.add(one[0], one[1])
	}
	for _, name := range slices.Sorted(maps.Keys(l.Details)) {
		var text string
		if json.Unmarshal(l.Details[name], &text) != nil {
			text = string(l.Details[name])
		}
		if text != "null" {
			kept.add(name, text)
		}
	}
	e.Attrs = kept.all()
}

// An identity is that of an alarm.
type identity struct{ device, typ, qualifier string }

// keyedType is the type of alarms that are known by the sender's key alone, and of
// those whose sender gives none.
const keyedType = "event"

// Bounds that let an identity fit into a key, in bytes before it is encoded.
const (
	keyedDevice = 64
	keyedChars  = 96
)

// identity is that of an event without a key: one alarm for each summary of a
// source, since every event without a key is another incident.
func (p *PagerDuty) identity() identity {
	l := &p.Payload
	device := fit(l.Source, inbox.MaxDeviceChars)
	if len(device) > keyedDevice {
		device = "source-" + digest(l.Source)
	}
	return identity{
		device: device, typ: fit(typeName(cmp.Or(l.Class, l.Component, keyedType)), keyedChars),
		qualifier: digest(l.Summary, l.Component, l.Group)[:hashed],
	}
}

// keyPrefix marks the keys that are made here.
const keyPrefix = "tocsin."

// key writes the identity as a dedup_key.
func (i identity) key() string {
	text := strings.Join([]string{i.device, i.typ, i.qualifier}, "\x00")
	return keyPrefix + base64.RawURLEncoding.EncodeToString([]byte(text))
}

func parseKey(key string) (i identity, ok bool) {
	text, ours := strings.CutPrefix(key, keyPrefix)
	plain, err := base64.RawURLEncoding.DecodeString(text)
	parts := strings.Split(string(plain), "\x00")
	if !ours || err != nil || len(parts) != 3 {
		return identity{}, false
	}
	return identity{parts[0], parts[1], parts[2]}, true
}

// parseTime reads ISO 8601 as PagerDuty's clients write it: RFC 3339, a zone
// without a colon, or none, which is UTC.
func parseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	for _, layout := range [...]string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02T15:04:05", "2006-01-02 15:04:05Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, inbox.Fieldf("payload.timestamp", "want ISO 8601, such as 2026-11-21T02:00:00Z, not %.40q", text)
}
