package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
)

// A shelf keeps dead letters in memory.
type shelf struct {
	mu   sync.Mutex
	kept [][]byte
	err  error
}

func (f *shelf) Append(_ context.Context, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.kept = append(f.kept, bytes.Clone(data))
	}
	return f.err
}

func (f *shelf) Scan(_ context.Context, _ time.Time, each func(time.Time, []byte) error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, data := range f.kept {
		if err := each(time.Now(), data); err != nil {
			return err
		}
	}
	return nil
}

func (f *shelf) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func withShelf(f *shelf) func(*Options) {
	return func(o *Options) { o.DeadLetters = ingest.NewDeadLetters(f) }
}

// An alarmState is what of an alarm is looked at.
type alarmState struct {
	ID, Device, Qualifier, Severity string
	Active, Acked                   bool
	Count, Occurrence               int
}

// alarmsOf are all alarms as they are now, by device/qualifier.
func (w *world) alarmsOf(t *testing.T) map[string]alarmState {
	t.Helper()
	var page struct{ Entries []struct{ Alarm alarmState } }
	a := w.do("GET", "/v1/inbox?cursor=earliest&limit=1000", "", "Authorization", "Bearer "+everybody(t, "inbox")).want(200)
	if err := json.Unmarshal([]byte(a.body), &page); err != nil {
		t.Fatal(err)
	}
	found := map[string]alarmState{}
	for _, e := range page.Entries {
		found[e.Alarm.Device+"/"+e.Alarm.Qualifier] = e.Alarm
	}
	return found
}

