package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// streams answers with an SSE stream that ends after these bytes.
func streams(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
	}
}

// A record is what a tail brought, in order.
type record struct {
	entries, cursors, moved, notes []string
	limit                          int
}

// follow tails until the server's script is over (410) or limit entries came.
func (r *record) follow(ctx context.Context, c *Client, o Tail) error {
	o.Pace = quick
	o.Each = func(i Item) error {
		r.entries, r.cursors = append(r.entries, string(i.Entry)), append(r.cursors, i.Cursor)
		if len(r.entries) == r.limit {
			return Done
		}
		return nil
	}
	o.Moved = func(cursor string) error { r.moved = append(r.moved, cursor); return nil }
	o.Note = func(kind, text string) { r.notes = append(r.notes, kind+": "+text) }
	return c.Tail(ctx, o)
}

func (r *record) heard(word string) bool {
	return slices.ContainsFunc(r.notes, func(n string) bool { return strings.Contains(n, word) })
}

func wantProblem(t *testing.T, err error, status int) {
	t.Helper()
	var p *Problem
	if !errors.As(err, &p) || p.Status != status {
		t.Errorf("the tail ends with %v, want the problem %d", err, status)
	}
}

func TestSSEResumesAfterTheLastWholeEntry(t *testing.T) {
	s, c := play(t,
		streams("retry: 1\nevent: hello\nid: c0\ndata: {}\n\nid: c1\ndata: {\"n\":1}\n\nevent: ping\ndata:\n\nid: c2\ndata: {\"n\":2"),
		streams("event: hello\nid: c1\nretry: 1\ndata: {}\n\nid: c2\ndata: {\"n\":2}\n\nid: c33"),
		breaks,
		says(503, ""),
		says(200, "<title>Log in</title>"),
		streams("data: {\"n\":3}\nid: c3\n\ndata: {\"n\":4}\nid: c"),
		streams("id: c4\r\ndata: {\"n\":\r\ndata: 4}\r\n\r\n"))
	var r record
	wantProblem(t, r.follow(t.Context(), c, Tail{Via: ViaSSE, Cursor: "given", Snapshot: true}), 410)
	if got := strings.Join(r.entries, " "); got != `{"n":1} {"n":2} {"n":3} {"n":`+"\n4}" {
		t.Errorf("entries %s", got)
	}
	if got := strings.Join(r.moved, " "); got != "c0 c1 c2 c3 c4" {
		t.Errorf("cursors %s", got)
	}
	var ids []string
	for i, q := range s.requests() {
		ids = append(ids, q.header.Get("Last-Event-ID"))
		want := "/v1/inbox/sse"
		if i == 0 {
			want += "?cursor=given&snapshot=active"
		}
		if q.uri != want || q.header.Get("Accept") != "text/event-stream" || q.header.Get("Authorization") != "Bearer secret" {
			t.Errorf("request %d: %+v", i, q)
		}
	}
	if got := strings.Join(ids, " "); got != " c1 c2 c2 c2 c2 c3 c4" {
		t.Errorf("resumes after %q", got)
	}
	if !r.heard("reconnect: in") || !r.heard("503") || !r.heard("no stream of events") {
		t.Errorf("notes: %q", r.notes)
	}
}

func TestSSESkipsWhatIsNoEntryAndTellsGapsAndByes(t *testing.T) {
	_, c := play(t, streams(": comment\n\n\n\nretry: 3000\n\nevent: counts\ndata: {\"unread\":1}\n\n"+
		"event: gap\nid: g1\ndata: {\"reason\":\"expired\",\"from\":\"x\",\"lost\":37,\"repair\":\"snapshot\"}\n\n"+
		"event: gap\ndata: {\"reason\":\"epoch\",\"from\":\"x\",\"lost\":null,\"repair\":\"snapshot\"}\n\n"+
		"event: message\nid: c1\ndata: {}\n\nevent: bye\ndata: {\"reason\":\"drain\"}\n\n"))
	var r record
	wantProblem(t, r.follow(t.Context(), c, Tail{Via: ViaSSE}), 410)
	if len(r.entries) != 1 || strings.Join(r.moved, " ") != "g1 c1" {
		t.Errorf("entries %q, cursors %q", r.entries, r.moved)
	}
	for _, word := range []string{"gap: expired: 37 entries", "gap: epoch: an unknown number", `bye: {"reason":"drain"}`} {
		if !r.heard(word) {
			t.Errorf("no %q in %q", word, r.notes)
		}
	}
}

