package poll

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// A world is a server of ada's inbox over real sockets.
type world struct {
	*inboxtest.Writer
	view *inbox.View
	to   inbox.Audience
	url  string
	hold func(end func(error)) // hears of polls that wait
	exp  time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log := &inbox.MemoryLog{}
	w := &world{Writer: inboxtest.NewWriter(t, log), hold: func(func(error)) {}}
	w.to = w.Route("crew")
	w.Member("crew", "ada", true)
	w.view, _ = inboxtest.StartView(t, log, inbox.ViewOptions{})
	pump := transports.NewPump(transports.Limits{})
	go pump.Run(t.Context()) // ends with the test
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		o := Options{View: w.view, Pump: pump, Limits: transports.Limits{}.WithDefaults(),
			Problem: func(err error) (int, http.Header, []byte) { return statusOf(err), http.Header{}, []byte(err.Error()) }}
		opened := func(end func(error)) { w.hold(end) }
		if err := Serve(rw, r, transports.Client{User: "ada", Expires: w.exp}, o, opened, func(error) {}); err != nil {
			http.Error(rw, err.Error(), statusOf(err))
		}
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func statusOf(err error) int {
	if errors.As(err, new(*transports.ParamError)) {
		return http.StatusBadRequest
	}
	return http.StatusTeapot
}

func (w *world) raise(device, body string) {
	w.T.Helper()
	inboxtest.Reach(w.T, w.view, w.Alarm(device, w.to, inbox.Major, body))
}

// A reply is what came back.
type reply struct {
	status   int
	header   http.Header
	text     string
	Entries  []struct{ Body string }
	Cursor   string
	More     bool
	Unread   int
	Active   map[string]int
	Interval int
	Gap      *struct{ Reason, Repair string }
}

func (w *world) get(t *testing.T, query string, headers ...string) (a reply) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), "GET", w.url+query, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.status, a.header, a.text = resp.StatusCode, resp.Header, string(body)
	if a.status == http.StatusOK {
		if err := json.Unmarshal(body, &a); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		if got := resp.Header.Get("Content-Length"); got != strconv.Itoa(len(body)) {
			t.Errorf("Content-Length %q of %d bytes", got, len(body))
		}
	}
	if a.status != http.StatusBadRequest && a.status != http.StatusTeapot && resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", resp.Header.Get("Cache-Control"))
	}
	return a
}

func TestPollHasTheShapeOfTheProtocol(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, "")
	want := `{"entries":[],"cursor":"` + a.Cursor + `","more":false,"unread":0,"active":{"critical":0,"major":0,"minor":0,"warning":0,"indeterminate":0},"interval":30,"gap":null}` + "\n"
	if a.text != want {
		t.Errorf("%s, want %s", a.text, want)
	}
	w.raise("d1", "one")
	w.raise("d2", "two")
	b := w.get(t, "?cursor="+a.Cursor+"&limit=1")
	if len(b.Entries) != 1 || b.Entries[0].Body != "one" || !b.More || b.Interval != 0 || b.Unread != 2 || b.Active["major"] != 2 {
		t.Errorf("%s", b.text)
	}
	c := w.get(t, "", "Last-Event-ID", b.Cursor)
	if len(c.Entries) != 1 || c.Entries[0].Body != "two" || c.More || c.Interval != 5 {
		t.Errorf("%s", c.text)
	}
	if d := w.get(t, "?cursor="+c.Cursor); d.Cursor != c.Cursor || len(d.Entries) != 0 {
		t.Errorf("%s", d.text)
	}
	if s := w.get(t, "?snapshot=active"); len(s.Entries) != 2 || s.Gap != nil {
		t.Errorf("%s", s.text)
	}
}

