package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

const patience = 20 * time.Second

var secret = []byte("a secret of thirty-two bytes, or more")

// A world is a node on a log in memory, behind real sockets.
type world struct {
	t      testing.TB
	log    *faultyLog
	view   *inbox.View
	marks  *memoryMarks
	server *Server
	url    string
	ops    string
	logged *syncBuffer
}

// A faultyLog fails its appends while err is set.
type faultyLog struct {
	inbox.MemoryLog
	mu  sync.Mutex
	err error
}

func (l *faultyLog) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

func (l *faultyLog) Append(ctx context.Context, p ...inbox.Proposal) []inbox.Receipt {
	l.mu.Lock()
	err := l.err
	l.mu.Unlock()
	if err == nil {
		return l.MemoryLog.Append(ctx, p...)
	}
	receipts := make([]inbox.Receipt, len(p))
	for i := range receipts {
		receipts[i].Err = fmt.Errorf("append to node-7: %w", err)
	}
	return receipts
}

// memoryMarks are Marks in memory.
type memoryMarks struct {
	mu     sync.Mutex
	byUser map[string]inbox.Mark
}

func (m *memoryMarks) Update(_ context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next, err := change(m.byUser[user])
	if err != nil {
		return inbox.Mark{}, err
	}
	next.Rev = m.byUser[user].Rev + 1
	m.byUser[user] = next
	return next, nil
}

func (m *memoryMarks) Watch(ctx context.Context, present func(), each func(string, inbox.Mark)) error {
	m.mu.Lock()
	all := maps.Clone(m.byUser)
	m.mu.Unlock()
	for user, mark := range all {
		each(user, mark)
	}
	present()
	<-ctx.Done()
	return ctx.Err()
}

// A syncBuffer holds the log of a server.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// newWorld starts a node; change, unless nil, sees its options first.
func newWorld(t testing.TB, change func(*Options)) *world {
	t.Helper()
	return newFoldingWorld(t, 0, change)
}

// newFoldingWorld starts a node that folds what repeats.
func newFoldingWorld(t testing.TB, fold time.Duration, change func(*Options)) *world {
	t.Helper()
	w := &world{t: t, log: &faultyLog{}, marks: &memoryMarks{byUser: map[string]inbox.Mark{}}, logged: &syncBuffer{}}
	epoch, err := inbox.BeginEpoch(t.Context(), w.log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	unassigned := []string{"unassigned"}
	w.view, _ = inboxtest.StartView(t, w.log, inbox.ViewOptions{Unassigned: unassigned})
	verifier, err := auth.New(t.Context(), auth.Options{HS256: secret, Leeway: -1})
	if err != nil {
		t.Fatal(err)
	}
	dir := directory.New(directory.Options{Log: w.log, View: w.view, Epoch: epoch})
	o := Options{
		View: w.view, Marks: w.marks, Auth: &auth.Gate{Verifier: verifier, AllowQuery: true}, Directory: dir,
		Alarms: alarm.New(alarm.Options{Log: w.log, View: w.view, Router: dir, Epoch: epoch, Unassigned: unassigned, Fold: fold}),
		Logger: slog.New(slog.NewTextHandler(w.logged, &slog.HandlerOptions{Level: slog.LevelDebug})), DrainSpread: -1,
	}
	w.witness(&o)
	if change != nil {
		change(&o)
	}
	if w.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	public, ops := listen(t), listen(t)
	w.url, w.ops = "http://"+public.Addr().String(), "http://"+ops.Addr().String()
	if o.Limiter != nil {
		public = o.Limiter.Listener(public)
	}
	served := make(chan error, 1)
	go func() { served <- w.server.Serve(public, ops) }() // ends with Shutdown
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		if err := w.server.Shutdown(ctx); err != nil {
			t.Errorf("shut down: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return w
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// token is one of the crew's, with all scopes, unless it says otherwise.
func token(t testing.TB, user, scope string, ttl time.Duration) string {
	t.Helper()
	s, err := auth.Sign(secret, auth.Issue{User: user, Groups: []string{"crew"}, Scope: scope, TTL: time.Hour}, time.Now().Add(ttl-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// An answer is what came back.
type answer struct {
	t      testing.TB
	status int
	header http.Header
	body   string
}

// do sends a request as ada, who may do everything. headers are pairs; an empty
// value takes the header away.
func (w *world) do(method, path, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token(w.t, "ada", "inbox publish admin", time.Minute))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		if r.Header.Del(headers[i]); headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return answer{w.t, resp.StatusCode, resp.Header, string(text)}
}

// want fails unless the answer has the status and the texts.
func (a answer) want(status int, texts ...string) answer {
	a.t.Helper()
	if a.status != status {
		a.t.Errorf("%d %s, want %d", a.status, a.body, status)
	}
	for _, text := range texts {
		if !strings.Contains(a.body, text) {
			a.t.Errorf("%s, want %s in it", a.body, text)
		}
	}
	return a
}

// problem fails unless the answer is a problem of this name.
func (a answer) problem(status int, name string, texts ...string) answer {
	a.t.Helper()
	a.want(status, append(texts, `"type":"/problems/`+name+`"`, fmt.Sprintf(`"status":%d`, status))...)
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		a.t.Errorf("Content-Type %q", got)
	}
	var p struct{ Title, Detail, Instance string }
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.Title == "" {
		a.t.Errorf("%s: %v", a.body, err)
	}
	if p.Instance != a.header.Get("X-Request-Id") || p.Instance == "" {
		a.t.Errorf("instance %q, request id %q", p.Instance, a.header.Get("X-Request-Id"))
	}
	if status == 429 || status == 503 {
		if a.header.Get("Retry-After") == "" {
			a.t.Error("no Retry-After")
		}
	}
	if (status == 401) != strings.HasPrefix(a.header.Get("WWW-Authenticate"), "Bearer ") && status != 403 {
		a.t.Errorf("WWW-Authenticate %q", a.header.Get("WWW-Authenticate"))
	}
	return a
}

// raise publishes one alarm of a device of the crew's and returns its id.
func (w *world) raise(device string) string {
	w.t.Helper()
	w.do("PUT", "/v1/devices/"+device, `{"groups":["crew"]}`).want(200)
	a := w.do("POST", "/v1/alarms", `{"device":"`+device+`","type":"overspeed","severity":"major"}`).want(202)
	var answer struct{ Results []struct{ ID string } }
	if err := json.Unmarshal([]byte(a.body), &answer); err != nil || len(answer.Results) != 1 {
		w.t.Fatalf("%s: %v", a.body, err)
	}
	return answer.Results[0].ID
}

// until waits for a condition.
func (w *world) until(what string, so func() bool) {
	w.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			w.t.Fatalf("not in time: %s", what)
		}
	}
}
