package limit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = 20 * time.Second

// until waits for a condition.
func until(t *testing.T, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("not in time: %s", what)
		}
	}
}

// A house is a server behind a Limiter.
type house struct {
	t       *testing.T
	l       *Limiter
	address string

	mu  sync.Mutex
	met map[string]int
}

// newHouse answers requests that Arrived refuses with 429, holds GET /hold until the
// test ends, hijacks GET /take, and answers others with the address that they come
// from.
func newHouse(t *testing.T, o Options) *house {
	h := &house{t: t, met: map[string]int{}}
	h.l = New(o, func(limit string) { h.mu.Lock(); defer h.mu.Unlock(); h.met[limit]++ })
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.address = in.Addr().String()
	over := make(chan struct{})
	server := &http.Server{ConnContext: h.l.ConnContext, ConnState: h.l.ConnState, ReadHeaderTimeout: patience}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := h.l.Arrived(r, r.Method == http.MethodPost)
		defer a.Done()
		if a.Last {
			w.Header().Set("Connection", "close")
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusTooManyRequests)
			return
		}
		switch r.URL.Path {
		case "/hold":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-over:
			case <-r.Context().Done():
			}
		case "/take":
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			fmt.Fprint(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			go func() { // ends with the connection
				_, _ = io.Copy(io.Discard, conn)
				_ = conn.Close()
			}()
		default:
			fmt.Fprint(w, a.From)
		}
	})
	served := make(chan struct{})
	go func() { // ends with the server
		defer close(served)
		_ = server.Serve(h.l.Listener(in))
	}()
	t.Cleanup(func() {
		close(over)
		_ = server.Close()
		<-served
	})
	return h
}

func (h *house) times(limit string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.met[limit]
}

func (h *house) open() int {
	h.l.doors.mu.Lock()
	defer h.l.doors.mu.Unlock()
	return h.l.doors.open
}

// A caller is a connection to a house.
type caller struct {
	net.Conn
	in *bufio.Reader
}

func (h *house) call() *caller {
	h.t.Helper()
	c, err := net.Dial("tcp", h.address)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return &caller{c, bufio.NewReader(c)}
}

