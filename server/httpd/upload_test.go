package httpd

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	remote "tocsin/server/client"
	"tocsin/server/inbox"
)

// A talk is an upload under way: lines go in while results come out.
type talk struct {
	t    testing.TB
	in   *io.PipeWriter
	out  *bufio.Reader
	resp *http.Response
}

// upload begins one; first is sent before the answer can begin.
func (w *world) upload(path, first string, headers ...string) *talk {
	w.t.Helper()
	r, in := io.Pipe()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.url+"/v1/ingest/lines"+path, r)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token(w.t, "ada", "inbox publish", time.Minute))
	req.Header.Set("Content-Type", "application/x-ndjson")
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	go io.WriteString(in, first) // ends when the server has read it, or the test's context does
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { in.Close(); resp.Body.Close() })
	return &talk{w.t, in, bufio.NewReader(resp.Body), resp}
}

func (k *talk) say(lines string) {
	k.t.Helper()
	if _, err := io.WriteString(k.in, lines); err != nil {
		k.t.Fatal(err)
	}
}

// A told is one line of an answer.
type told struct {
	result
	Line   int
	End    bool
	Lines  int
	Counts map[string]int
}

func (k *talk) next() (l told) {
	k.t.Helper()
	text, err := k.out.ReadString('\n')
	if err != nil {
		k.t.Fatalf("%q: %v", text, err)
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		k.t.Fatalf("%s: %v", text, err)
	}
	return l
}

// rest reads to the end.
func (k *talk) rest() (all []told) {
	k.t.Helper()
	for {
		l := k.next()
		if all = append(all, l); l.End {
			if text, err := k.out.ReadString('\n'); err != io.EOF {
				k.t.Errorf("after the end: %q, %v", text, err)
			}
			return all
		}
	}
}

func TestAnUploadIsAnsweredAsItGoes(t *testing.T) {
	w := newWorld(t, nil)
	k := w.upload("", good+"\n")
	if k.resp.StatusCode != 200 || k.resp.Header.Get("Content-Type") != "application/x-ndjson" || k.resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%d %v", k.resp.StatusCode, k.resp.Header)
	}
	if l := k.next(); l.Line != 1 || l.Status != "raised" || l.ID == "" || l.Seq == 0 {
		t.Errorf("%+v", l)
	}
	// Each line is answered before the next is sent.
	for i, want := range []struct {
		body, status, problem string
		line                  int
	}{
		{"\n" + good + "\n", "repeated", "", 3},
		{"{\n", "rejected", "malformed", 4},
		{`{"device":"d"}` + "\n", "rejected", "invalid", 5},
		{strings.Repeat("x", 3*alarm.MaxEventBytes) + "\n", "rejected", "too-large", 6},
		{strings.Replace(good, "{", `{"state":"cleared",`, 1) + "\r\n", "cleared", "", 7},
	} {
		k.say(want.body)
		l := k.next()
		if l.Line != want.line || l.Status != want.status || (l.Problem == nil) != (want.problem == "") || l.Problem != nil && l.Problem.Type != "/problems/"+want.problem {
			t.Errorf("%d: %+v", i, l)
		}
	}
	k.say(good) // a last line without an end
	k.in.Close()
	all := k.rest()
	if len(all) != 2 || all[0].Status != "raised" || all[0].Line != 8 {
		t.Fatalf("%+v", all)
	}
	end := all[1]
	if end.Problem != nil || end.Lines != 7 || fmt.Sprint(end.Counts) != "map[cleared:1 raised:2 rejected:3 repeated:1]" {
		t.Errorf("%+v", end)
	}
}

