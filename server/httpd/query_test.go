package httpd

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"tocsin/server/inbox"
)

// A list is an answer to GET /v1/alarms.
type list struct {
	Alarms []struct {
		ID, Device, Type, Severity string
		Active, Acked              bool
	}
	Next   *string
	Total  int
	Cursor string
	Unread *int
	Active map[string]int
}

func (w *world) list(query string) (l list, devices string) {
	w.t.Helper()
	a := w.do("GET", "/v1/alarms"+query, "").want(200)
	if err := json.Unmarshal([]byte(a.body), &l); err != nil || l.Unread == nil || l.Cursor == "" || len(l.Active) != 5 {
		w.t.Fatalf("%s: %v", a.body, err)
	}
	var names []string
	for _, a := range l.Alarms {
		names = append(names, a.Device)
	}
	slices.Sort(names)
	return l, strings.Join(names, " ")
}

func TestListsAreFiltered(t *testing.T) {
	w := newWorld(t, nil)
	for i, severity := range []string{"critical", "minor", "warning", "major"} {
		device := fmt.Sprintf("d%d", i)
		w.do("PUT", "/v1/devices/"+device, `{"groups":["crew"]}`).want(200)
		w.do("POST", "/v1/alarms", `{"device":"`+device+`","type":"t`+severity+`","severity":"`+severity+`","message":"Pump `+device+`"}`).want(202)
	}
	w.do("POST", "/v1/alarms", `{"device":"d2","type":"twarning","severity":"cleared"}`).want(202)
	done := w.raise("d9")
	w.do("POST", "/v1/alarms/"+done+"/ack", "").want(200)
	w.do("POST", "/v1/alarms/"+done+"/clear", `{"note":"x"}`).want(200)
	for query, want := range map[string]string{
		"":                                 "d0 d1 d2 d3",
		"?state=active":                    "d0 d1 d2 d3",
		"?state=all":                       "d0 d1 d2 d3 d9",
		"?state=unacked":                   "d0 d1 d2 d3",
		"?severity_min=major":              "d0 d3",
		"?severity_min=warning":            "d0 d1 d2 d3",
		"?severity_min=indeterminate":      "d0 d1 d3", // it stands beside minor
		"?device=d1":                       "d1",
		"?group=crew&type=tmajor":          "d3",
		"?group=others":                    "",
		"?q=" + url.QueryEscape("pump d0"): "d0",
	} {
		l, got := w.list(query)
		if got != want || l.Next != nil {
			t.Errorf("%q: %q, want %q", query, got, want)
		}
		if l.Active["critical"] != 1 || l.Active["warning"] != 1 || *l.Unread != 5 {
			t.Errorf("%q: counters %v, %d unread", query, l.Active, *l.Unread)
		}
	}
	if l, _ := w.list("?q=no+such+thing"); l.Total != 4 {
		t.Errorf("%d open in all, want 4", l.Total)
	}
	if a := w.do("GET", "/v1/alarms", "", w.eve()...).want(200); !strings.Contains(a.body, `"alarms":[],"next":null`) {
		t.Errorf("hers: %s", a.body)
	}
}

func TestListsComeInPages(t *testing.T) {
	w := newWorld(t, nil)
	for i := range 7 {
		w.raise(fmt.Sprintf("d%d", i))
	}
	var all []string
	query := "?limit=3"
	for pages := 1; ; pages++ {
		l, devices := w.list(query)
		all = append(all, strings.Fields(devices)...)
		if l.Next == nil {
			if pages != 3 {
				t.Errorf("%d pages, want 3", pages)
			}
			break
		}
		if pages > 3 {
			t.Fatal("it has no end")
		}
		query = "?limit=3&after=" + url.QueryEscape(*l.Next)
	}
	// The pages are those of one list, seen by one user as he was.
	w.do("PUT", "/v1/users/ada", `{"groups":["elsewhere"]}`).want(200)
	w.do("GET", "/v1/alarms"+query, "").problem(409, "list-changed")
	slices.Sort(all)
	if got := strings.Join(all, " "); got != "d0 d1 d2 d3 d4 d5 d6" {
		t.Errorf("all pages together: %s", got)
	}
}