// ask sends a request, and returns the status and the first bytes of the answer.
func (c *caller) ask(t *testing.T, method, path string, header ...string) (int, string) {
	t.Helper()
	fmt.Fprintf(c, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, strings.Join(append(header, ""), "\r\n"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if path == "/hold" {
		return resp.StatusCode, ""
	}
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// over waits for the server to close the connection.
func (c *caller) over(t *testing.T) {
	t.Helper()
	if _, err := c.in.ReadByte(); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the connection goes on: %v", err)
	}
}

func TestAFloodOfSilentConnectionsKeepsNobodyOut(t *testing.T) {
	h := newHouse(t, Options{Waiting: 50})
	var silent []*caller
	for i := range 500 {
		c := h.call()
		silent = append(silent, c)
		if i%2 == 0 {
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHos") // and no more
		}
		if i%50 == 49 {
			if status, text := h.call().ask(t, "GET", "/"); status != 200 {
				t.Fatalf("%d %s", status, text)
			}
		}
	}
	silent[0].over(t)
	until(t, "silent ones to be let go", func() bool { return h.l.doors.waiting.len() <= 10 }) // a fifth of 50, of one address
	if h.times("waiting-connections") < 400 {
		t.Errorf("the limit was met %d times", h.times("waiting-connections"))
	}
	for _, c := range silent {
		c.Close()
	}
}

func TestConnectionsOfAnAddress(t *testing.T) {
	h := newHouse(t, Options{AddressConnections: 3})
	var all []*caller
	for range 3 {
		c := h.call()
		if status, _ := c.ask(t, "GET", "/hold"); status != 200 {
			t.Fatal(status)
		}
		all = append(all, c)
	}
	late := h.call()
	if status, text := late.ask(t, "GET", "/"); status != 429 || !strings.Contains(text, "connections-per-address: at most 3") {
		t.Errorf("%d %s", status, text)
	}
	late.over(t)
	// What publishes is served all the same.
	if status, text := h.call().ask(t, "POST", "/", "Content-Length: 0"); status != 200 {
		t.Errorf("%d %s", status, text)
	}
	all[0].Close()
	until(t, "the first to be counted out", func() bool { status, _ := h.call().ask(t, "GET", "/"); return status == 200 })
}

func TestAFullHouseLetsThoseGoWhoRest(t *testing.T) {
	h := newHouse(t, Options{Connections: 3})
	busy, rests := h.call(), h.call()
	busy.ask(t, "GET", "/take")
	rests.ask(t, "GET", "/")
	until(t, "one to rest", func() bool { return h.l.doors.idle.len() == 1 })
	for range 2 {
		c := h.call()
		if status, text := c.ask(t, "GET", "/hold"); status != 200 {
			t.Fatalf("%d %s", status, text)
		}
	}
	rests.over(t)
	if status, text := h.call().ask(t, "GET", "/"); status != 429 || !strings.Contains(text, "connections: at most 3") {
		t.Errorf("%d %s", status, text)
	}
	busy.Close() // which was hijacked
	until(t, "it to be counted out", func() bool { status, _ := h.call().ask(t, "GET", "/"); return status == 200 })
}

func TestEveryConnectionIsCountedOutAgain(t *testing.T) {
	h := newHouse(t, Options{Connections: 10, AddressConnections: 5, Waiting: 10})
	var all []*caller
	for i := range 40 {
		c := h.call()
		all = append(all, c)
		switch i % 4 {
		case 0:
			fmt.Fprint(c, "GET / HT")
		case 1:
			fmt.Fprint(c, "GET /take HTTP/1.1\r\nHost: h\r\n\r\n")
		case 2:
			fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET")
		}
	}
	for _, c := range all {
		c.Close()
	}
	until(t, "all to be counted out", func() bool {
		h.l.doors.mu.Lock()
		of := len(h.l.doors.of)
		h.l.doors.mu.Unlock()
		return h.open() == 0 && of == 0 && h.l.doors.waiting.len() == 0 && h.l.doors.idle.len() == 0 && h.l.doors.reserve.Load() == 0
	})
}

func TestClientsBehindAProxyAreCountedApart(t *testing.T) {
	h := newHouse(t, Options{AddressConnections: 2, Proxies: networks("127.0.0.0/8")})
	from := func(c *caller, client, path string) int {
		status, _ := c.ask(t, "GET", path, "X-Forwarded-For: "+client)
		return status
	}
	for range 2 {
		if status := from(h.call(), "192.0.2.1", "/hold"); status != 200 {
			t.Fatal(status)
		}
	}
	if status := from(h.call(), "192.0.2.1", "/"); status != 429 {
		t.Errorf("the third of one: %d", status)
	}
	// The proxy's connection is the next one's, when his request comes over it.
	shared := h.call()
	for i := range 10 {
		if status := from(shared, fmt.Sprint("192.0.2.", 10+i), "/"); status != 200 {
			t.Errorf("another one: %d", status)
		}
	}
	h.l.doors.mu.Lock()
	defer h.l.doors.mu.Unlock()
	if n := len(h.l.doors.of); n != 2 {
		t.Errorf("%d addresses are counted", n)
	}
}

func TestWhoeverIsAnonymousForLongestGoes(t *testing.T) {
	l := New(Options{Waiting: 10, Unlimited: networks("127.0.0.0/8")}, nil)
	var gone []int
	leave := make([]func(), 20)
	for i := range leave {
		from := at(fmt.Sprint("10.0.0.", i))
		if i >= 15 {
			from = at("127.0.0.1")
		}
		leave[i] = l.Anonymous(from, func() { gone = append(gone, i) })
		if i == 3 {
			leave[0]()
			leave[0]() // a second time
		}
	}
	if fmt.Sprint(gone) != "[1 2 3 4 5 6 7 8 9]" {
		t.Errorf("%v had to go", gone)
	}
	// A fifth of them is one address's.
	gone = nil
	for i := 20; i < 24; i++ {
		l.Anonymous(at("10.9.9.9"), func() { gone = append(gone, i) })
	}
	if fmt.Sprint(gone) != "[10 11 20 21]" {
		t.Errorf("%v had to go", gone)
	}
}

// What another listener takes is counted with the rest until it has left.
func TestEnter(t *testing.T) {
	l := New(Options{Connections: 4, AddressConnections: 2, Handshakes: Rate{Address: 1},
		Unlimited: networks("127.0.0.0/8"), Proxies: networks("10.9.0.0/16")}, nil)
	enter := func(from string) (func(), error) { return l.Enter(netip.MustParseAddr(from)) }
	var leaves []func()
	for _, from := range []string{"10.0.0.1", "10.0.0.1"} {
		leave, err := enter(from)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, leave)
	}
	_, err := enter("10.0.0.1")
	refusal(t, err, "connections-per-address")
	for _, from := range []string{"10.9.0.1", "127.0.0.1"} {
		if _, err := enter(from); err != nil {
			t.Fatal(err)
		}
	}
	_, err = enter("10.0.0.2")
	refusal(t, err, "connections")
	leaves[0]()
	leaves[1]()
	if len(l.doors.of) != 0 || l.doors.open != 2 {
		t.Errorf("%v and %d are left", l.doors.of, l.doors.open)
	}
	for range 3 { // three have been taken, and what begins within five seconds' worth may be
		leave, err := enter("10.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	_, err = enter("10.0.0.1")
	refusal(t, err, "handshakes-per-address")
}
