package ws_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

func TestOrigins(t *testing.T) {
	w := newWorld(t, ws.Options{Origins: []string{"https://App.example:8443"}}, nil)
	all := newWorld(t, ws.Options{Origins: []string{"*"}}, nil)
	tests := map[string]struct {
		origin string
		want   int
	}{
		"no browser":     {"", 101},
		"its own":        {"http://" + w.address(), 101},
		"behind TLS":     {"https://" + w.address(), 101},
		"configured":     {"https://app.example:8443", 101},
		"other port":     {"https://app.example", 403},
		"other scheme":   {"http://app.example:8443", 403},
		"another":        {"https://evil.example", 403},
		"a sandbox":      {"null", 403},
		"a longer host":  {"http://" + w.address() + ".evil.example", 403},
		"not an origin":  {"::", 403},
		"user in it":     {"http://" + w.address() + "@evil.example", 403},
		"only as a path": {"http://evil.example/" + w.address(), 403},
	}
	for name, test := range tests {
		h := http.Header{}
		if test.origin != "" {
			h.Set("Origin", test.origin)
		}
		c, resp, _ := w.dial(h)
		if resp == nil || resp.StatusCode != test.want {
			t.Errorf("%s: answered with %+v, want %d", name, resp, test.want)
		}
		if c != nil {
			c.Close()
		}
		if c, resp, _ := all.dial(h); c == nil {
			t.Errorf("%s where all may: answered with %+v", name, resp)
		} else {
			c.Close()
		}
	}
	for _, bad := range []string{"app.example", "https://app.example/path", "https://", "https://u@app.example"} {
		if _, err := ws.New(ws.Options{Origins: []string{bad}}); err == nil {
			t.Errorf("the origin %q was taken", bad)
		}
	}
}

func TestWhatIsNoHandshake(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	good := http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"MDEyMzQ1Njc4OWFiY2RlZg=="}}
	tests := map[string]struct {
		method string
		header http.Header
		want   int
		body   string
	}{
		"a plain request": {"GET", nil, 426, ""},
		"an old version":  {"GET", http.Header{"Sec-Websocket-Version": {"8"}}, 426, ""},
		"no key":          {"GET", http.Header{"Sec-Websocket-Key": {""}}, 400, ""},
		"a POST":          {"POST", http.Header{"Sec-Websocket-Version": {"13"}}, 405, ""},
		"a body":          {"GET", http.Header{}, 400, "{}"},
	}
	for name, test := range tests {
		r, _ := http.NewRequestWithContext(t.Context(), test.method, w.url, strings.NewReader(test.body))
		if test.header != nil {
			r.Header = good.Clone()
			for k, v := range test.header {
				r.Header[k] = v
			}
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != test.want {
			t.Errorf("%s: %d, want %d", name, resp.StatusCode, test.want)
		}
		if resp.StatusCode == 426 && resp.Header.Get("Sec-WebSocket-Version") != "13" {
			t.Errorf("%s: the version is not told: %v", name, resp.Header)
		}
		var refused *ws.HandshakeError
		if err := <-w.served; !errors.As(err, &refused) {
			t.Errorf("%s: the error is %v", name, err)
		}
	}
}

func TestSubprotocol(t *testing.T) {
	w := newWorld(t, ws.Options{Subprotocols: []string{"tocsin.v1.json"}}, nil)
	for offered, want := range map[string]string{"": "", "tocsin.v1.json": "tocsin.v1.json", "other": ""} {
		h := http.Header{}
		if offered != "" {
			h["Sec-Websocket-Protocol"] = []string{"x", offered}
		}
		c, resp, err := w.dial(h)
		if err != nil || c.Subprotocol() != want {
			t.Fatalf("offered %q: %v", offered, err)
		}
		if resp.Header.Get("X-Request-Id") != "r1" {
			t.Errorf("the handler's headers are lost: %v", resp.Header)
		}
		c.Close()
	}
}

func TestFramesComeInOrderAndWhole(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	c, k := w.raw()
	// One segment: two frames, a message in fragments with a ping between them,
	// one more.
	c.write(bytes.Join([][]byte{
		frame(fin|opText, "one"), frame(fin|opText, "two"),
		frame(opText, "St\xc3"), frame(fin|opPing, "p"), frame(opMore, "\xbcc"), frame(fin|opMore, "k"),
		frame(fin|opText, strings.Repeat("x", 64<<10)), frame(fin|opText, ""),
	}, nil))
	for _, want := range []string{"one", "two", "Stück", strings.Repeat("x", 64<<10), ""} {
		if got := wait(t, "a message", k.got); got != want {
			t.Fatalf("the message %.20q, want %.20q", got, want)
		}
	}
	if op, payload, err := c.next(); op != opPong || string(payload) != "p" {
		t.Errorf("op %d with %q, %v; want the pong", op, payload, err)
	}
	c.write(frame(fin|opClose, "\x03\xe8"))
	c.wantClose(1000)
	wait(t, "the end", k.gone)
}

