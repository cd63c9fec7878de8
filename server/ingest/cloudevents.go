package ingest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/cloudevents/sdk-go/v2/binding/spec"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// Content types of CloudEvents 1.0 over HTTP, besides the binary mode, which has
// that of its data.
const (
	TypeCloudEvent  = event.ApplicationCloudEventsJSON
	TypeCloudEvents = event.ApplicationCloudEventsBatchJSON
)

// headerVersion is what a request in the binary mode has.
const headerVersion = "Ce-Specversion"

// ErrNotCloudEvents: the request is in none of the three modes.
var ErrNotCloudEvents = errors.New("no CloudEvent")

// CloudEvents reads the body of a request in whichever of the three modes it is.
// single says that it is not a batch. Errors: ErrNotCloudEvents, for a request
// that is of none of them, alarm.ErrMalformed, or inbox.ErrTooLarge for a batch of
// more than most.
func CloudEvents(h http.Header, body []byte, most int) (items []Item, single bool, err error) {
	t, _, err := mime.ParseMediaType(h.Get("Content-Type"))
	switch {
	case err != nil && h.Get("Content-Type") != "":
		return nil, false, fmt.Errorf("%w: the content type cannot be read", ErrNotCloudEvents)
	case t == TypeCloudEvents:
		items, err = batch(body, most)
		return items, false, err
	case t == TypeCloudEvent:
		return []Item{structured(body)}, true, nil
	case strings.HasPrefix(t, "application/cloudevents"):
		return nil, false, fmt.Errorf("%w: %.80q is not spoken here", ErrNotCloudEvents, t)
	case h.Get(headerVersion) != "":
		return []Item{inHeaders(h, body)}, true, nil
	}
	return nil, false, fmt.Errorf("%w: want %s, %s, or the headers of the binary mode", ErrNotCloudEvents, TypeCloudEvent, TypeCloudEvents)
}

func batch(body []byte, most int) ([]Item, error) {
	var texts []json.RawMessage
	if err := json.Unmarshal(body, &texts); err != nil || texts == nil {
		return nil, fmt.Errorf("%w: want a JSON array of CloudEvents", alarm.ErrMalformed)
	}
	if len(texts) > most {
		return nil, fmt.Errorf("%w: %d events, at most %d", inbox.ErrTooLarge, len(texts), most)
	}
	items := make([]Item, len(texts))
	for i, text := range texts {
		items[i] = structured(text)
	}
	return items, nil
}

func structured(text []byte) Item {
	var ce event.Event
	if t := bytes.TrimSpace(text); len(t) == 0 || t[0] != '{' || !json.Valid(text) || !utf8.Valid(text) {
		return Item{Err: fmt.Errorf("%w: a CloudEvent is a JSON object", alarm.ErrMalformed), Raw: text}
	}
	if err := event.ReadJson(&ce, bytes.NewReader(text)); err != nil {
		return Item{Err: envelope(err), Raw: text}
	}
	return ofCloudEvent(&ce, text)
}

// versions know the names of attributes in headers.
var versions = spec.WithPrefix("ce-")

// inHeaders reads an event whose envelope is the request's header.
func inHeaders(h http.Header, body []byte) Item {
	ce := event.Event{Context: event.EventContextV1{}.AsV1(), DataEncoded: body}
	version := versions.Version(h.Get(headerVersion))
	if version == nil {
		return Item{Err: inbox.Fieldf("specversion", "want 1.0, not %.20q", h.Get(headerVersion)), Raw: body}
	}
	ce.Context = version.NewContext()
	writer, ok := ce.Context.(event.EventContextWriter)
	if !ok {
		return Item{Err: ErrNotCloudEvents, Raw: body}
	}
	if t := h.Get("Content-Type"); t != "" {
		ce.SetDataContentType(t)
	}
	for name, values := range h {
		name = strings.ToLower(name)
		if !strings.HasPrefix(name, versions.Prefix()) {
			continue
		}
		value, err := url.PathUnescape(values[0])
		if err != nil || !utf8.ValidString(value) {
			value = values[0] // of senders who do not know that % is escaped
		}
		if err := version.SetAttribute(writer, name, value); err != nil {
			return Item{Err: inbox.Fieldf(strings.TrimPrefix(name, versions.Prefix()), "%v", err), Raw: body}
		}
	}
	return ofCloudEvent(&ce, body)
}

// envelope says what is wrong with the attributes.
func envelope(err error) error {
	var fields event.ValidationError
	if errors.As(err, &fields) {
		for name, why := range fields {
			return inbox.Fieldf(name, "%v", why)
		}
	}
	return fmt.Errorf("%w: %w", alarm.ErrMalformed, err)
}

// ofCloudEvent makes an event of the alarm model: the data's, completed by the
// envelope. The envelope alone names it.
func ofCloudEvent(ce *event.Event, raw []byte) Item {
	if v := ce.SpecVersion(); v != event.CloudEventsVersionV1 {
		return Item{Err: inbox.Fieldf("specversion", "want 1.0, not %.20q", v), Raw: raw}
	}
	if err := ce.Validate(); err != nil {
		return Item{Err: envelope(err), Raw: raw}
	}
	var e alarm.Event
	if len(ce.Data()) > 0 {
		if t := ce.DataMediaType(); t != "" && t != event.ApplicationJSON && t != event.TextJSON && !strings.HasSuffix(t, "+json") {
			return Item{Err: inbox.Fieldf("datacontenttype", "want JSON, not %.80q", t), Raw: raw}
		}
		var err error
		if e, err = alarm.ReadEvent(ce.Data()); err != nil {
			return Item{Err: err, Raw: raw}
		}
	}
	for _, missing := range [...]struct {
		field     *string
		extension string
	}{{&e.Severity, "severity"}, {&e.State, "state"}, {&e.Qualifier, "qualifier"}} {
		if value, ok := ce.Extensions()[missing.extension]; ok && *missing.field == "" {
			text, err := types.Format(value)
			if err != nil {
				return Item{Err: inbox.Fieldf(missing.extension, "want a text"), Raw: raw}
			}
			*missing.field = text
		}
	}
	if e.Device == "" {
		e.Device = ce.Subject()
	}
	if e.Type == "" {
		e.Type = typeName(ce.Type())
	}
	if e.Time.IsZero() {
		e.Time = ce.Time()
	}
	e.ID = cloudEventID(ce.Source(), ce.ID())
	return checked(e, raw)
}

// cloudEventID names an event by what CloudEvents says is unique: source and id
// together. A space stands in no source.
func cloudEventID(source, id string) string {
	if whole := source + " " + id; utf8.RuneCountInString(whole) <= alarm.MaxIDChars && !strings.Contains(source, " ") {
		return whole
	}
	return "ce:" + digest(source, id)
}
