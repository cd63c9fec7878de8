package sockjs_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/transports"
	"tocsin/transports/carrier/sockjs"
	"tocsin/transports/carrier/ws"
)

const patience = 20 * time.Second

// A world is an endpoint behind a real server, whose conversations a test holds in
// its hands.
type world struct {
	t       *testing.T
	carrier *sockjs.Carrier
	url     string
	logged  *logged
	talks   chan *talk // that have begun
	refuse  error      // of who opens a session
}

// A talk passes on what it receives, or answers with it.
type talk struct {
	conn transports.Conn
	hear func(k *talk, message string)
	got  chan string
	gone chan struct{}
}

func (k *talk) Receive(message []byte) {
	if k.hear != nil {
		k.hear(k, string(message))
		return
	}
	k.got <- string(message)
}

func (k *talk) Gone() { close(k.gone) }

func echo(k *talk, message string) { _ = k.conn.Send([]byte(message)) }

var errRefused = errors.New("refused")

// newWorld makes a world. begins, unless nil, sees each conversation first; hear
// is what it does with messages.
func newWorld(t *testing.T, o sockjs.Options, hear func(*talk, string), begins func(*talk)) *world {
	t.Helper()
	w := &world{t: t, talks: make(chan *talk, 1000), logged: &logged{}}
	o.Logger = slog.New(slog.NewTextHandler(w.logged, nil))
	var err error
	if w.carrier, err = sockjs.New(o); err != nil {
		t.Fatal(err)
	}
	sockets, err := ws.New(ws.Options{Origins: o.Origins})
	if err != nil {
		t.Fatal(err)
	}
	begin := func(conn transports.Conn) sockjs.Conversation {
		k := &talk{conn: conn, hear: hear, got: make(chan string, 1000), gone: make(chan struct{})}
		if begins != nil {
			begins(k)
		}
		w.talks <- k
		return k
	}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.serve(rw, r, sockets, begin)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(sockets.Close)
	t.Cleanup(w.carrier.Close)
	w.url = server.URL + "/echo"
	return w
}

// serve is what a composer does.
func (w *world) serve(rw http.ResponseWriter, r *http.Request, sockets *ws.Carrier, begin sockjs.Begin) {
	path, ok := strings.CutPrefix(r.URL.EscapedPath(), "/echo")
	if !ok {
		http.NotFound(rw, r)
		return
	}
	var err error
	switch w.carrier.Upgrades(r, path) {
	case sockjs.WebSocket:
		err = sockets.Serve(rw, r, func(conn *ws.Conn) ws.Conversation { return w.carrier.Frame(conn, begin) })
	case sockjs.RawWebSocket:
		err = sockets.Serve(rw, r, func(conn *ws.Conn) ws.Conversation { return begin(conn) })
	default:
		err = w.carrier.Serve(rw, r, path, func() (sockjs.Begin, error) { return begin, w.refuse })
	}
	var refused *ws.HandshakeError
	switch {
	case errors.As(err, &refused):
		http.Error(rw, refused.Reason, refused.Status)
	case errors.Is(err, sockjs.ErrOrigin):
		http.Error(rw, err.Error(), http.StatusForbidden)
	case err != nil:
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
	}
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request and reads all of its answer. Headers are names and values in
// turn.
func (w *world) ask(method, path, body string, headers ...string) answer {
	w.t.Helper()
	resp := w.send(w.t.Context(), method, path, body, headers...)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return answer{resp.StatusCode, resp.Header, string(text)}
}

func (w *world) send(ctx context.Context, method, path, body string, headers ...string) *http.Response {
	w.t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, w.url+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{Timeout: patience}
	resp, err := client.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	return resp
}

// want asks, and wants this answer.
func (w *world) want(status int, text, method, path, body string, headers ...string) answer {
	w.t.Helper()
	a := w.ask(method, path, body, headers...)
	if a.status != status || a.body != text {
		w.t.Errorf("%s %s %q: %d %q, want %d %q", method, path, body, a.status, a.body, status, text)
	}
	return a
}

// A stream is an answer that goes on.
type stream struct {
	t    *testing.T
	resp *http.Response
	in   *bufio.Reader
	stop context.CancelFunc
}

func (w *world) stream(method, path string, headers ...string) *stream {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	s := &stream{t: w.t, resp: w.send(ctx, method, path, "", headers...), stop: stop}
	s.in = bufio.NewReader(s.resp.Body)
	w.t.Cleanup(func() { s.close() })
	return s
}

// close goes away in the middle of the answer.
func (s *stream) close() {
	s.stop()
	s.resp.Body.Close()
}

// want reads this text next.
func (s *stream) want(text string) {
	s.t.Helper()
	b := make([]byte, len(text))
	if n, err := io.ReadFull(s.in, b); err != nil || string(b) != text {
		s.t.Fatalf("the stream has %q (%v), want %q", b[:n], err, text)
	}
}

// wantEnd wants nothing more.
func (s *stream) wantEnd() {
	s.t.Helper()
	if b, err := io.ReadAll(s.in); err != nil || len(b) > 0 {
		s.t.Fatalf("the stream goes on with %q, %v", b, err)
	}
}

// wait fails the test unless the channel has something in time.
func wait[T any](t *testing.T, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// A logged is what the carrier says.
type logged struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
