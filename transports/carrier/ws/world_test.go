package ws_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

const patience = 20 * time.Second

// A world is a carrier behind a real server, whose conversations a test holds in
// its hands.
type world struct {
	t       testing.TB
	carrier *ws.Carrier
	url     string
	talks   chan *talk // that have begun
	served  chan error // what each Serve returned
}

// A talk passes on what it receives.
type talk struct {
	conn *ws.Conn
	got  chan string
	gone chan struct{}
	hear func(string) // instead of got
}

func (k *talk) Receive(text []byte) {
	if k.hear != nil {
		k.hear(string(text))
		return
	}
	k.got <- string(text)
}

func (k *talk) Gone() { close(k.gone) }

func newWorld(t testing.TB, o ws.Options, hear func(*ws.Conn, string)) *world {
	t.Helper()
	c, err := ws.New(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, carrier: c, talks: make(chan *talk, 100), served: make(chan error, 100)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("X-Request-Id", "r1")
		err := c.Serve(unwrapping{rw}, r, func(conn *ws.Conn) ws.Conversation {
			k := &talk{conn: conn, got: make(chan string, 1000), gone: make(chan struct{})}
			if hear != nil {
				k.hear = func(text string) { hear(conn, text) }
			}
			w.talks <- k
			return k
		})
		var refused *ws.HandshakeError
		if errors.As(err, &refused) {
			http.Error(rw, refused.Reason, refused.Status)
		}
		w.served <- err
	}))
	t.Cleanup(server.Close)
	t.Cleanup(c.Close)
	w.url = server.URL
	return w
}

// unwrapping is a ResponseWriter like that of a router: it hides the hijacker.
type unwrapping struct{ http.ResponseWriter }

func (u unwrapping) Unwrap() http.ResponseWriter { return u.ResponseWriter }

func (w *world) address() string { return strings.TrimPrefix(w.url, "http://") }

func (w *world) dial(header http.Header) (*websocket.Conn, *http.Response, error) {
	d := websocket.Dialer{Subprotocols: header["Sec-Websocket-Protocol"], HandshakeTimeout: patience}
	header = header.Clone()
	header.Del("Sec-WebSocket-Protocol")
	return d.Dial("ws://"+w.address(), header)
}

// open connects a client that reads frames as they come.
func (w *world) open() (*websocket.Conn, *talk) {
	w.t.Helper()
	c, _, err := w.dial(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c, <-w.talks
}

// wait fails the test unless the channel has something in time.
func wait[T any](t testing.TB, what string, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s did not come", what)
		panic("unreachable")
	}
}

// wantClose reads until the connection ends, with this code.
func wantClose(t *testing.T, c *websocket.Conn, code int) {
	t.Helper()
	for {
		_, _, err := c.ReadMessage()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end) && end.Code == code:
			return
		case err != nil:
			t.Fatalf("the connection ended with %v, want %d", err, code)
		}
	}
}

// A raw client writes what frames it wants.
type raw struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func (w *world) raw() (*raw, *talk) {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.address())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := &raw{w.t, conn, bufio.NewReader(conn)}
	c.write([]byte("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"))
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatalf("the handshake was answered with %+v, %v", resp, err)
	}
	return c, <-w.talks
}

func (c *raw) write(p []byte) {
	c.t.Helper()
	if _, err := c.Conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// Bits of a frame's first byte.
const (
	fin      = 0x80
	opMore   = 0
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// frame writes a frame as a client does, masked with zeros.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// next reads a frame of the server's.
func (c *raw) next() (op byte, payload []byte, err error) {
	var h [2]byte
	if _, err = io.ReadFull(c.in, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(h[1])
	switch n {
	case 126:
		var l uint16
		err = binary.Read(c.in, binary.BigEndian, &l)
		n = int(l)
	case 127:
		var l uint64
		err = binary.Read(c.in, binary.BigEndian, &l)
		n = int(l)
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return h[0] &^ fin, payload, err
}

// wantClose wants a close frame with this code, and then the end of the stream.
func (c *raw) wantClose(code int) {
	c.t.Helper()
	op, payload, err := c.next()
	if err != nil || op != opClose || len(payload) < 2 || int(binary.BigEndian.Uint16(payload)) != code {
		c.t.Fatalf("op %d with %q, %v; want a close frame with %d", op, payload, err, code)
	}
	if _, err := c.in.ReadByte(); err != io.EOF {
		c.t.Fatalf("after the close frame: %v", fmt.Sprint(err))
	}
}
