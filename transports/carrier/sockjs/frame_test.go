package sockjs_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/sockjs"
)

// dial opens a WebSocket below the endpoint.
func (w *world) dial(path string) *websocket.Conn {
	w.t.Helper()
	c, _, err := websocket.DefaultDialer.DialContext(w.t.Context(), "ws"+strings.TrimPrefix(w.url, "http")+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c
}

func wantFrame(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if _, got, err := c.ReadMessage(); err != nil || string(got) != text {
		t.Fatalf("%q, %v; want %q", got, err, text)
	}
}

// wantOver reads until the end, which has this code.
func wantOver(t *testing.T, c *websocket.Conn, code int) {
	t.Helper()
	for {
		_, text, err := c.ReadMessage()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end) && end.Code == code:
			return
		case err != nil:
			t.Fatalf("it ended with %v, want %d", err, code)
		}
		t.Logf("before the end: %s", text)
	}
}

func say(t *testing.T, c *websocket.Conn, text string) {
	t.Helper()
	if err := c.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		t.Fatal(err)
	}
}

func TestWebSocket(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	// Two may have one name: a session is the connection.
	one := w.dial("/000/same/websocket")
	k := wait(t, "the conversation", w.talks)
	two := w.dial("/000/same/websocket")
	for _, c := range []*websocket.Conn{one, two} {
		wantFrame(t, c, "o")
		say(t, c, "")
		say(t, c, "[]")
		say(t, c, `["a","b"]`)
		wantFrame(t, c, `a["a"]`)
		wantFrame(t, c, `a["b"]`)
		say(t, c, ` "alone \u2028" `)
		wantFrame(t, c, `a["alone \u2028"]`)
	}
	one.Close()
	wait(t, "the end", k.gone)
	if _, err := k.conn.Try([]byte("x")); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("Try after the end: %v", err)
	}
	if err := k.conn.Send([]byte("x")); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("Send after the end: %v", err)
	}
	k = wait(t, "the conversation", w.talks)
	if done, err := k.conn.Try([]byte(`"<`)); err != nil || !done && k.conn.Settle() != nil {
		t.Errorf("%v, %v", done, err)
	}
	wantFrame(t, two, `a["\"<"]`)
}

func TestWebSocketIsClosedInWords(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, leave)
	c := w.dial("/000/one/websocket")
	wantFrame(t, c, "o")
	wantFrame(t, c, `c[3000,"Go away!"]`)
	wantOver(t, c, websocket.CloseNormalClosure)
	wait(t, "the end", wait(t, "the conversation", w.talks).gone)
}

func TestRawWebSocket(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for _, path := range []string{"/websocket", "", "/"} {
		c := w.dial(path)
		say(t, c, "hello \uffff")
		wantFrame(t, c, "hello \uffff")
	}
	w = newWorld(t, sockjs.Options{}, echo, leave)
	c := w.dial("/websocket")
	_, _, err := c.ReadMessage()
	var end *websocket.CloseError
	if !errors.As(err, &end) || end.Code != 3000 || end.Text != "Go away!" {
		t.Errorf("it ended with %v", err)
	}
}

func TestWebSocketHandshakes(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	w.want(400, "Can \"Upgrade\" only to \"WebSocket\".\n", "GET", "/0/0/websocket", "")
	w.want(400, "\"Connection\" must be \"Upgrade\".\n", "GET", "/0/0/websocket", "", "Upgrade", "WebSocket", "Connection", "close")
	for _, headers := range [][]string{nil, {"Upgrade", "WebSocket", "Connection", "Upgrade"}} {
		if a := w.want(405, "", "POST", "/0/0/websocket", "", headers...); a.header.Get("Allow") != "GET" {
			t.Errorf("%v", a.header)
		}
	}
}

func TestWebSocketHeartbeats(t *testing.T) {
	const beat = 60 * time.Millisecond
	w := newWorld(t, sockjs.Options{Heartbeat: beat}, echo, nil)
	c := w.dial("/000/one/websocket")
	wantFrame(t, c, "o")
	began := time.Now()
	wantFrame(t, c, "h")
	wantFrame(t, c, "h")
	if took := time.Since(began); took < beat {
		t.Errorf("two heartbeats within %v", took)
	}
}

// What is no message ends the connection, at once and alone.
func TestMalformedOverWebSocket(t *testing.T) {
	w := newWorld(t, sockjs.Options{MaxMessage: 100}, echo, nil)
	other := w.dial("/000/other/websocket")
	wantFrame(t, other, "o")
	wait(t, "the conversation", w.talks)
	for text, code := range malformed {
		if text == "" {
			continue // which is nothing, on a WebSocket
		}
		c := w.dial("/000/one/websocket")
		wantFrame(t, c, "o")
		say(t, c, text)
		if code == 0 {
			code = websocket.CloseProtocolError
		}
		wantOver(t, c, code)
		wait(t, "the end", wait(t, "the conversation", w.talks).gone)
	}
	say(t, other, `["still here"]`)
	wantFrame(t, other, `a["still here"]`)
}
