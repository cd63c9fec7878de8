package ingest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// An alert is one of Alertmanager's webhook, version 4.
type alert struct {
	Status      string            `json:"status"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
	StartsAt    time.Time         `json:"startsAt"`
	EndsAt      time.Time         `json:"endsAt"`
	Fingerprint string            `json:"fingerprint"`
}

// Labels with a meaning.
const (
	labelName     = "alertname"
	labelDevice   = "device"
	labelInstance = "instance"
	labelSeverity = "severity"
)

// Alertmanager reads a notification of Prometheus Alertmanager's webhook, an item
// an alert. device names the label that says which device an alert is about; where
// an alert does not have it, and if device is empty, that is the label device,
// instance or alertname, the first there is.
//
// An alert repeats what Alertmanager knows whenever its group changes and for as
// long as it lasts, so the events are levels. The error is alarm.ErrMalformed or
// an inbox.FieldError, for a body that is no notification.
func Alertmanager(body []byte, device string) ([]Item, error) {
	var m struct {
		Version string            `json:"version"`
		Alerts  []json.RawMessage `json:"alerts"`
	}
	if !utf8.Valid(body) {
		return nil, fmt.Errorf("%w: a notification is UTF-8", alarm.ErrMalformed)
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", alarm.ErrMalformed, err)
	}
	if m.Version != "4" {
		return nil, inbox.Fieldf("version", `want "4", not %.20q`, m.Version)
	}
	if m.Alerts == nil {
		return nil, inbox.Fieldf("alerts", "required: a list of alerts")
	}
	items := make([]Item, len(m.Alerts))
	for i, text := range m.Alerts {
		items[i] = ofAlert(text, device)
	}
	return items, nil
}

func ofAlert(text []byte, label string) Item {
	var a alert
	if err := json.Unmarshal(text, &a); err != nil {
		return Item{Err: fmt.Errorf("%w: %w", alarm.ErrMalformed, err), Raw: text}
	}
	if a.Fingerprint == "" {
		return Item{Err: inbox.Fieldf("fingerprint", "required"), Raw: text}
	}
	if label == "" || a.Labels[label] == "" {
		label = labelName
		for _, name := range [...]string{labelDevice, labelInstance} {
			if a.Labels[name] != "" {
				label = name
				break
			}
		}
	}
	e := alarm.Event{
		Device:    fit(a.Labels[label], inbox.MaxDeviceChars),
		Type:      typeName(cmp.Or(a.Labels[labelName], "alert")),
		Qualifier: fit(a.Fingerprint, alarm.MaxQualifierChars),
		Level:     true,
	}
	switch a.Status {
	case "firing":
		e.State, e.Time = alarm.StateRaised, a.StartsAt
	case "resolved":
		e.State, e.Time = alarm.StateCleared, a.EndsAt
	default:
		return Item{Err: inbox.Fieldf("status", "want firing or resolved, not %.40q", a.Status), Raw: text}
	}
	e.ID = "am:" + digest(e.Device, e.Type, e.Qualifier, a.Status, stamp(e.Time))
	a.describe(&e, label)
	return checked(e, text)
}

// describe takes over the words: the summary is what people read, labels are
// attributes, in the order of their names, and after them the description.
func (a *alert) describe(e *alarm.Event, deviceLabel string) {
	e.Message = cmp.Or(a.Annotations["summary"], a.Annotations["description"], a.Annotations["message"])
	word := a.Labels[labelSeverity]
	var known bool
	e.Severity, known = wordOf(word, alertWords)
	var kept attrs
	for _, name := range slices.Sorted(maps.Keys(a.Labels)) {
		switch {
		case name == deviceLabel || name == labelName:
		case name == labelSeverity && known:
		default:
			kept.add(name, a.Labels[name])
		}
	}
	if text := a.Annotations["description"]; text != e.Message {
		kept.add("description", text)
	}
	e.Attrs = kept.all()
}

// alertWords are what people write into the label severity besides the model's
// own words.
var alertWords = map[string]inbox.Severity{
	"page": inbox.Critical, "error": inbox.Major, "warn": inbox.Warning, "info": inbox.Warning,
}

// wordOf is the model's word for another's. known says that it was the model's
// own: the original of any other is worth keeping. What nobody knows is
// indeterminate.
func wordOf(word string, others map[string]inbox.Severity) (severity string, known bool) {
	word = strings.ToLower(word)
	if s, ok := inbox.ParseSeverity(word); ok {
		return s.String(), true
	}
	if s, ok := others[word]; ok {
		return s.String(), false
	}
	return inbox.Indeterminate.String(), false
}
