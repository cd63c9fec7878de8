package ws_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

// stall makes a client that reads nothing, and returns when a frame did not get
// through to it.
func stall(t *testing.T, w *world) (*raw, *talk, time.Duration) {
	t.Helper()
	c, k := w.raw()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	big := bytes.Repeat([]byte("x"), 64<<10)
	for range 10000 {
		began := time.Now()
		if err := k.conn.Send(big); err != nil {
			if !errors.Is(err, ws.ErrClosed) {
				t.Errorf("the error is %v", err)
			}
			return c, k, time.Since(began)
		}
	}
	t.Fatal("the client took everything")
	panic("unreachable")
}

func TestStalledClientIsClosedAndAlone(t *testing.T) {
	const timeout = 300 * time.Millisecond
	w := newWorld(t, ws.Options{WriteTimeout: timeout}, nil)
	other, kOther := w.open()
	stop := make(chan struct{})
	worst := make(chan time.Duration, 1)
	go func() { // ends with stop
		var most time.Duration
		for {
			select {
			case <-stop:
				worst <- most
				return
			default:
			}
			began := time.Now()
			if err := kOther.conn.Send([]byte("tick")); err != nil {
				t.Error(err)
			}
			if _, _, err := other.ReadMessage(); err != nil {
				t.Error(err)
			}
			most = max(most, time.Since(began))
		}
	}()
	_, k, took := stall(t, w)
	close(stop)
	if took < timeout/2 || took > 10*timeout {
		t.Errorf("it was closed after %v, want about %v", took, timeout)
	}
	if most := <-worst; most > timeout {
		t.Errorf("another waited %v", most)
	}
	wait(t, "the end of the stalled one", k.gone)
}

func TestCloseOfAStalledClient(t *testing.T) {
	w := newWorld(t, ws.Options{WriteTimeout: 200 * time.Millisecond}, nil)
	c, k := w.raw()
	_ = c.Conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	go func() { // ends when the connection does
		for k.conn.Send(bytes.Repeat([]byte("x"), 64<<10)) == nil {
		}
	}()
	k.conn.Close(4429, "slow down")
	wait(t, "the end", k.gone)
}

func TestSilentClientEnds(t *testing.T) {
	w := newWorld(t, ws.Options{Ping: 20 * time.Millisecond, Dead: 200 * time.Millisecond}, nil)
	c, k := w.raw()
	began := time.Now()
	if op, _, err := c.next(); op != opPing {
		t.Fatalf("op %d, %v; want a ping", op, err)
	}
	wait(t, "the end of a client that does not answer pings", k.gone)
	if took := time.Since(began); took < 150*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	if err := k.conn.Send([]byte("x")); !errors.Is(err, ws.ErrClosed) {
		t.Errorf("a frame was sent: %v", err)
	}

	// One that answers lives on, as does one that sends without answering.
	answering, kA := w.open()
	sending, kS := w.raw()
	go func() { // ends with the connection
		for {
			if _, _, err := answering.ReadMessage(); err != nil {
				return
			}
		}
	}()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range 12 {
		<-tick.C
		sending.write(frame(fin|opText, "x"))
		wait(t, "the message", kS.got)
	}
	for _, k := range []*talk{kA, kS} {
		select {
		case <-k.gone:
			t.Error("a living client was taken for dead")
		default:
		}
	}
}

func TestClientThatDoesNotClose(t *testing.T) {
	w := newWorld(t, ws.Options{Linger: 100 * time.Millisecond}, nil)
	c, k := w.raw()
	k.conn.Close(4401, "not authenticated")
	// It goes on, with pongs that would keep a connection alive.
	go func() { // ends with the connection
		for {
			if _, err := c.Conn.Write(frame(fin|opPong, "")); err != nil {
				return
			}
		}
	}()
	c.wantClose(4401)
	wait(t, "the end", k.gone)
}

func TestFloodIsSlowed(t *testing.T) {
	release := make(chan struct{})
	heard := 0
	w := newWorld(t, ws.Options{}, func(*ws.Conn, string) { <-release; heard++ })
	c, k := w.raw()
	_ = c.SetWriteDeadline(time.Now().Add(500 * time.Millisecond))
	one, sent := frame(fin|opText, strings.Repeat("x", 60<<10)), 0
	for ; ; sent++ {
		if sent > 2000 {
			t.Fatal("the server took 120 MB of what nobody hears")
		}
		if _, err := c.Conn.Write(one); err != nil {
			break
		}
	}
	close(release)
	c.Conn.Close()
	wait(t, "the end", k.gone)
	if heard > sent {
		t.Errorf("%d of %d messages were heard", heard, sent)
	}
}

func TestOverTLS(t *testing.T) {
	c, err := ws.New(ws.Options{WriteTimeout: 200 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	talks := make(chan *talk, 2)
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		err := c.Serve(rw, r, func(conn *ws.Conn) ws.Conversation {
			k := &talk{conn: conn, got: make(chan string, 1), gone: make(chan struct{})}
			talks <- k
			return k
		})
		if err != nil {
			t.Error(err)
		}
	}))
	defer server.Close()
	d := websocket.Dialer{TLSClientConfig: server.Client().Transport.(*http.Transport).TLSClientConfig}
	open := func() (*websocket.Conn, *talk) {
		conn, _, err := d.Dial("wss"+strings.TrimPrefix(server.URL, "https"), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		return conn, <-talks
	}
	conn, k := open()
	_ = conn.WriteMessage(websocket.TextMessage, []byte("hello"))
	if got := wait(t, "the message", k.got); got != "hello" {
		t.Errorf("it got %q", got)
	}
	if err := k.conn.Send(bytes.Repeat([]byte("x"), 64<<10)); err != nil {
		t.Error(err)
	}
	k.conn.Close(4401, "not authenticated")
	wantClose(t, conn, 4401)
	wait(t, "the end", k.gone)
	_, k = open()
	for k.conn.Send(bytes.Repeat([]byte("x"), 64<<10)) == nil {
	}
	wait(t, "the end of the stalled one", k.gone)
}
