package ingest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/client"
	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/protocol"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
)

// made is an event as a publisher's program makes it.
func made(t *testing.T, id, device string) event.Event {
	t.Helper()
	e := event.New()
	e.SetID(id)
	e.SetSource("/fleet/7")
	e.SetType("overspeed")
	e.SetSubject(device)
	e.SetTime(time.Now().Add(-time.Minute).Truncate(time.Millisecond))
	if err := e.SetData(event.ApplicationJSON, map[string]any{"severity": "major", "message": "92 km/h · 57 mph", "attrs": map[string]string{"speed_kmh": "92"}}); err != nil {
		t.Fatal(err)
	}
	return e
}

// The three modes are sent by what CNCF offers for it: its client, and for
// batches, which that does not send as structured events do, its own request.
func TestTheSDKsClientSendsAllModes(t *testing.T) {
	url, token := newServer(t)
	door := url + "/v1/ingest/cloudevents"
	c, err := client.NewHTTP(cehttp.WithTarget(door), cehttp.WithHeader("Authorization", "Bearer "+token))
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]event.Event{"binary": made(t, "1", "binary"), "structured": made(t, "2", "structured"),
		"batch-1": made(t, "3", "batch-1"), "batch-2": made(t, "4", "batch-2")}
	for mode, ctx := range map[string]context.Context{
		"binary": binding.WithForceBinary(t.Context()), "structured": binding.WithForceStructured(t.Context()),
	} {
		for range 2 { // sent again, it is the same
			if result := c.Send(ctx, sent[mode]); !protocol.IsACK(result) {
				t.Errorf("%s: %v", mode, result)
			}
		}
	}
	for range 2 {
		req, err := cehttp.NewHTTPRequestFromEvents(t.Context(), door, []event.Event{sent["batch-1"], sent["batch-2"]})
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusAccepted || strings.Count(string(body), `"status":"raised"`) != 2 {
			t.Errorf("batch: %d %s", resp.StatusCode, body)
		}
	}
	got := inboxOf(t, url, token)
	for device, e := range sent {
		a := got[device]
		if a.Type != "overspeed" || a.Severity != "major" || a.Count != 1 || !a.RaisedAt.Equal(e.Time()) || a.Message != "92 km/h · 57 mph" || a.Attrs["speed_kmh"] != "92" {
			t.Errorf("%s: %+v", device, a)
		}
	}
	// What cannot be an alarm is told to the client as its own.
	bad := made(t, "5", "")
	if result := c.Send(t.Context(), bad); protocol.IsACK(result) || !protocol.IsUndelivered(result) && !strings.Contains(result.Error(), "422") {
		t.Errorf("without a device: %v", result)
	}
}

// header is that of the binary mode.
func header(pairs ...string) http.Header {
	h := http.Header{"Ce-Specversion": {"1.0"}, "Ce-Id": {"7"}, "Ce-Source": {"/s"}, "Ce-Type": {"t"}, "Ce-Subject": {"d1"}}
	for i := 0; i < len(pairs); i += 2 {
		if h.Del(pairs[i]); pairs[i+1] != "" {
			h.Set(pairs[i], pairs[i+1])
		}
	}
	return h
}

func one(t *testing.T, h http.Header, body string) ingest.Item {
	t.Helper()
	items, single, err := ingest.CloudEvents(h, []byte(body), 10)
	if err != nil || !single || len(items) != 1 {
		t.Fatalf("%v %v %v", items, single, err)
	}
	return items[0]
}

func TestTheEnvelopeCompletesTheAlarm(t *testing.T) {
	// Without data, attributes say it all.
	item := one(t, header("Ce-Severity", "critical", "Ce-Qualifier", "door%20%C3%A4", "Ce-Type", "com.example/over speed", "Ce-Time", "2026-11-21T02:00:00Z"), "")
	want := alarm.Event{ID: "/s 7", Device: "d1", Type: "com.example_over_speed", Qualifier: "door ä", Severity: "critical",
		Time: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)}
	if item.Err != nil || fmt.Sprint(item.Event) != fmt.Sprint(want) {
		t.Errorf("%+v\nwant %+v (%v)", item.Event, want, item.Err)
	}
	// What the data says comes first; the envelope alone names the event.
	item = one(t, header("Ce-Severity", "critical", "Ce-State", "raised", "Content-Type", "application/vnd.example+json"),
		`{"id":"x","device":"d2","type":"u","severity":"minor","state":"cleared","qualifier":"q","time":"2026-11-20T00:00:00Z"}`)
	e := item.Event
	if item.Err != nil || e.ID != "/s 7" || e.Device != "d2" || e.Type != "u" || e.Severity != "minor" || e.State != "cleared" || e.Qualifier != "q" || e.Time.Day() != 20 {
		t.Errorf("%+v %v", e, item.Err)
	}
	if item = one(t, header("Ce-Severity", "cleared"), ""); item.Err != nil {
		t.Error(item.Err)
	}
}