func TestAnUploadOfManyLinesIsStoredInOrder(t *testing.T) {
	w := newWorld(t, nil)
	const n = 6000
	line := func(i int) string {
		return fmt.Sprintf(`{"device":"d%d","type":"t","severity":"minor","message":"%s"}`+"\n", i%700, strings.Repeat("x", i%2000))
	}
	first := line(0)
	body := func(yield func(string) bool) {
		for i := 1; i < n; i++ {
			if !yield(line(i)) {
				return
			}
		}
	}
	for _, again := range []bool{false, true} {
		k := w.upload("", first, "Idempotency-Key", "up-1")
		go func() { // ends with the body
			for line := range body {
				if _, err := io.WriteString(k.in, line); err != nil {
					break
				}
			}
			k.in.Close()
		}()
		all := k.rest()
		if len(all) != n+1 || all[n].Lines != n || all[n].Counts["raised"] != 700 || all[n].Counts["repeated"] != n-700 {
			t.Fatalf("%d lines, %+v", len(all), all[len(all)-1])
		}
		for i, l := range all[:n] {
			if l.Line != i+1 || l.Duplicate != again || l.Rev != uint64(i/700+1) {
				t.Fatalf("line %d: %+v", i, l)
			}
		}
	}
	// Who cannot read while he sends asks for less.
	var whole strings.Builder
	whole.WriteString(first)
	for line := range body {
		whole.WriteString(line)
	}
	a := w.do("POST", "/v1/ingest/lines?results=rejected&edge=true", whole.String()+"7\n", "Content-Type", "application/x-ndjson").want(200, `{"line":6001,"status":"rejected"`, `"unchanged":6000`)
	if n := strings.Count(a.body, "\n"); n != 2 {
		t.Errorf("%d lines: %.300s", n, a.body)
	}
}

func TestAnUploadIsRefusedBeforeItBegins(t *testing.T) {
	w := newWorld(t, nil)
	post := func(query, body string, headers ...string) answer {
		return w.do("POST", "/v1/ingest/lines"+query, body, append([]string{"Content-Type", "application/x-ndjson"}, headers...)...)
	}
	post("", "").want(200, `{"end":true,"lines":0,"counts":{}}`)
	post("", good, "Content-Type", "text/csv").problem(415, "media-type")
	post("?edge=x", good).problem(400, "malformed", `"field":"edge"`)
	post("?results=x", good).problem(400, "malformed", `"field":"results"`)
	post("", good, "Idempotency-Key", strings.Repeat("k", maxUploadKey+1)).problem(400, "malformed", `"field":"Idempotency-Key"`)
	post("", good, "Authorization", "").problem(401, "unauthenticated")
	w.log.fail(inbox.ErrFull)
	post("", good+"\n"+good).problem(503, "storage-full")
}

func TestAnUploadStopsWhenTheStorageDoes(t *testing.T) {
	w := newWorld(t, nil)
	k := w.upload("", good+"\n")
	k.next()
	w.log.fail(inbox.ErrUnavailable)
	k.say(good + "\n")
	all := k.rest()
	if len(all) != 2 || all[0].Status != "rejected" || all[0].Problem == nil || all[0].Problem.Status != 503 || all[0].Line != 2 ||
		all[1].Problem == nil || all[1].Problem.Type != "/problems/storage-unavailable" || all[1].Lines != 2 {
		t.Errorf("%+v", all)
	}
}

func TestAnUploadThatPausesTooLongIsEnded(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.BodyTimeout = 300 * time.Millisecond })
	k := w.upload("", good+"\n")
	k.next()
	began := time.Now()
	for range 8 { // empty lines keep it open
		k.say("\n")
		<-time.After(100 * time.Millisecond)
	}
	k.say(good + "\n")
	if l := k.next(); l.Line != 10 || time.Since(began) < 600*time.Millisecond {
		t.Errorf("%+v", l)
	}
	if all := k.rest(); len(all) != 1 || all[0].Problem == nil || all[0].Problem.Type != "/problems/timeout" {
		t.Errorf("%+v", all)
	}
}

