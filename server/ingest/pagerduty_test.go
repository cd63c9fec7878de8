package ingest_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
)

// trigger is an event with these members besides its action and payload.
func trigger(t *testing.T, text string) *ingest.PagerDuty {
	t.Helper()
	p, err := ingest.ParsePagerDuty([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if errs := p.Missing(); len(errs) > 0 {
		t.Fatal(errs)
	}
	return p
}

const payload = `"payload":{"summary":"disk full","source":"web-1","severity":"error","timestamp":"2026-11-21T02:00:00.000+0000",
 "component":"sda","class":"disk space","group":"web","custom_details":{"free":"1 %","inodes":7,"none":null,"more":{"a":[1]}}}`

func same(a, b alarm.Event) bool {
	return a.Device == b.Device && a.Type == b.Type && a.Qualifier == b.Qualifier
}

func TestTriggerAndResolveMeet(t *testing.T) {
	// With a key of the sender's own: by that alone.
	own, key := trigger(t, `{"event_action":"trigger","dedup_key":"disk/web-1",`+payload+`}`).Event("anna")
	resolved, _ := trigger(t, `{"event_action":"resolve","dedup_key":"disk/web-1"}`).Event("anna")
	if own.Err != nil || resolved.Err != nil || !same(own.Event, resolved.Event) || key != "disk/web-1" || resolved.Event.State != "cleared" {
		t.Errorf("%+v\n%+v", own, resolved)
	}
	if e := own.Event; e.Device != "anna" || e.Type != "event" || e.Qualifier != "disk/web-1" || e.Attrs["source"] != "web-1" {
		t.Errorf("%+v", e)
	}
	// Without one: by what the key that is made here says.
	made, key := trigger(t, `{"event_action":"trigger",`+payload+`}`).Event("anna")
	resolved, again := trigger(t, `{"event_action":"resolve","dedup_key":"`+key+`"}`).Event("bob")
	if made.Err != nil || resolved.Err != nil || !same(made.Event, resolved.Event) || again != key || len(key) > 255 {
		t.Errorf("%q: %+v\n%+v", key, made, resolved)
	}
	if e := made.Event; e.Device != "web-1" || e.Type != "disk_space" || e.Qualifier == "" {
		t.Errorf("%+v", e)
	}
	other, _ := trigger(t, strings.Replace(`{"event_action":"trigger",`+payload+`}`, "disk full", "disk slow", 1)).Event("anna")
	if same(other.Event, made.Event) {
		t.Error("two incidents of one source are one alarm")
	}
	// A key fits whatever the source is.
	long := strings.NewReplacer("web-1", strings.Repeat("字", 100), "disk space", strings.Repeat("x", 300)).Replace(`{"event_action":"trigger",` + payload + `}`)
	item, key := trigger(t, long).Event("anna")
	resolved, _ = trigger(t, `{"event_action":"resolve","dedup_key":"`+key+`"}`).Event("bob")
	if item.Err != nil || len(key) > 255 || !same(item.Event, resolved.Event) {
		t.Errorf("%d characters: %+v", len(key), item)
	}
}

func TestAPayloadIsAnAlarm(t *testing.T) {
	p := trigger(t, `{"event_action":"trigger","client":"Monitor","dedup_key":"k",`+payload+`}`)
	item, _ := p.Event("anna")
	e := item.Event
	if item.Err != nil || e.Message != "disk full" || e.Severity != "major" || e.Time.UTC().Hour() != 2 || e.Level {
		t.Errorf("%+v", e)
	}
	if got := fmt.Sprint(e.Attrs); got != "map[class:disk space client:Monitor component:sda free:1 % group:web inodes:7 more:{\"a\":[1]} severity:error source:web-1]" {
		t.Error(got)
	}
	// With a time of its own it is the same when it is sent again.
	twice, _ := p.Event("anna")
	none, _ := trigger(t, strings.Replace(`{"event_action":"trigger","dedup_key":"k",`+payload+`}`, `"timestamp"`, `"x"`, 1)).Event("anna")
	if twice.Event.ID != e.ID || e.ID == "" || none.Event.ID != "" {
		t.Errorf("%q %q %q", e.ID, twice.Event.ID, none.Event.ID)
	}
	for word, want := range map[string]string{"critical": "critical", "error": "major", "warning": "minor", "info": "warning", "odd": "indeterminate"} {
		item, _ := trigger(t, strings.Replace(`{"event_action":"trigger",`+payload+`}`, `"error"`, `"`+word+`"`, 1)).Event("anna")
		if item.Err != nil || item.Event.Severity != want {
			t.Errorf("%s is %s, want %s (%v)", word, item.Event.Severity, want, item.Err)
		}
	}
	// Details that are no object are somebody's, too.
	if p := trigger(t, `{"event_action":"trigger","payload":{"custom_details":"text","summary":"s","source":"d","severity":"info"}}`); p.Payload.Source != "d" {
		t.Errorf("%+v", p)
	}
}

func TestWhatAnEventLacksIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		`{}`:                          "['event_action' is missing or blank]",
		`{"event_action":"trigger"}`:  "['payload.summary' is missing or blank 'payload.source' is missing or blank 'payload.severity' is missing or blank]",
		`{"event_action":"resolve"}`:  "['dedup_key' is missing or blank]",
		`{"event_action":"escalate"}`: "['event_action' must be one of trigger, acknowledge, resolve]",
		`{"event_action":"resolve","dedup_key":"` + strings.Repeat("k", 256) + `"}`: "['dedup_key' must have at most 255 characters]",
	} {
		p, err := ingest.ParsePagerDuty([]byte(text))
		if err != nil || fmt.Sprint(p.Missing()) != want {
			t.Errorf("%s: %v %v", text, p.Missing(), err)
		}
	}
	for _, text := range []string{"", "7", "[]", `{"payload":7}`, "{\"routing_key\":\"\xff\"}"} {
		if _, err := ingest.ParsePagerDuty([]byte(text)); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
	p := trigger(t, strings.Replace(`{"event_action":"trigger",`+payload+`}`, "2026-11-21T02", "today", 1))
	if item, _ := p.Event("anna"); item.Err == nil {
		t.Error("a time that is none is taken")
	}
	if item, _ := trigger(t, `{"event_action":"resolve","dedup_key":"tocsin.AAA"}`).Event("anna"); item.Err == nil {
		t.Error("a key that names nothing is taken")
	}
}

func FuzzPagerDuty(f *testing.F) {
	f.Add(`{"event_action":"trigger","routing_key":"t",`+payload+`}`, "anna")
	f.Add(`{"event_action":"resolve","dedup_key":"tocsin.ZABhAGI"}`, "bob")
	f.Add(`{"event_action":"acknowledge","dedup_key":"k","payload":{"timestamp":"2026-11-21 02:00:00Z"}}`, "")
	f.Fuzz(func(t *testing.T, body, device string) {
		p, err := ingest.ParsePagerDuty([]byte(body))
		if err != nil || len(p.Missing()) > 0 {
			return
		}
		item, key := p.Event(device)
		holds(t, []ingest.Item{item})
		if item.Err != nil || p.Action != ingest.Trigger {
			return
		}
		text, _ := json.Marshal(key)
		back, _ := trigger(t, `{"event_action":"resolve","dedup_key":`+string(text)+`}`).Event(device)
		if back.Err != nil || !same(item.Event, back.Event) {
			t.Errorf("%q: %+v resolves %+v", key, back, item)
		}
		if len([]rune(item.Event.Device)) > inbox.MaxDeviceChars {
			t.Error("the device is too long")
		}
	})
}