func TestCloudEventsAreOneByTheirSource(t *testing.T) {
	ids := map[string]bool{}
	for _, h := range []http.Header{
		header(), header("Ce-Id", "8"), header("Ce-Source", "/s%207"), header("Ce-Source", "/"+strings.Repeat("x", 200)),
		header("Ce-Source", "/"+strings.Repeat("x", 201)),
	} {
		h.Set("Ce-Severity", "major")
		item := one(t, h, "")
		if n := len(item.Event.ID); item.Err != nil || n == 0 || n > alarm.MaxIDChars || ids[item.Event.ID] {
			t.Errorf("%v: %q, %v", h, item.Event.ID, item.Err)
		}
		ids[item.Event.ID] = true
	}
}

// What is too long for an id of ours is hashed, and nothing else is.
func TestLongCloudEventIDsAreHashed(t *testing.T) {
	for chars, hashed := range map[int]bool{alarm.MaxIDChars: false, alarm.MaxIDChars + 1: true} {
		id := strings.Repeat("x", chars-len("/s "))
		item := one(t, header("Ce-Source", "/s", "Ce-Id", id, "Ce-Severity", "major"), "")
		if item.Err != nil || (item.Event.ID != "/s "+id) != hashed || len(item.Event.ID) > alarm.MaxIDChars {
			t.Errorf("%d characters became %q, %v", chars, item.Event.ID, item.Err)
		}
	}
}

func TestWhatIsNoCloudEvent(t *testing.T) {
	structured := http.Header{"Content-Type": {"application/cloudevents+json; charset=utf-8"}}
	var field *inbox.FieldError
	for want, item := range map[string]ingest.Item{
		"severity":        one(t, header(), ""),
		"device":          one(t, header("Ce-Subject", "", "Ce-Severity", "major"), ""),
		"specversion":     one(t, header("Ce-Specversion", "0.3"), "{}"),
		"datacontenttype": one(t, header("Content-Type", "text/plain"), "hot"),
		"time":            one(t, header("Ce-Time", "yesterday"), ""),
		"id":              one(t, structured, `{"specversion":"1.0","source":"/s","type":"t","subject":"d","severity":"major"}`),
	} {
		if !errors.As(item.Err, &field) || field.Field != want {
			t.Errorf("%v, want something about %s", item.Err, want)
		}
	}
	for _, body := range []string{"", "7", "{", `{"specversion":"1.0","id":7}`, "{}", "null", "[]"} {
		if item := one(t, structured, body); item.Err == nil {
			t.Errorf("%s is taken", body)
		}
	}
	for _, h := range []http.Header{{}, {"Content-Type": {"application/json"}}, {"Content-Type": {"application/cloudevents+xml"}, "Ce-Specversion": {"1.0"}}, {"Content-Type": {"/"}}} {
		if _, _, err := ingest.CloudEvents(h, []byte("{}"), 10); !errors.Is(err, ingest.ErrNotCloudEvents) {
			t.Errorf("%v: %v", h, err)
		}
	}
	batch := http.Header{"Content-Type": {ingest.TypeCloudEvents}}
	for body, want := range map[string]error{"{}": alarm.ErrMalformed, "[{]": alarm.ErrMalformed, "[1,2,3]": inbox.ErrTooLarge, "null": alarm.ErrMalformed} {
		if _, _, err := ingest.CloudEvents(batch, []byte(body), 2); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", body, err, want)
		}
	}
	items, single, err := ingest.CloudEvents(batch, []byte(`[7,{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"d","severity":"major"}]`), 2)
	if err != nil || single || len(items) != 2 || items[0].Err == nil || items[1].Err != nil {
		t.Errorf("%+v %v %v", items, single, err)
	}
}

func FuzzCloudEvents(f *testing.F) {
	f.Add(ingest.TypeCloudEvent, "", `{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"d","time":"2026-11-21T02:00:00Z","severity":"major"}`)
	f.Add(ingest.TypeCloudEvent, "", `{"data_base64":"e30=","specversion":"1.0","id":"1","source":"/s","type":"t","datacontenttype":"text/json"}`)
	f.Add(ingest.TypeCloudEvent, "", `{"data":{"device":"d","severity":"x"},"specversion":"1.0","id":"1","source":"%zz","type":"t","ext":{}}`)
	f.Add(ingest.TypeCloudEvents, "", `[{"specversion":"1.0","id":"1","source":"/s","type":"t","subject":"d","state":"cleared"},{},7]`)
	f.Add("application/json", "1.0", `{"device":"d","severity":"major"}`)
	f.Add("text/plain", "%", `hot`)
	f.Fuzz(func(t *testing.T, contentType, value, body string) {
		h := header("Content-Type", contentType, "Ce-Severity", value)
		items, _, err := ingest.CloudEvents(h, []byte(body), 10)
		if err != nil {
			return
		}
		holds(t, items)
	})
}

// holds checks what every reader of bodies promises.
func holds(t *testing.T, items []ingest.Item) {
	t.Helper()
	for _, item := range items {
		if item.Err != nil {
			var field *inbox.FieldError
			if !errors.Is(item.Err, alarm.ErrMalformed) && !errors.As(item.Err, &field) {
				t.Errorf("an error of no kind: %v", item.Err)
			}
			continue
		}
		if err := item.Event.Check(); err != nil {
			t.Errorf("out of bounds: %v", err)
		}
		if text, err := json.Marshal(item.Event); err != nil || !bytes.Contains(text, []byte("device")) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