func TestADrainEndsAnUploadBehindWhatItHasTaken(t *testing.T) {
	w := newWorld(t, nil)
	k := w.upload("", good+"\n")
	k.next()
	k.say(good + "\n")
	go w.server.Shutdown(t.Context()) // ends when the upload has
	all := k.rest()
	end := all[len(all)-1]
	if end.Problem == nil || end.Problem.Type != "/problems/draining" || end.Lines != len(all) {
		t.Errorf("%+v", all)
	}
}

// A client that sends and does not read is not read from, and holds little.
func TestAnUploadWaitsForItsReader(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.AnswerTimeout = 500 * time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	fmt.Fprintf(conn, "POST /v1/ingest/lines HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nAuthorization: Bearer %s\r\n\r\n", token(t, "ada", "publish", time.Minute))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	chunk := strings.Repeat("7\n", 8<<10) // each answered by far more than it is
	conn.SetDeadline(time.Now().Add(patience))
	for err == nil {
		_, err = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(chunk), chunk)
	}
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the server goes on waiting")
	}
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapInuse) - int64(before.HeapInuse); grown > 64<<20 {
		t.Errorf("%d MiB for one upload", grown>>20)
	}
}

func TestAPublishersSocketHasNoInbox(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Connections = 1 })
	publisher := token(t, "ada", "publish", time.Minute)
	dial := func(token string) (*remote.Socket, error) {
		t.Helper()
		c, err := remote.New(w.url, token)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		s, err := c.DialPublisher(t.Context())
		if err == nil {
			t.Cleanup(s.Close)
		}
		return s, err
	}
	var problem *remote.Problem
	if _, err := dial(token(t, "ada", "inbox", time.Minute)); !errors.As(err, &problem) || problem.Status != 403 {
		t.Errorf("without the scope: %v", err)
	}
	read := func(s *remote.Socket) string {
		t.Helper()
		text, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	say := func(s *remote.Socket, frames ...string) {
		t.Helper()
		for _, f := range frames {
			if err := s.Write(t.Context(), json.RawMessage(f)); err != nil {
				t.Fatal(err)
			}
		}
	}
	known, err := dial(publisher)
	if err != nil {
		t.Fatal(err)
	}
	anonymous, err := dial("")
	if err != nil {
		t.Fatal(err)
	}
	say(anonymous, `{"op":"auth","ref":1,"token":"`+publisher+`"}`)
	if got := read(anonymous); got != `{"op":"ok","ref":1}` {
		t.Error(got)
	}
	for _, s := range []*remote.Socket{known, anonymous} { // one more than ada may have streams
		// Several under way are answered in their order.
		say(s, `{"op":"publish","ref":"a","alarms":[`+good+`,7]}`, `{"op":"publish","ref":"b","alarms":[`+good+`]}`, `{"op":"start","ref":"c"}`, `{"op":"pong","ref":"d"}`)
		for _, want := range [][]string{{`"ref":"a"`, `"op":"ok"`, `"results":[{"id"`, "rejected"}, {`"ref":"b"`, `"repeated"`}, {`"op":"error","ref":"c"`, "no inbox"}, {`"op":"ok","ref":"d"`}} {
			got := read(s)
			for _, part := range want {
				if !strings.Contains(got, part) {
					t.Errorf("%s, want %s", got, part)
				}
			}
		}
	}
	short := token(t, "ada", "publish", 1500*time.Millisecond)
	third, err := dial(short)
	if err != nil {
		t.Fatal(err)
	}
	if got := read(third); !strings.Contains(got, `"reason":"expired"`) {
		t.Error(got)
	}
	fourth, err := dial("")
	if err != nil {
		t.Fatal(err)
	}
	say(fourth, `{"op":"auth","ref":1,"token":"`+token(t, "ada", "inbox", time.Minute)+`"}`)
	if got := read(fourth); !strings.Contains(got, `"op":"error"`) || !strings.Contains(got, "403") {
		t.Error(got)
	}
	if _, err := fourth.Read(t.Context()); err == nil {
		t.Error("it stays without the scope")
	}
}