func TestNothingNewIs304(t *testing.T) {
	w := newWorld(t)
	a := w.get(t, "")
	tag, path := a.header.Get("ETag"), "?cursor="+a.Cursor
	for _, match := range []string{tag, "W/" + tag, `"x", ` + tag, `"x",W/` + tag + `,"y"`, "*"} {
		b := w.get(t, path, "If-None-Match", match)
		if b.status != http.StatusNotModified || b.text != "" || b.header.Get("ETag") != tag {
			t.Errorf("If-None-Match: %s: %d %q", match, b.status, b.text)
		}
	}
	if b := w.get(t, "", "If-None-Match", "*"); b.status != http.StatusOK {
		t.Error("a client without a cursor was not told his")
	}
	if b := w.get(t, path, "If-None-Match", `"x"`); b.status != http.StatusOK {
		t.Errorf("another tag: %d", b.status)
	}
	// What is not ada's changes nothing for her.
	inboxtest.Reach(t, w.view, w.Notice(inbox.UserAudience("bob"), "n", "for bob"))
	if b := w.get(t, path, "If-None-Match", tag); b.status != http.StatusNotModified {
		t.Errorf("after another's notice: %d", b.status)
	}
	w.view.SetMark("ada", inbox.Mark{Rev: 1, Epoch: w.Epoch, Upto: 1})
	if b := w.get(t, path+"&wait=50", "If-None-Match", tag); b.status != http.StatusOK || len(b.Entries) != 0 {
		t.Errorf("after another mark: %d %s", b.status, b.text)
	}
	w.raise("d1", "one")
	if b := w.get(t, path, "If-None-Match", "*"); b.status != http.StatusOK || len(b.Entries) != 1 {
		t.Errorf("with an entry: %d %s", b.status, b.text)
	}
}

func TestBadParametersAreNamed(t *testing.T) {
	w := newWorld(t)
	for query, words := range map[string][]string{
		"?limit=0":      {"limit", "1000"},
		"?limit=1001":   {"limit", "1000"},
		"?limit=ten":    {"limit", "1000"},
		"?wait=-1":      {"wait", "55"},
		"?wait=NaN":     {"wait", "55"},
		"?wait=soon":    {"wait", "55"},
		"?cursor=a b":   {"cursor", "[A-Za-z0-9._~-]"},
		"?snapshot=all": {"snapshot", "active"},
	} {
		a := w.get(t, strings.ReplaceAll(query, " ", "%20"))
		if a.status != http.StatusBadRequest {
			t.Errorf("%s: %d", query, a.status)
		}
		for _, word := range words {
			if !strings.Contains(a.text, word) {
				t.Errorf("%s: %s, want it to name %s", query, a.text, word)
			}
		}
	}
}

func TestALongPollWakes(t *testing.T) {
	w := newWorld(t)
	start := w.get(t, "")
	for name, test := range map[string]struct {
		query   string
		headers []string
	}{
		"by the query":  {"&wait=50", nil},
		"by preference": {"", []string{"Prefer", "respond-async, wait=50"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := make(chan reply, 1)
			go func() { got <- w.get(t, "?cursor="+start.Cursor+test.query, test.headers...) }() // ends with its answer
			w.raise("d1", name)
			a := <-got
			if len(a.Entries) != 1 || a.Entries[0].Body != name {
				t.Errorf("%s", a.text)
			}
			if name == "by preference" && a.header.Get("Preference-Applied") != "wait=50" {
				t.Errorf("headers %v", a.header)
			}
			start = a
		})
	}
}

func TestAHeldPollIsAnsweredByTheDrainAndByExpiry(t *testing.T) {
	w := newWorld(t)
	w.hold = func(end func(error)) { time.AfterFunc(10*time.Millisecond, func() { end(transports.Drain) }) }
	if a := w.get(t, "?wait=50"); a.status != http.StatusOK || a.Interval != 1 || a.Cursor == "" || len(a.Entries) != 0 {
		t.Errorf("drain: %d %s", a.status, a.text)
	}
	w.hold = func(func(error)) {}
	w.exp = time.Now().Add(50 * time.Millisecond)
	if a := w.get(t, "?wait=50"); a.status != http.StatusTeapot || !strings.Contains(a.text, "expired") {
		t.Errorf("expiry: %d %s", a.status, a.text)
	}
}

func TestWaitIsReadAndCut(t *testing.T) {
	for _, test := range []struct {
		query, prefer string
		want          time.Duration
	}{
		{"", "", 0}, {"wait=0", "wait=9", 0}, {"wait=25", "", 25 * time.Second}, {"wait=0.5", "", 500 * time.Millisecond},
		{"wait=1e9", "", MaxWait}, {"", "wait=25", 25 * time.Second}, {"", `respond-async, Wait="7"`, 7 * time.Second},
		{"", "wait=99", MaxWait}, {"", "wait=soon", 0},
	} {
		r := httptest.NewRequest("GET", "/?"+test.query, nil)
		if test.prefer != "" {
			r.Header.Set("Prefer", test.prefer)
		}
		if got, _, err := waitOf(r); got != test.want || err != nil {
			t.Errorf("%q, Prefer %q: %v, %v, want %v", test.query, test.prefer, got, err, test.want)
		}
	}
}
