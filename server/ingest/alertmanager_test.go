package ingest_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
)

// notification is a body with these alerts.
func notification(alerts ...string) []byte {
	return []byte(`{"version":"4","groupKey":"{}:{}","status":"firing","receiver":"tocsin","alerts":[` + strings.Join(alerts, ",") + `]}`)
}

const firing = `{"status":"firing","labels":{"alertname":"High Load","instance":"web-1:9100","job":"node","severity":"page"},
 "annotations":{"summary":"load 17","description":"load over 10 for 5 min"},"startsAt":"2026-11-21T02:00:00.123Z",
 "endsAt":"0001-01-01T00:00:00Z","generatorURL":"http://prom/graph","fingerprint":"6ea1c0ffee000001"}`

func ofAlert(t *testing.T, text, device string) ingest.Item {
	t.Helper()
	items, err := ingest.Alertmanager(notification(text), device)
	if err != nil || len(items) != 1 {
		t.Fatalf("%v %v", items, err)
	}
	return items[0]
}

func TestAnAlertIsALevelOfItsFingerprint(t *testing.T) {
	e := ofAlert(t, firing, "").Event
	if !e.Level || e.Device != "web-1:9100" || e.Type != "High_Load" || e.Qualifier != "6ea1c0ffee000001" || e.State != "raised" ||
		e.Severity != "critical" || e.Message != "load 17" || !e.Time.Equal(time.Date(2026, 11, 21, 2, 0, 0, 123e6, time.UTC)) {
		t.Errorf("%+v", e)
	}
	if got := fmt.Sprint(e.Attrs); got != "map[description:load over 10 for 5 min job:node severity:page]" {
		t.Error(got)
	}
	resolved := strings.NewReplacer(`"firing"`, `"resolved"`, "0001-01-01T00:00:00Z", "2026-11-21T03:00:00Z").Replace(firing)
	r := ofAlert(t, resolved, "").Event
	if r.State != "cleared" || r.Time.Hour() != 3 || r.Qualifier != e.Qualifier || r.Device != e.Device || r.ID == e.ID {
		t.Errorf("%+v", r)
	}
	// The same alert is the same event whatever else the notification says; one
	// that starts again is another.
	reworded := ofAlert(t, strings.Replace(firing, "load 17", "load 18", 1), "").Event
	later := ofAlert(t, strings.Replace(firing, "02:00:00.123Z", "04:00:00Z", 1), "").Event
	if reworded.ID != e.ID || later.ID == e.ID {
		t.Errorf("%q, %q, %q", e.ID, reworded.ID, later.ID)
	}
}

func TestTheDeviceIsALabelOfTheOperatorsChoice(t *testing.T) {
	both := strings.Replace(firing, `"job":"node"`, `"job":"node","device":"d1"`, 1)
	for _, c := range []struct{ alert, label, want string }{
		{firing, "", "web-1:9100"}, {both, "", "d1"}, {firing, "job", "node"}, {firing, "rack", "web-1:9100"},
		{strings.Replace(firing, "instance", "host", 1), "", "High Load"},
	} {
		if e := ofAlert(t, c.alert, c.label); e.Err != nil || e.Event.Device != c.want {
			t.Errorf("by %q: %q, want %q (%v)", c.label, e.Event.Device, c.want, e.Err)
		}
	}
	// A long one is cut, and different ones stay different.
	long := func(last string) string {
		return ofAlert(t, strings.Replace(firing, "web-1:9100", strings.Repeat("ü", 64)+last, 1), "").Event.Device
	}
	if a, b := long("a"), long("b"); a == b || len([]rune(a)) != inbox.MaxDeviceChars {
		t.Errorf("%q, %q", a, b)
	}
}

