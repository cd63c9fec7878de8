package poll

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// Whatever a poll asks for is answered with a page, with nothing new, or with the
// name of the parameter that is wrong; no wait is longer than the longest.
func FuzzPoll(f *testing.F) {
	f.Add("", "", "", "")
	f.Add("cursor=earliest&limit=2", "", `W/"x", "y"`, "wait=25")
	f.Add("limit=1001&wait=-1", "latest", "*", "respond-async, wait=\"30\"; x")
	f.Add("wait=1e400&snapshot=active", "e.1.h", ",", "WAIT = 99999999999")
	f.Add("wait=NaN", "\x00", `""`, "wait=0x1")
	f.Add("last_event_id=a&cursor=b&snapshot=x", "", "W/", "wait")
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(f, log)
	to := w.Route("crew")
	w.Member("crew", "ada", true)
	for range 5 {
		w.Alarm("d", to, inbox.Major, "text")
	}
	last := w.Alarm("e", to, inbox.Minor, "text")
	v, _ := inboxtest.StartView(f, log, inbox.ViewOptions{})
	inboxtest.Reach(f, v, last)
	o := Options{View: v, Limits: transports.Limits{}.WithDefaults()}
	f.Fuzz(func(t *testing.T, query, lastEventID, match, prefer string) {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://gw/v1/inbox", nil)
		r.URL.RawQuery = query
		r.Header = http.Header{"Last-Event-Id": {lastEventID}, "If-None-Match": {match}, "Prefer": {prefer}}
		if wait, _, err := waitOf(r); err == nil && (wait < 0 || wait > MaxWait) {
			t.Fatalf("it would wait %v", wait)
		} else if wait > 0 {
			return
		}
		a := httptest.NewRecorder()
		err := Serve(a, r, transports.Client{User: "ada"}, o, nil, nil)
		switch {
		case err != nil && statusOf(err) != http.StatusBadRequest:
			t.Errorf("an error that names no parameter: %v", err)
		case err == nil && a.Code == http.StatusOK && !json.Valid(a.Body.Bytes()):
			t.Errorf("the page is %s", a.Body)
		case err == nil && a.Code == http.StatusNotModified && a.Body.Len() > 0:
			t.Errorf("nothing new has a body: %s", a.Body)
		}
	})
}
