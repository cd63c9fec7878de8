package sse

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	client "github.com/r3labs/sse/v2"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

const patience = 20 * time.Second

// A world is a server of ada's stream over real sockets.
type world struct {
	*inboxtest.Writer
	view  *inbox.View
	to    inbox.Audience
	url   string
	ended chan error // what each stream ended with
}

func newWorld(t *testing.T, l transports.Limits, o inbox.ViewOptions) *world {
	t.Helper()
	log := &inbox.MemoryLog{}
	w := &world{Writer: inboxtest.NewWriter(t, log), ended: make(chan error, 10)}
	w.to = w.Route("crew")
	w.Member("crew", "ada", true)
	w.view, _ = inboxtest.StartView(t, log, o)
	pump := transports.NewPump(l)
	go pump.Run(t.Context()) // ends with the test
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		o := Options{View: w.view, Pump: pump, Limits: l.WithDefaults()}
		opened := false
		err := Serve(rw, r, transports.Client{User: "ada"}, o, func(*transports.Stream) { opened = true }, func(err error) { w.ended <- err })
		if err != nil && rw.Header().Get("Content-Type") == "" {
			http.Error(rw, err.Error(), http.StatusTeapot)
		}
		if !opened {
			w.ended <- err
		}
	}))
	t.Cleanup(server.Close)
	w.url = server.URL
	return w
}

func (w *world) raise(device, body string) {
	w.T.Helper()
	inboxtest.Reach(w.T, w.view, w.Alarm(device, w.to, inbox.Major, body))
}

func (w *world) cursor() string {
	w.T.Helper()
	return inboxtest.Drain(w.T, inboxtest.Open(w.T, w.view, "ada", inbox.Start{}), 1).Cursor
}

// An event is one block of the stream, by its fields.
type event struct{ name, id, data, retry, comment string }

// A stream is a response being read.
type stream struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
}

func (w *world) open(t *testing.T, query, lastID string) *stream {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	r, _ := http.NewRequestWithContext(ctx, "GET", w.url+query, nil)
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	return &stream{t, resp, bufio.NewReader(resp.Body)}
}

// next reads one block, and fails on anything that the format does not have.
func (s *stream) next() (e event) {
	s.t.Helper()
	for fields := 0; ; fields++ {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatalf("after %+v: %v", e, err)
		}
		line = strings.TrimSuffix(line, "\n")
		if strings.Contains(line, "\r") {
			s.t.Fatalf("a CR in %q", line)
		}
		name, value, found := strings.Cut(line, ": ")
		switch {
		case line == "" && fields == 0:
			s.t.Fatal("an empty block")
		case line == "":
			return e
		case strings.HasPrefix(line, ":"):
			e.comment = line
		case !found:
			s.t.Fatalf("the line %q", line)
		case name == "event":
			e.name = value
		case name == "id":
			e.id = value
		case name == "retry":
			e.retry = value
		case name == "data" && e.data == "":
			e.data = value
		case name == "data":
			e.data += "\n" + value
		default:
			s.t.Fatalf("the field %q", name)
		}
	}
}

func (s *stream) want(name, data string) event {
	s.t.Helper()
	e := s.next()
	if e.name != name || !strings.Contains(e.data, data) {
		s.t.Fatalf("the event %+v, want %q with %q", e, name, data)
	}
	return e
}

