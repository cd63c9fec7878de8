package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// quick is a pace for tests: nothing there waits for anything but the network.
var quick = Pace{First: time.Millisecond, Most: 2 * time.Millisecond}

// A script is a server that answers each request with the next of its handlers,
// and the requests that came. Beyond the last handler it answers 410, which ends
// any client.
type script struct {
	mu    sync.Mutex
	steps []http.HandlerFunc
	came  []request
}

type request struct {
	method, uri string
	header      http.Header
	body        string
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.came = append(s.came, request{r.Method, r.URL.RequestURI(), r.Header, string(body)})
	step := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusGone) }
	if len(s.steps) > 0 {
		step, s.steps = s.steps[0], s.steps[1:]
	}
	s.mu.Unlock()
	step(w, r)
}

func (s *script) requests() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.came
}

// play starts a server with this script and a client of it.
func play(t *testing.T, steps ...http.HandlerFunc) (*script, *Client) {
	t.Helper()
	s := &script{steps: steps}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	c, err := New(server.URL, "secret")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// breaks ends the connection without an answer.
func breaks(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }

func TestPublishReturnsAResultForEachEvent(t *testing.T) {
	s, c := play(t, says(202, `{"results":[{"id":"a","rev":1,"seq":7,"status":"raised","duplicate":true},`+
		`{"status":"rejected","problem":{"title":"Bad","status":422,"detail":"type: required"}}]}`))
	got, err := c.Publish(t.Context(), "key", [][]byte{[]byte(`{"a":1}`), []byte(`{"a":2}`)})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Status != StatusRaised || !got[0].Duplicate || got[0].Seq != 7 || string(got[0].Raw)[:9] != `{"id":"a"` {
		t.Errorf("first: %+v", got[0])
	}
	if got[1].Status != StatusRejected || got[1].Problem.Error() != "422 Bad: type: required" {
		t.Errorf("second: %+v", got[1])
	}
	r := s.requests()[0]
	if r.method != "POST" || r.uri != "/v1/alarms" || r.body != "{\"a\":1}\n{\"a\":2}\n" ||
		r.header.Get("Content-Type") != "application/x-ndjson" || r.header.Get("Idempotency-Key") != "key" ||
		r.header.Get("Authorization") != "Bearer secret" {
		t.Errorf("the request: %+v", r)
	}
}

func TestPublishRefusesAnAnswerThatDoesNotMatch(t *testing.T) {
	for _, body := range []string{`{"results":[]}`, `{"results":[1]}`, `oops`} {
		_, c := play(t, says(202, body))
		if _, err := c.Publish(t.Context(), "", [][]byte{[]byte(`{}`)}); err == nil {
			t.Errorf("%s is taken", body)
		}
	}
}

func TestPublishRetriesTheSameBatchUntilTheServerIsBack(t *testing.T) {
	s, c := play(t, breaks,
		says(503, `{"title":"Draining","status":503}`),
		says(202, `{"results":[{"status":"rejected","problem":{"status":503}}]}`),
		says(202, `{"results":[{"status":"raised","duplicate":true}]}`))
	var heard []string
	got, err := c.PublishRetrying(t.Context(), "key", [][]byte{[]byte(`{"id":"1"}`)},
		Retry{For: time.Minute, Pace: quick, Note: func(err error) { heard = append(heard, err.Error()) }})
	if err != nil || len(got) != 1 || got[0].Status != StatusRaised {
		t.Fatalf("%+v %v", got, err)
	}
	came := s.requests()
	if len(came) != 4 || len(heard) != 3 {
		t.Fatalf("%d requests, notes %q", len(came), heard)
	}
	for _, r := range came {
		if r.body != came[0].body || r.header.Get("Idempotency-Key") != "key" {
			t.Errorf("another request: %+v", r)
		}
	}
}

func TestPublishGivesUpWhatWillNotPassAndWhatTakesTooLong(t *testing.T) {
	s, c := play(t, says(403, `{"title":"Forbidden","detail":"scope publish"}`))
	_, err := c.PublishRetrying(t.Context(), "", [][]byte{[]byte(`{}`)}, Retry{For: time.Minute, Pace: quick})
	var p *Problem
	if !errors.As(err, &p) || p.Status != 403 || len(s.requests()) != 1 {
		t.Errorf("%v after %d requests", err, len(s.requests()))
	}
	_, c = play(t, says(503, ""))
	if _, err = c.PublishRetrying(t.Context(), "", [][]byte{[]byte(`{}`)}, Retry{}); !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("without time to retry: %v", err)
	}
	_, c = play(t, says(202, `{"results":[{"status":"rejected","problem":{"status":503}}]}`))
	got, err := c.PublishRetrying(t.Context(), "", [][]byte{[]byte(`{}`)}, Retry{})
	if err != nil || len(got) != 1 || got[0].Status != StatusRejected {
		t.Errorf("the results of the last attempt: %+v %v", got, err)
	}
}

func TestWaitsDoubleUpToTheMostAndKeepToTheServersWord(t *testing.T) {
	w := Pace{First: 10, Most: 35}.start()
	for _, most := range []time.Duration{10, 20, 35, 35} {
		if d := w.delay(nil); d < 1 || d > most {
			t.Errorf("waits %d, want 1 to %d", d, most)
		}
	}
	w.reset()
	if d := w.delay(errors.New("x")); d > 10 {
		t.Errorf("after a success it waits %d, want at most 10", d)
	}
	w = Pace{First: 10, Most: time.Minute}.start()
	if d := w.delay(&Problem{Status: 503, RetryAfter: time.Second}); d != time.Second {
		t.Errorf("waits %s, the server asked for 1s", d)
	}
	if d := w.delay(&Problem{Status: 503, RetryAfter: time.Hour}); d != time.Minute {
		t.Errorf("waits %s; a server must not ask for more than the most", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if pause(ctx, time.Hour) {
		t.Error("it waits longer than its context")
	}
}

func TestAClientWantsAURLAndATokenThatCanBeOne(t *testing.T) {
	for _, c := range [][2]string{{"127.0.0.1:8080", ""}, {"ftp://a", ""}, {"http://", ""}, {"http://a", "two words"}, {"http://a", "x\n"}} {
		if _, err := New(c[0], c[1]); err == nil || strings.Contains(err.Error(), "two words") {
			t.Errorf("%q: %v", c, err)
		}
	}
}

func TestTheDirectoryReportsWhatItTook(t *testing.T) {
	s, c := play(t, breaks, says(200, `{"lines":2,"devices":1,"users":0,"changed":1,"rejected":1,"refused":[{"line":2,"detail":"no"}]}`))
	got, err := c.DirectoryRetrying(t.Context(), [][]byte{[]byte("{}"), []byte("{}")}, Retry{For: time.Minute, Pace: quick})
	if err != nil || got.Devices != 1 || got.Rejected != 1 || got.Refused[0] != (Refusal{2, "no"}) {
		t.Errorf("%+v %v", got, err)
	}
	if r := s.requests()[1]; r.uri != "/v1/directory" || r.body != "{}\n{}\n" {
		t.Errorf("the request: %+v", r)
	}
	var total Report
	total.Add(got)
	total.Add(got)
	if total.Lines != 4 || total.Changed != 2 || total.Refused != nil {
		t.Errorf("the sum: %+v", total)
	}
}

// httpWays are the ways that the stand-in for a server speaks.
var httpWays = []string{ViaSSE, ViaLongPoll, ViaPoll}