// everybody is a token of ops, who sees every group.
func everybody(t *testing.T, scope string) string {
	t.Helper()
	s, err := auth.Sign(secret, auth.Issue{User: "ops", Groups: []string{"*"}, Scope: scope, TTL: time.Hour}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEdgeDetectionIsAnOptionOfTheDoor(t *testing.T) {
	w := newWorld(t, nil)
	cleared := `{"device":"d1","type":"overspeed","state":"cleared"}`
	worse := `{"device":"d1","type":"overspeed","severity":"critical"}`
	all := "[" + strings.Join([]string{cleared, good, good, worse, worse, cleared, cleared, good}, ",") + "]"
	want := "unchanged raised unchanged repeated unchanged cleared unchanged raised"
	w.do("POST", "/v1/alarms?edge=true", all).wantStatuses(strings.Fields(want)...)
	w.do("POST", "/v1/alarms?edge=false", good).wantStatuses("repeated")
	w.do("POST", "/v1/alarms?edge=true", good).wantStatuses("unchanged")
	w.do("POST", "/v1/alarms?edge=maybe", good).problem(400, "malformed", `"field":"edge"`)
	// An event cannot ask for it by itself.
	w.do("POST", "/v1/alarms", strings.Replace(good, "{", `{"level":true,"Level":true,`, 1)).wantStatuses("repeated")
	ce := []string{"Ce-Specversion", "1.0", "Ce-Id", "1", "Ce-Source", "/s", "Ce-Type", "t"}
	w.do("POST", "/v1/ingest/cloudevents?edge=true", good, ce...).wantStatuses("unchanged")
	w.do("POST", "/v1/ingest/cloudevents", good, ce...).wantStatuses("repeated")
	w.do("POST", "/v1/ingest/cloudevents?edge=7", good, ce...).problem(400, "malformed")
}

func TestCloudEventsAreAnsweredLikeAlarms(t *testing.T) {
	w := newWorld(t, nil)
	ce := func(id, rest string) string {
		return `{"specversion":"1.0","id":"` + id + `","source":"/s","type":"t","subject":"d1"` + rest + `}`
	}
	post := func(contentType, body string) answer {
		return w.do("POST", "/v1/ingest/cloudevents", body, "Content-Type", contentType)
	}
	post(ingest.TypeCloudEvent, ce("1", `,"severity":"major"`)).wantStatuses("raised")
	post(ingest.TypeCloudEvent, ce("1", "")).problem(422, "invalid", `"field":"severity"`)
	post(ingest.TypeCloudEvent, "{").problem(400, "malformed")
	r := post(ingest.TypeCloudEvents, "["+ce("1", `,"severity":"major"`)+",7,"+ce("2", `,"severity":"major"`)+"]").wantStatuses("raised", "rejected", "repeated")
	if !r[0].Duplicate || r[1].Problem == nil || r[1].Problem.Status != 400 {
		t.Errorf("%+v", r)
	}
	post("application/json", good).problem(415, "media-type")
	w.do("POST", "/v1/ingest/cloudevents", "", "Authorization", "Bearer "+token(t, "ada", "inbox", time.Minute)).problem(403, "forbidden")
}

// alertOf is a notification of one alert.
func alertOf(status, starts, ends string) string {
	return fmt.Sprintf(`{"version":"4","alerts":[{"status":%q,"labels":{"alertname":"Load","device":"d1","severity":"critical"},"startsAt":%q,"endsAt":%q,"fingerprint":"f1"}]}`, status, starts, ends)
}

func TestANotificationSentAgainChangesNothing(t *testing.T) {
	w := newWorld(t, nil)
	post := func(body string) []result {
		return w.do("POST", "/v1/ingest/alertmanager", body).want(202).results()
	}
	at := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(time.RFC3339Nano) }
	const never = "0001-01-01T00:00:00Z"
	start, end := at(-time.Hour), at(-time.Minute)
	for i, step := range []struct{ body, want string }{
		{alertOf("firing", start, never), "raised"},
		{alertOf("firing", start, never), "unchanged"},
		{alertOf("resolved", start, end), "cleared"},
		{alertOf("resolved", start, end), "unchanged"},
		// Alertmanager took it for resolved when it heard nothing of it; it fires as
		// it did before.
		{alertOf("firing", start, never), "raised"},
		{alertOf("firing", start, never), "unchanged"},
		{alertOf("resolved", start, "0001-01-01T00:00:00Z"), "cleared"},
		{alertOf("firing", at(-30*time.Minute), never), "raised"}, // late by its own time, and new
	} {
		if r := post(step.body); len(r) != 1 || r[0].Status != step.want {
			t.Errorf("step %d: %+v, want %s", i, r, step.want)
		}
	}
	a := w.alarmsOf(t)["d1/f1"]
	if a.Count != 1 || a.Occurrence != 3 || !a.Active || a.Severity != "critical" {
		t.Errorf("%+v", a)
	}
	if a := w.do("POST", "/v1/ingest/alertmanager?device=alertname", alertOf("firing", start, never)).wantStatuses("raised"); !strings.HasPrefix(a[0].ID, "Load.") {
		t.Errorf("%+v", a)
	}
}

func TestABadAlertIsADeadLetterAndNotSentForEver(t *testing.T) {
	f := &shelf{}
	w := newWorld(t, withShelf(f))
	bad := strings.Replace(alertOf("firing", "2026-11-21T02:00:00Z", ""), `"alerts":[`, `"alerts":[{"status":"odd","fingerprint":"x"},{"status":"firing","fingerprint":"f2","labels":{"device":"`+`","alertname":"Load"},"startsAt":"1969-11-21T02:00:00Z"},`, 1)
	bad = strings.Replace(bad, `"endsAt":""`, `"endsAt":"0001-01-01T00:00:00Z"`, 1)
	w.do("POST", "/v1/ingest/alertmanager", bad).wantStatuses("rejected", "rejected", "raised")
	var list struct{ Letters []ingest.Letter }
	if err := json.Unmarshal([]byte(w.do("GET", "/v1/deadletters", "").want(200).body), &list); err != nil || len(list.Letters) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	l := list.Letters[1]
	if l.Door != "alertmanager" || l.Publisher != "ada" || !strings.Contains(l.Problem, "status") || string(l.Body) != `{"status":"odd","fingerprint":"x"}` || time.Since(l.Time) > time.Minute {
		t.Errorf("%+v", l)
	}
	if l := list.Letters[0]; l.Device != "Load" || !strings.Contains(l.Problem, "time") {
		t.Errorf("%+v", l)
	}
	w.do("GET", "/v1/deadletters?limit=1", "").want(200, `"device":"Load"`)
	w.do("GET", "/v1/deadletters?limit=1000", "").want(200, `"device":"Load"`)
	// What could not be kept is sent again.
	f.fail(fmt.Errorf("the feed: %w", inbox.ErrUnavailable))
	w.do("POST", "/v1/ingest/alertmanager", bad).problem(503, "storage-unavailable")
	for _, limit := range []string{"0", "1001", "x", "-1"} {
		w.do("GET", "/v1/deadletters?limit="+limit, "").problem(400, "malformed", `"field":"limit"`)
	}
	w.do("GET", "/v1/deadletters", "", "Authorization", "Bearer "+token(t, "ada", "inbox publish", time.Minute)).problem(403, "forbidden")
}

func TestAlertmanagerIsToldToSendAgainOnlyWhereThatHelps(t *testing.T) {
	w := newWorld(t, nil)
	body := alertOf("firing", "2026-11-21T02:00:00Z", "0001-01-01T00:00:00Z")
	for err, name := range map[error]string{inbox.ErrFull: "storage-full", inbox.ErrUnavailable: "storage-unavailable", inbox.ErrStale: "stale"} {
		w.log.fail(err)
		w.do("POST", "/v1/ingest/alertmanager", body).problem(503, name)
	}
	w.log.fail(nil)
	w.do("POST", "/v1/ingest/alertmanager", body).wantStatuses("raised")
	w.do("POST", "/v1/ingest/alertmanager", `{"version":"4","alerts":[7]}`).wantStatuses("rejected") // without a place to keep it
	w.do("POST", "/v1/ingest/alertmanager", `{"version":"3"}`).problem(422, "invalid")
	w.do("POST", "/v1/ingest/alertmanager", `{`).problem(400, "malformed")
	w.do("POST", "/v1/ingest/alertmanager", body, "Content-Type", "text/plain").problem(415, "media-type")
	w.do("POST", "/v1/ingest/alertmanager", body, "Authorization", "").problem(401, "unauthenticated")
	w.do("GET", "/v1/deadletters", "").problem(404, "not-found")
}

// pagerDuty sends an event as a client of PagerDuty does: without a header, the
// token in the body.
func (w *world) pagerDuty(token, members string, headers ...string) answer {
	w.t.Helper()
	return w.do("POST", "/v1/ingest/pagerduty", `{"routing_key":"`+token+`",`+members+`}`, append([]string{"Authorization", ""}, headers...)...)
}

const paged = `"payload":{"summary":"disk full","source":"web-1","severity":"error"}`

func TestPagerDutysLifeCycle(t *testing.T) {
	w := newWorld(t, nil)
	ada := everybody(t, "inbox publish")
	for _, key := range []string{"", "disk/web-1"} {
		named := ""
		if key != "" {
			named = `,"dedup_key":"` + key + `"`
		}
		a := w.pagerDuty(ada, `"event_action":"trigger",`+paged+named).want(202, `"status":"success"`, `"message":"Event processed"`)
		var got struct {
			DedupKey string `json:"dedup_key"`
		}
		if err := json.Unmarshal([]byte(a.body), &got); err != nil || got.DedupKey == "" || key != "" && got.DedupKey != key {
			t.Fatalf("%s: %v", a.body, err)
		}
		device := "web-1"
		if key != "" {
			device = "ops"
		}
		find := func() (is struct{ active, acked bool }) {
			for name, one := range w.alarmsOf(t) {
				if strings.HasPrefix(name, device+"/") {
					is.active, is.acked = one.Active, one.Acked
				}
			}
			return is
		}
		if is := find(); !is.active || is.acked {
			t.Errorf("triggered: %+v", is)
		}
		rest := `,"dedup_key":"` + got.DedupKey + `"`
		w.pagerDuty(ada, `"event_action":"acknowledge"`+rest).want(202)
		if is := find(); !is.active || !is.acked {
			t.Errorf("acknowledged: %+v", is)
		}
		w.pagerDuty(ada, `"event_action":"resolve"`+rest).want(202, `"dedup_key":"`+got.DedupKey+`"`)
		if is := find(); is.active || !is.acked {
			t.Errorf("resolved: %+v", is)
		}
		w.pagerDuty(ada, `"event_action":"resolve"`+rest).want(202)
	}
	// Where a client appends PagerDuty's own path, and with a device of the URL.
	w.do("POST", "/v1/ingest/pagerduty/v2/enqueue?device=d9", `{"dedup_key":"k","event_action":"trigger",`+paged+`}`).want(202)
	if a := w.alarmsOf(t)["d9/k"]; !a.Active || a.Severity != "major" {
		t.Errorf("%+v", a)
	}
}

func TestPagerDutysClientsAreRefusedInTheirWords(t *testing.T) {
	w := newWorld(t, nil)
	ada := everybody(t, "inbox publish")
	invalid := func(a answer, texts ...string) {
		t.Helper()
		a.want(400, append(texts, `"status":"invalid event"`, `"errors":[`)...)
	}
	invalid(w.pagerDuty(ada, `"event_action":"trigger"`), `'payload.summary' is missing or blank`)
	invalid(w.pagerDuty(ada, `"event_action":"trigger",`+strings.Replace(paged, "{", `{"timestamp":"today",`, 1)), "payload.timestamp")
	invalid(w.pagerDuty(ada, `"event_action":"acknowledge","dedup_key":"nobody knows"`), "no such alarm")
	invalid(w.do("POST", "/v1/ingest/pagerduty", "{"))
	key := strings.Repeat("ü", 255)
	w.pagerDuty(ada, `"event_action":"trigger","dedup_key":"`+key+`",`+paged).want(202, key)
	invalid(w.pagerDuty(ada, `"event_action":"trigger","dedup_key":"`+key+`ü",`+paged), "255")
	w.pagerDuty(ada+"x", `"event_action":"trigger",`+paged).problem(401, "invalid-token")
	w.do("POST", "/v1/ingest/pagerduty", `{"event_action":"trigger"}`, "Authorization", "").problem(401, "unauthenticated")
	w.pagerDuty(everybody(t, "inbox"), `"event_action":"trigger",`+paged).problem(403, "forbidden")
	w.pagerDuty(ada, `"event_action":"trigger",`+paged, "Authorization", "Bearer bad").problem(401, "invalid-token") // the first one decides
	w.pagerDuty(ada, `"event_action":"trigger","client":"`+strings.Repeat("x", ingest.MaxPagerDutyBytes)+`",`+paged).problem(413, "too-large")
	// Who only publishes sees no alarm, so that he cannot acknowledge one.
	w.pagerDuty(everybody(t, "publish"), `"event_action":"trigger","dedup_key":"k",`+paged).want(202)
	w.pagerDuty(everybody(t, "publish"), `"event_action":"acknowledge","dedup_key":"k"`).problem(403, "forbidden")
	w.log.fail(inbox.ErrUnavailable)
	w.pagerDuty(ada, `"event_action":"trigger",`+paged).problem(503, "storage-unavailable")
}