func TestStreamBeginsWithHelloAndThenTells(t *testing.T) {
	w := newWorld(t, transports.Limits{}, inbox.ViewOptions{})
	s := w.open(t, "?pad=99999", "")
	for name, want := range map[string]string{
		"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache, no-transform",
		"X-Accel-Buffering": "no", "Content-Encoding": "",
	} {
		if got := s.resp.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	e := s.want("hello", `"resumed":false`)
	var hello struct {
		V, Ping, Unread int
		Cursor          string
		Active          map[string]int
	}
	if err := json.Unmarshal([]byte(e.data), &hello); err != nil || hello.V != 1 || hello.Ping != 20 || len(hello.Active) != 5 {
		t.Errorf("hello %s, error %v", e.data, err)
	}
	if hello.Cursor != w.cursor() || e.id != hello.Cursor {
		t.Errorf("hello has the cursor %q and the id %q, want %q", hello.Cursor, e.id, w.cursor())
	}
	if ms, err := strconv.Atoi(e.retry); err != nil || ms < 1000 || ms > 3000 {
		t.Errorf("retry: %q", e.retry)
	}
	if len(e.comment) != 1+maxPad {
		t.Errorf("%d bytes of padding", len(e.comment))
	}
	w.raise("d1", "one")
	if e := s.want("", `"body":"one"`); e.id != w.cursor() {
		t.Errorf("the entry has the id %q, want %q", e.id, w.cursor())
	}
	s.want("counts", `{"unread":1,"active":{"critical":0,"major":1,`)
}

func TestStreamResumesAfterTheLastEvent(t *testing.T) {
	w := newWorld(t, transports.Limits{}, inbox.ViewOptions{})
	old := w.cursor()
	w.raise("d1", "one")
	seen := w.cursor()
	w.raise("d2", "two")
	for name, s := range map[string]*stream{
		"header":             w.open(t, "", seen),
		"cursor":             w.open(t, "?cursor="+seen, ""),
		"twin":               w.open(t, "?last_event_id="+seen, ""),
		"header before both": w.open(t, "?snapshot=active&cursor="+old+"&last_event_id="+old, seen),
	} {
		t.Run(name, func(t *testing.T) {
			s.t = t
			if e := s.want("hello", `"resumed":true`); e.id != seen {
				t.Errorf("hello has the id %q, want %q", e.id, seen)
			}
			s.want("", `"body":"two"`)
		})
	}
}

func TestABadCursorIsAGapAndASnapshot(t *testing.T) {
	for cursor, from := range map[string]string{"123": `"from":"123"`, "a\"b ä": `"from":"lost.`, strings.Repeat("x", 500): `"from":"lost.`} {
		w := newWorld(t, transports.Limits{}, inbox.ViewOptions{})
		w.raise("d1", "one")
		w.Alarm("d2", w.to, 0, "over")
		w.raise("d3", "three")
		s := w.open(t, "", cursor)
		if e := s.want("hello", `"resumed":false`); e.id != "" {
			t.Errorf("hello before a gap has the id %q", e.id)
		}
		e := s.want("gap", from)
		if !json.Valid([]byte(e.data)) || e.id != "" || !strings.Contains(e.data, `"repair":"snapshot"`) {
			t.Errorf("gap %+v", e)
		}
		s.want("", `"body":"one"`)
		s.want("", `"body":"three"`)
	}
}

func TestWhatLeftTheWindowIsToldAsCompacted(t *testing.T) {
	w := newWorld(t, transports.Limits{}, inbox.ViewOptions{Window: 2000})
	from := w.cursor()
	for i := range 30 {
		w.raise("d1", fmt.Sprint("n", i))
	}
	s := w.open(t, "", from)
	s.want("hello", "")
	s.want("gap", `{"reason":"compacted","from":"`+from+`","lost":null,"repair":"newest"}`)
	s.want("", `"body":"n29"`)
}

func TestARepairWithoutEntriesHasItsCursorOnTheGap(t *testing.T) {
	w := newWorld(t, transports.Limits{}, inbox.ViewOptions{})
	s := w.open(t, "", "nonsense")
	s.want("hello", "")
	e := s.want("gap", "")
	again := w.open(t, "", e.id)
	again.want("hello", `"resumed":true`)
}

func TestPingAndByeAreEvents(t *testing.T) {
	w := newWorld(t, transports.Limits{Ping: 50 * time.Millisecond, Rotate: 500 * time.Millisecond}, inbox.ViewOptions{})
	s := w.open(t, "", "")
	s.want("hello", `"ping":0.05`)
	e := s.want("ping", "{}")
	if e.id != w.cursor() {
		t.Errorf("ping has the id %q, want %q", e.id, w.cursor())
	}
	for e.name == "ping" {
		e = s.next()
	}
	if e.name != "bye" || !strings.HasPrefix(e.data, `{"reason":"rotate","retry_ms":`) {
		t.Errorf("the last event is %+v", e)
	}
	if _, err := s.in.ReadByte(); err != io.EOF {
		t.Errorf("after bye: %v", err)
	}
}

func TestWhatCannotStreamIsToldSo(t *testing.T) {
	w := newWorld(t, transports.Limits{}, inbox.ViewOptions{})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.0\r\n\r\n")
	if err := <-w.ended; err != transports.ErrNoStream {
		t.Errorf("HTTP/1.0 ended with %v", err)
	}
	for _, query := range []string{"?pad=x", "?snapshot=all"} {
		s := w.open(t, query, "")
		if s.resp.StatusCode != http.StatusTeapot {
			t.Errorf("%s was served", query)
		}
		<-w.ended
	}
}

func TestAStalledReaderIsCutAndDisturbsNobody(t *testing.T) {
	l := transports.Limits{WriteTimeout: time.Second}
	w := newWorld(t, l, inbox.ViewOptions{})
	from := w.cursor()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	fmt.Fprintf(conn, "GET /?cursor=%s HTTP/1.1\r\nHost: x\r\n\r\n", from)
	other := w.open(t, "", from)
	other.want("hello", "")
	// 16 MB, more than the sockets take between them.
	big := strings.Repeat("x", 40<<10)
	go func() { // ends with its last entry
		for i := range 400 {
			w.Alarm("d"+strconv.Itoa(i%7), w.to, inbox.Minor, strconv.Itoa(i)+big)
		}
	}()
	for i := 0; i < 400; {
		if e := other.next(); e.name == "" {
			if !strings.Contains(e.data, `"body":"`+strconv.Itoa(i)+"x") {
				t.Fatalf("entry %d is not the next", i)
			}
			i++
		}
	}
	select {
	case err := <-w.ended:
		if err == nil || !strings.Contains(err.Error(), "timeout") && !strings.Contains(err.Error(), "cancel") {
			t.Errorf("the stalled stream ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("the stalled stream is still there")
	}
}

func TestR3labsClientFollowsAcrossReconnects(t *testing.T) {
	w := newWorld(t, transports.Limits{Rotate: 300 * time.Millisecond}, inbox.ViewOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []string
	hellos := 0
	c := client.NewClient(w.url + "?cursor=" + w.cursor())
	handle := func(e *client.Event) {
		switch string(e.Event) {
		case "hello":
			if hellos++; hellos > 1 && len(e.ID) == 0 {
				t.Errorf("hello %d without an id: %s", hellos, e.Data)
			}
			w.Alarm("d1", w.to, inbox.Major, strconv.Itoa(len(got)))
		case "":
			var entry struct{ Body string }
			if err := json.Unmarshal(e.Data, &entry); err != nil {
				t.Errorf("entry %s: %v", e.Data, err)
			}
			if got = append(got, entry.Body); len(got)%3 != 0 {
				w.Alarm("d2", w.to, inbox.Minor, strconv.Itoa(len(got)))
			}
		}
	}
	// The client returns at the end of a stream, and keeps the last id.
	for hellos < 3 && ctx.Err() == nil {
		if err := c.SubscribeRawWithContext(ctx, handle); err != nil {
			t.Fatal(err)
		}
	}
	if hellos < 3 {
		t.Fatalf("%d connections, want 3", hellos)
	}
	for i, body := range got {
		if body != strconv.Itoa(i) {
			t.Fatalf("entries %v: each must come once", got)
		}
	}
}

func TestPayloadIsSplitOnEveryLineBreak(t *testing.T) {
	e := encoder{}
	e.Hold()
	from := e.data()
	e.B = append(e.B, "a\nb\rc\r\nd\n\ne"...)
	e.end(from)
	if got, want := string(e.B), "data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func BenchmarkEntries(b *testing.B) {
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(b, log)
	to := w.Route("crew")
	w.Member("crew", "ada", true)
	v, _ := inboxtest.StartView(b, log, inbox.ViewOptions{})
	for i := range 100 {
		inboxtest.Reach(b, v, w.Alarm("d"+strconv.Itoa(i), to, inbox.Major, strings.Repeat("x", 300)))
	}
	batch, err := inboxtest.Open(b, v, "ada", inbox.Start{Cursor: inbox.Earliest}).Read(b.Context(), 100)
	if err != nil {
		b.Fatal(err)
	}
	e := encoder{w: httptest.NewRecorder(), begun: true}
	b.ReportAllocs()
	for b.Loop() { // 100 entries
		e.Part(transports.Part{Batch: &batch, To: len(batch.Items)})
		e.Release()
	}
}
