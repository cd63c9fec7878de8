package httpd

import (
	"encoding/json"
	"net/url"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/metrics"
)

type stats struct {
	Node        string
	Head        uint64
	Users       int
	Connections map[string]crowdJSON
	Deliveries  map[string]uint64
	Events      map[string]uint64
	Changes     map[string]uint64
	Latency     struct {
		Bounds    []float64
		Stored    map[string]histogramJSON
		Delivered map[string]map[string]histogramJSON
	}
}

func (w *world) stats() (s stats) {
	w.t.Helper()
	if err := json.Unmarshal([]byte(w.do("GET", "/v1/stats", "").want(200).body), &s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

// reads asks for the numbers until they are as wanted.
func (w *world) reads(as func(stats) bool) (s stats) {
	w.t.Helper()
	w.until("the numbers are as wanted", func() bool {
		s = w.stats()
		return as(s)
	})
	return s
}

func total(h histogramJSON) (n uint64) {
	for _, c := range h.Counts {
		n += c
	}
	return n
}

func TestStatsCountWhatHappened(t *testing.T) {
	m := metrics.New()
	w := newWorld(t, func(o *Options) { o.Metrics = m })
	// A second view of the log, as another node has one, which counts.
	inboxtest.StartView(t, w.log, inbox.ViewOptions{Observe: Observe(m)})
	w.do("PUT", "/v1/users/sue", `{"groups":["crew"]}`).want(200)
	before := w.raise("d0") // nobody is there yet
	w.openStream("sue", "?cursor=earliest")
	w.openSocket("sue", "crew")
	w.reads(func(s stats) bool {
		return s.Connections["sse"].Connections == 1 && s.Connections["websocket"].Connections == 1
	})
	w.raise("d1")
	w.do("POST", "/v1/alarms/"+url.PathEscape(before)+"/ack", "{}").want(200)
	w.do("POST", "/v1/notices", `{"to":"everyone","title":"t","body":"b"}`).want(202)

	s := w.reads(func(s stats) bool {
		d := s.Latency.Delivered
		return s.Changes["notice"] == 1 && total(d["sse"]["notice"]) == 1 && total(d["websocket"]["notice"]) == 1
	})
	// Two raises and an acknowledgement; what is new was stored twice.
	if s.Changes["major"] != 3 || total(s.Latency.Stored["major"]) != 2 || s.Events["raised"] != 2 || s.Users != 1 || s.Head == 0 {
		t.Errorf("%+v", s)
	}
	for _, transport := range []string{"sse", "websocket"} {
		// What came before he did is delivered, but he did not wait for it. What comes
		// at once counts once.
		if n := total(s.Latency.Delivered[transport]["major"]); n < 1 || n > 2 {
			t.Errorf("%s: %d of major, want 1 or 2", transport, n)
		}
	}
	if s.Deliveries["sse"] != 4 || len(s.Latency.Bounds)+1 != len(s.Latency.Stored["major"].Counts) {
		t.Errorf("%+v", s)
	}

	// A poll that finds what came since his last one has waited for it.
	cursor := func(a answer) string {
		var page struct{ Cursor string }
		if err := json.Unmarshal([]byte(a.body), &page); err != nil {
			t.Fatal(err)
		}
		return url.QueryEscape(page.Cursor)
	}
	at := cursor(w.do("GET", "/v1/inbox?cursor=latest", "").want(200))
	if n := total(w.stats().Latency.Delivered["poll"]["major"]); n != 0 {
		t.Errorf("%d polls have waited for nothing", n)
	}
	w.raise("d2")
	w.do("GET", "/v1/inbox?cursor="+at, "").want(200)
	w.reads(func(s stats) bool {
		return total(s.Latency.Delivered["poll"]["major"]) == 1 && s.Connections["poll"].Users == 1
	})
}

func TestStatsAreForAdministrators(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/v1/stats", "/v1/presence", "/v1/devices", "/v1/users"} {
		w.do("GET", path, "", "Authorization", "Bearer "+token(t, "ada", "inbox publish", time.Minute)).problem(403, "forbidden", "admin")
		w.do("GET", path, "", "Authorization", "").problem(401, "unauthenticated")
	}
	w.do("DELETE", "/v1/users/ada/connections", "", "Authorization", "Bearer "+token(t, "ada", "inbox", time.Minute)).problem(403, "forbidden", "admin")
}