func TestListsAreAskedForInBounds(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/v1/alarms?limit=1000", "").want(200)
	long := strings.Repeat("ä", inbox.MaxListText)
	w.do("GET", "/v1/alarms?q="+url.QueryEscape(long), "").want(200)
	w.do("GET", "/v1/alarms?q="+url.QueryEscape(long+"ä"), "").problem(400, "malformed", `"field":"q"`, "256", "257")
	for field, value := range map[string]string{"limit": "1001", "state": "open", "severity_min": "bad"} {
		w.do("GET", "/v1/alarms?"+field+"="+value, "").problem(400, "malformed", `"field":"`+field+`"`)
	}
	w.do("GET", "/v1/alarms?limit=0", "").problem(400, "malformed", `"field":"limit"`, `"limit":1000`)
	w.do("GET", "/v1/alarms?after=nonsense", "").problem(400, "malformed", `"field":"after"`)
	w.do("GET", "/v1/alarms", "", bearer(token(t, "ada", "publish", 60e9))...).problem(403, "forbidden")
}

// What a list does not show yet follows its cursor.
func TestAListGoesOnAsAnInbox(t *testing.T) {
	w := newWorld(t, nil)
	w.raise("d1")
	l, _ := w.list("")
	w.raise("d2")
	a := w.do("GET", "/v1/inbox?cursor="+url.QueryEscape(l.Cursor), "").want(200, `"device":"d2"`, `"gap":null`)
	if strings.Contains(a.body, `"device":"d1"`) {
		t.Errorf("it is told again: %s", a.body)
	}
}

func TestHistoryOverHTTP(t *testing.T) {
	w := newWorld(t, nil)
	id := w.raise("d1")
	path := "/v1/alarms/" + url.PathEscape(id)
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"major"}`).want(202)
	w.do("POST", path+"/comment", `{"note":"on my way"}`).want(200)
	var h struct {
		Entries []struct {
			Seq                          uint64
			Type, Time, By, Note, Status string
			Quiet                        *bool
			Alarm                        struct{ ID string }
		}
		Next *string
	}
	var said []string
	query := "?limit=2"
	for range 2 {
		a := w.do("GET", path+"/history"+query, "").want(200)
		h.Next = nil
		if err := json.Unmarshal([]byte(a.body), &h); err != nil {
			t.Fatal(err)
		}
		for _, e := range h.Entries {
			said = append(said, e.Type+" "+e.Status+" "+e.By+" "+e.Note)
			if e.Seq == 0 || len(e.Time) != len(inbox.TimeFormat) || e.Quiet == nil || e.Alarm.ID != id {
				t.Errorf("%+v", e)
			}
		}
		if h.Next == nil {
			break
		}
		query = "?limit=2&after=" + *h.Next
	}
	want := "alarm.raised raised ingest ; alarm.updated repeated ingest ; alarm.commented commented ada on my way"
	if got := strings.Join(said, "; "); got != want || h.Next != nil {
		t.Errorf("%s, want %s", got, want)
	}
	w.do("GET", path+"/history?limit=1000", "").want(200)
	w.do("GET", path+"/history?limit=1001", "").problem(400, "malformed", `"field":"limit"`, `"limit":1000`)
	w.do("GET", path+"/history?after=x", "").problem(400, "malformed", `"field":"after"`)
	w.do("GET", path+"/history", "", w.eve()...).problem(404, "not-found")
	w.do("GET", "/v1/alarms/none/history", "").problem(404, "not-found")
}

func TestCountsForABell(t *testing.T) {
	w := newWorld(t, nil)
	w.raise("d1")
	a := w.do("GET", "/v1/counts", "").want(200, `"unread":1`, `"major":1`, `"cursor":"`)
	tag := a.header.Get("ETag")
	w.do("GET", "/v1/counts", "", "If-None-Match", `"x", `+tag).want(304)
	w.do("PUT", "/v1/devices/theirs", `{"groups":["others"]}`).want(200)
	w.do("POST", "/v1/alarms", `{"device":"theirs","type":"t","severity":"major"}`).want(202)
	w.do("GET", "/v1/counts", "", "If-None-Match", tag).want(304)
	w.do("POST", "/v1/inbox/read", `{"upto":"latest"}`).want(200)
	w.do("GET", "/v1/counts", "", "If-None-Match", tag).want(200, `"unread":0`)
	// Its cursor is one to go on from.
	var counts struct{ Cursor string }
	if err := json.Unmarshal([]byte(a.body), &counts); err != nil {
		t.Fatal(err)
	}
	w.raise("d2")
	w.do("GET", "/v1/inbox?cursor="+counts.Cursor, "").want(200, `"device":"d2"`, `"gap":null`)
}