func TestSSETakesAnEntryLargerThanTheLibrarysBuffer(t *testing.T) {
	large := `{"m":"` + strings.Repeat("x", 300<<10) + `"}`
	_, c := play(t, streams("id: c1\ndata: "+large+"\n\n"))
	r := record{limit: 1}
	if err := r.follow(t.Context(), c, Tail{Via: ViaSSE}); err != nil || r.entries[0] != large {
		t.Errorf("%v", err)
	}
}

func TestSSEGivesUpASilentStream(t *testing.T) {
	_, c := play(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }) // not even a header
	var r record
	wantProblem(t, r.follow(t.Context(), c, Tail{Via: ViaSSE, Dead: 20 * time.Millisecond}), 410)
	if len(r.notes) < 2 || !strings.Contains(r.notes[0], "silent") || !strings.Contains(r.notes[1], "silent") {
		t.Errorf("notes %q", r.notes)
	}
}

func TestSSEEndsAtOnceWhenItsCallerIsDone(t *testing.T) {
	_, c := play(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "id: c1\ndata: 1\n\nid: c2\ndata: 2\n\nid: c3\ndata: 3\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	r := record{limit: 2}
	if err := r.follow(t.Context(), c, Tail{Via: ViaSSE}); err != nil {
		t.Fatal(err)
	}
	if strings.Join(r.entries, "") != "12" || strings.Join(r.moved, "") != "c1c2" {
		t.Errorf("entries %q, cursors %q", r.entries, r.moved)
	}
}

func TestTheServersFinalWordEndsEveryTail(t *testing.T) {
	for _, via := range httpWays {
		for status, passes := range map[int]bool{204: false, 401: false, 403: false, 404: false, 406: false, 429: true, 500: true, 503: true} {
			s, c := play(t, says(status, ""))
			var r record
			err := r.follow(t.Context(), c, Tail{Via: via})
			switch {
			case status == 204 && !errors.Is(err, ErrEnded):
				t.Errorf("%s: 204 gives %v", via, err)
			case status > 204 && !passes:
				wantProblem(t, err, status)
			case passes:
				wantProblem(t, err, 410)
			}
			if got := len(s.requests()) == 2; got != passes {
				t.Errorf("%s: %d is asked again: %v", via, status, got)
			}
		}
	}
}

func TestATailEndsWithItsContextAndWithItsCallersError(t *testing.T) {
	own := errors.New("disk full")
	for _, via := range httpWays {
		answer := streams("id: c1\ndata: {}\n\n")
		if via != ViaSSE {
			answer = says(200, `{"entries":[{}],"cursor":"c1","interval":3600}`)
		}
		_, c := play(t, answer)
		if err := c.Tail(t.Context(), Tail{Via: via, Each: func(Item) error { return own }}); !errors.Is(err, own) {
			t.Errorf("%s: %v", via, err)
		}
		_, c = play(t, answer, answer)
		ctx, cancel := context.WithCancel(t.Context())
		if err := c.Tail(ctx, Tail{Via: via, Each: func(Item) error { cancel(); return nil }}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", via, err)
		}
	}
	_, c := play(t)
	if err := c.Tail(t.Context(), Tail{Via: "pigeon"}); err == nil {
		t.Error("an unknown way is taken")
	}
}

func TestPollingFollowsTheCursor(t *testing.T) {
	for via, wait := range map[string]string{ViaPoll: "", ViaLongPoll: "&wait=3"} {
		s, c := play(t,
			func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"e1"`)
				_, _ = io.WriteString(w, `{"entries":[{"n":1},{"n":2}],"cursor":"c2","more":true,"interval":5,"gap":{"reason":"compacted","lost":null}}`)
			},
			says(304, ""),
			says(503, ""),
			says(200, `{"entries":[{"n":3}],"cursor":"c3","more":true,"interval":5}`))
		var r record
		o := Tail{Via: via, Cursor: "c0", Snapshot: true, Wait: 3 * time.Second, Interval: time.Millisecond, Limit: func() int { return 7 }}
		wantProblem(t, r.follow(t.Context(), c, o), 410)
		if strings.Join(r.entries, "") != `{"n":1}{"n":2}{"n":3}` || strings.Join(r.cursors, " ") != " c2 c3" || strings.Join(r.moved, " ") != "c2 c3" {
			t.Errorf("%s: entries %q, cursors %q, moved %q", via, r.entries, r.cursors, r.moved)
		}
		var asked, tags []string
		for _, q := range s.requests() {
			asked = append(asked, strings.TrimPrefix(q.uri, "/v1/inbox?"))
			tags = append(tags, q.header.Get("If-None-Match"))
		}
		want := []string{"cursor=c0&limit=7&snapshot=active" + wait, "cursor=c2&limit=7" + wait, "cursor=c2&limit=7" + wait, "cursor=c2&limit=7" + wait, "cursor=c3&limit=7" + wait}
		if !slices.Equal(asked, want) {
			t.Errorf("%s asks\n%q\nwant\n%q", via, asked, want)
		}
		if got := strings.Join(tags, " "); got != ` "e1" "e1"  ` {
			t.Errorf("%s sends If-None-Match %q", via, got)
		}
		if !r.heard("gap: compacted") || !r.heard("reconnect") {
			t.Errorf("%s: notes %q", via, r.notes)
		}
	}
}

func TestPollsRestAsTheServerSaysAndNeverAskInACircle(t *testing.T) {
	some := []json.RawMessage{[]byte("{}")}
	for _, c := range []struct {
		via                        string
		page                       Page
		interval, ours, took, want time.Duration
	}{
		{ViaPoll, Page{Entries: some, More: true}, 5 * time.Second, 0, 0, 0},
		{ViaPoll, Page{Entries: some}, 5 * time.Second, 0, 0, 5 * time.Second},
		{ViaPoll, Page{}, 30 * time.Second, time.Minute, 0, time.Minute},
		{ViaPoll, Page{}, 0, 0, 0, quickPoll},
		{ViaLongPoll, Page{Entries: some}, 5 * time.Second, 0, 0, 0},
		{ViaLongPoll, Page{}, 5 * time.Second, 0, 25 * time.Second, 0},
		{ViaLongPoll, Page{}, time.Second, 0, quickPoll / 4, quickPoll * 3 / 4},
	} {
		tl := &tail{Tail: Tail{Via: c.via, Interval: c.ours}}
		if got := tl.rest(c.page, c.interval, c.took); got != c.want {
			t.Errorf("%+v: rests %s", c, got)
		}
	}
}

func TestOnlyWholeEventsPass(t *testing.T) {
	const text = "id: 1\ndata: a\n\nid: 2\r\ndata: b\r\n\r\nid: 3\rdata: c\r\r: x\n\nid: 4\ndata: d\n"
	ends := map[int]bool{}
	for i := range text {
		for _, blank := range []string{"\n\n", "\r\r", "\r\n\r\n"} {
			if strings.HasSuffix(text[:i], blank) {
				ends[i] = true
			}
		}
	}
	whole0 := 0
	for cut := range len(text) + 1 {
		if ends[cut] {
			whole0 = cut
		}
		for name, r := range map[string]io.Reader{
			"at once":      strings.NewReader(text[:cut]),
			"byte by byte": iotest.OneByteReader(strings.NewReader(text[:cut])),
			"with the end": iotest.DataErrReader(strings.NewReader(text[:cut])),
		} {
			w := &whole{body: io.NopCloser(r), heard: func() {}}
			got, err := io.ReadAll(iotest.OneByteReader(w))
			if err != nil || string(got) != text[:whole0] {
				t.Fatalf("cut at %d, %s: %q %v, want %q", cut, name, got, err, text[:whole0])
			}
		}
	}
	w := &whole{body: io.NopCloser(bytes.NewReader(make([]byte, maxEvent+5000))), heard: func() {}}
	if _, err := io.ReadAll(w); err == nil {
		t.Error("an endless event is taken")
	}
}
