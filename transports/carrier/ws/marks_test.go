package ws_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

// A marker notes what it hears of pings.
type marker struct {
	mu      sync.Mutex
	marks   []uint64
	arrived []uint64
	pings   int
}

func (m *marker) Receive([]byte) {}
func (m *marker) Gone()          {}

func (m *marker) Mark(ping uint64) { m.mu.Lock(); defer m.mu.Unlock(); m.marks = append(m.marks, ping) }
func (m *marker) Arrived(ping uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.arrived = append(m.arrived, ping)
}
func (m *marker) Pinged() { m.mu.Lock(); defer m.mu.Unlock(); m.pings++ }

func newMarked(t *testing.T, o ws.Options) (*marker, *websocket.Conn) {
	t.Helper()
	c, err := ws.New(o)
	if err != nil {
		t.Fatal(err)
	}
	m := &marker{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = c.Serve(w, r, func(*ws.Conn) ws.Conversation { return m })
	}))
	t.Cleanup(server.Close)
	t.Cleanup(c.Close)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return m, conn
}

// await waits until it holds, under the marker's lock.
func (m *marker) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		m.mu.Lock()
		ok := holds()
		m.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: marks %v, arrived %v, %d pings", what, m.marks, m.arrived, m.pings)
		}
	}
}

// read reads until the connection ends, which makes the library answer pings.
func read(conn *websocket.Conn) {
	for {
		if _, _, err := conn.ReadMessage(); err != nil {
			return
		}
	}
}

func TestAnAnswerNamesThePingThatItAnswers(t *testing.T) {
	m, conn := newMarked(t, ws.Options{Ping: 20 * time.Millisecond})
	go read(conn) // ends with the connection
	m.await(t, "five answers", func() bool { return len(m.arrived) >= 5 })
	if err := conn.WriteMessage(websocket.PingMessage, []byte("x")); err != nil {
		t.Fatal(err)
	}
	m.await(t, "the client's ping", func() bool { return m.pings == 1 })
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, ping := range m.marks {
		if ping != uint64(i+1) {
			t.Fatalf("the marks %v", m.marks)
		}
	}
	last := uint64(0)
	for _, ping := range m.arrived {
		if ping <= last || ping > m.marks[len(m.marks)-1] {
			t.Fatalf("arrived %v of %v", m.arrived, m.marks)
		}
		last = ping
	}
}

// A pong that nobody has asked for says nothing of what has arrived.
func TestAPongOfTheClientsOwnIsNoAnswer(t *testing.T) {
	m, conn := newMarked(t, ws.Options{Ping: 20 * time.Millisecond, Dead: patience})
	conn.SetPingHandler(func(string) error { return nil })
	go read(conn) // ends with the connection
	for range 5 {
		for _, text := range []string{"", "x", strings.Repeat("y", 125)} {
			if err := conn.WriteMessage(websocket.PongMessage, []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := conn.WriteMessage(websocket.PingMessage, nil); err != nil {
		t.Fatal(err)
	}
	m.await(t, "the client's ping", func() bool { return m.pings == 1 && len(m.marks) > 3 })
	if len(m.arrived) > 0 {
		t.Errorf("arrived %v", m.arrived)
	}
}

// Messages that were packed arrive as they would one by one.
func TestPackedMessages(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(w.url, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	k := <-w.talks
	sizes := []int{0, 1, 125, 126, 65535, 65536, 70000, 2}
	var b []byte
	for i, n := range sizes {
		from := len(b)
		b = append(b, make([]byte, k.conn.Headroom())...)
		b = append(b, strings.Repeat(string(rune('a'+i)), n)...)
		b = k.conn.Pack(b, from)
	}
	sent := make(chan error, 1)
	go func() { // ends when all is written
		done, err := k.conn.TryPacked(b)
		if err == nil && !done {
			err = k.conn.Settle()
		}
		sent <- err
	}()
	for i, n := range sizes {
		_, text, err := conn.ReadMessage()
		if err != nil || string(text) != strings.Repeat(string(rune('a'+i)), n) {
			t.Fatalf("message %d has %d bytes: %v", i, len(text), err)
		}
	}
	if err := <-sent; err != nil {
		t.Error(err)
	}
	k.conn.Close(1000, "")
	if _, err := k.conn.TryPacked(b); err == nil {
		t.Error("something is sent after the close")
	}
}