func TestWhatIsClosed(t *testing.T) {
	tests := map[string]struct {
		send []byte
		code int
	}{
		"a long message":        {frame(fin|opText, strings.Repeat("x", 65<<10)), 4413},
		"a byte too long":       {frame(fin|opText, strings.Repeat("x", 64<<10+1)), 4413},
		"long by its fragments": {append(frame(opText, strings.Repeat("x", 60<<10)), frame(fin|opMore, strings.Repeat("x", 60<<10))...), 4413},
		"said to be huge":       {[]byte{fin | opText, 0x80 | 127, 0x7f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 4413},
		"binary":                {frame(fin|opBinary, "x"), 1003},
		"not UTF-8":             {frame(fin|opText, "\xff\xfe"), 1007},
		"half a rune":           {append(frame(opText, "\xe2\x82"), frame(fin|opMore, "x")...), 1007},
		"without a mask":        {[]byte{fin | opText, 1, 'x'}, 1002},
		"a reserved bit":        {frame(fin|0x40|opText, "x"), 1002},
		"an unknown op":         {frame(fin|7, "x"), 1002},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, ws.Options{}, nil)
			w.t = t
			c, k := w.raw()
			// What comes after it is neither heard nor answered with a reset.
			c.write(append(test.send, bytes.Repeat(frame(fin|opText, "late"), 1000)...))
			c.wantClose(test.code)
			c.Close()
			wait(t, "the end", k.gone)
			if len(k.got) > 0 {
				t.Errorf("it was heard: %.20q", <-k.got)
			}
		})
	}
}

func TestSendersDoNotMix(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	c, k := w.open()
	const senders, frames = 8, 200
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for n := range frames {
				if err := k.conn.Send(fmt.Appendf(nil, "%d %d %s", i, n, strings.Repeat("x", n*50))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var next [senders]int
	for range senders * frames {
		_, text, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var i, n int
		if _, err := fmt.Sscan(string(text[:min(len(text), 20)]), &i, &n); err != nil || n != next[i] || len(text) < n*50 {
			t.Fatalf("the frame %.20q of %d came as number %d", text, i, next[i])
		}
		next[i]++
	}
	wg.Wait()
	k.conn.Close(4011, "rotate")
	k.conn.Close(1001, "too late")
	if err := k.conn.Send([]byte("x")); !errors.Is(err, ws.ErrClosed) {
		t.Errorf("after Close a frame was sent: %v", err)
	}
	wantClose(t, c, 4011)
}

func TestPanicEndsOnlyItsConnection(t *testing.T) {
	w := newWorld(t, ws.Options{}, func(c *ws.Conn, text string) {
		if text == "panic" {
			panic(text)
		}
		_ = c.Send([]byte(text))
	})
	bad, kBad := w.open()
	good, _ := w.open()
	_ = bad.WriteMessage(websocket.TextMessage, []byte("panic"))
	wait(t, "the end", kBad.gone)
	if _, _, err := bad.ReadMessage(); err == nil {
		t.Error("the connection goes on")
	}
	_ = good.WriteMessage(websocket.TextMessage, []byte("hello"))
	if _, text, err := good.ReadMessage(); string(text) != "hello" {
		t.Errorf("the other one got %q, %v", text, err)
	}
}

func TestPanicAtTheBeginning(t *testing.T) {
	c, err := ws.New(ws.Options{})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		served <- c.Serve(rw, r, func(*ws.Conn) ws.Conversation { panic("begin") })
	}))
	defer server.Close()
	d := websocket.Dialer{TLSClientConfig: server.Client().Transport.(*http.Transport).TLSClientConfig}
	conn, _, err := d.Dial("wss"+strings.TrimPrefix(server.URL, "https"), nil)
	if err == nil {
		defer conn.Close()
	}
	var refused *ws.HandshakeError
	if err := wait(t, "the error", served); err == nil || errors.As(err, &refused) {
		t.Errorf("it was served: %v", err)
	}
}

func TestCloseSendsAllAway(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	var all []*websocket.Conn
	for range 20 {
		c, _ := w.open()
		all = append(all, c)
	}
	w.carrier.Close()
	for _, c := range all {
		wantClose(t, c, 1001)
	}
	_, resp, err := w.dial(nil)
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("after Close: %+v, %v", resp, err)
	}
}

func TestClientThatSendsTooEarly(t *testing.T) {
	w := newWorld(t, ws.Options{}, nil)
	conn, err := net.Dial("tcp", w.address())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	_, _ = conn.Write(append([]byte("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"), frame(fin|opText, "early")...))
	if b, err := io.ReadAll(conn); len(b) > 0 {
		t.Errorf("it was answered: %q, %v", b, err)
	}
	if err := wait(t, "the error", w.served); err == nil {
		t.Error("it was served")
	}
}