func TestTheWordsOfTheLabelSeverity(t *testing.T) {
	for word, want := range map[string]string{
		"critical": "critical", "Critical": "critical", "page": "critical", "error": "major", "major": "major", "minor": "minor",
		"warning": "warning", "info": "warning", "none": "indeterminate", "cleared": "indeterminate", "": "indeterminate",
	} {
		e := ofAlert(t, strings.Replace(firing, `"page"`, fmt.Sprintf("%q", word), 1), "").Event
		kept := e.Attrs["severity"]
		if strings.EqualFold(word, want) {
			word = "" // one of ours needs not be kept
		}
		if e.Severity != want || kept != word {
			t.Errorf("%q is %s, kept as %q", word, e.Severity, kept)
		}
	}
}

func TestLabelsBeyondTheLimitsAreCounted(t *testing.T) {
	var labels []string
	for i := range 60 {
		labels = append(labels, fmt.Sprintf(`"l%02d":"v"`, i))
	}
	item := ofAlert(t, strings.Replace(firing, `"job":"node"`, strings.Join(labels, ","), 1), "")
	if item.Err != nil || len(item.Event.Attrs) != alarm.MaxAttrs || item.Event.Attrs["left_out"] != "31" || item.Event.Attrs["l00"] != "v" {
		t.Errorf("%v %v", item.Event.Attrs, item.Err)
	}
	for size, want := range map[int]int{1024: 1024, 1025: 1024} {
		item = ofAlert(t, strings.Replace(firing, `"node"`, `"`+strings.Repeat("x", size)+`"`, 1), "")
		if got := item.Event.Attrs["job"]; item.Err != nil || len(got) != want {
			t.Errorf("a value of %d bytes became one of %d, %v", size, len(got), item.Err)
		}
		device := strings.Repeat("ü", size-1024+inbox.MaxDeviceChars)
		item = ofAlert(t, strings.Replace(firing, `"node"`, `"`+device+`"`, 1), "job")
		if got := item.Event.Device; item.Err != nil || (got == device) != (size == 1024) || utf8.RuneCountInString(got) != inbox.MaxDeviceChars {
			t.Errorf("the device %q became %q, %v", device, got, item.Err)
		}
	}
	item = ofAlert(t, strings.Replace(firing, `"node"`, `"`+strings.Repeat("ü", 5000)+`"`, 1), "")
	if got := item.Event.Attrs["job"]; item.Err != nil || got != strings.Repeat("ü", 512) {
		t.Errorf("%d bytes, %v", len(got), item.Err)
	}
}

func TestABadAlertSpoilsNoOther(t *testing.T) {
	items, err := ingest.Alertmanager(notification(`7`, firing, `{"status":"firing"}`, strings.Replace(firing, "firing", "on", 1),
		strings.Replace(firing, "2026-11-21T02", "21.11.2026", 1), `{"status":"firing","fingerprint":"f","labels":{"severity":"page"}}`), "")
	if err != nil || len(items) != 6 {
		t.Fatalf("%v %v", items, err)
	}
	for i, item := range items {
		if (item.Err == nil) != (i == 1) || len(item.Raw) == 0 {
			t.Errorf("%d: %v, %s", i, item.Err, item.Raw)
		}
	}
	for _, body := range []string{"", "7", "{}", `{"version":"3","alerts":[]}`, `{"version":"4"}`, `{"version":"4","alerts":7}`, "{\"version\":\"\xff\"}"} {
		var field *inbox.FieldError
		if _, err := ingest.Alertmanager([]byte(body), ""); !errors.Is(err, alarm.ErrMalformed) && !errors.As(err, &field) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func FuzzAlertmanager(f *testing.F) {
	f.Add(string(notification(firing)), "instance")
	f.Add(string(notification(strings.Replace(firing, "firing", "resolved", 1), "7")), "")
	f.Add(`{"version":"4","alerts":[{"status":"firing","fingerprint":"f","labels":{"alertname":"\u0000"}}]}`, "alertname")
	f.Fuzz(func(t *testing.T, body, device string) {
		if items, err := ingest.Alertmanager([]byte(body), device); err == nil {
			holds(t, items)
		}
	})
}
