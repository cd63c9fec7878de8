//go:build conformance

package ws_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

type mirror struct{ conn *ws.Conn }

func (m mirror) Receive(message []byte) { _ = m.conn.Send(message) }
func (mirror) Gone()                    {}

func TestConformanceTakesBothKinds(t *testing.T) {
	c, err := ws.NewMixed(ws.Options{MaxFrame: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if err := c.Serve(rw, r, func(conn *ws.Conn) ws.Conversation { return mirror{conn} }); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(server.Close)
	conn, _, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetReadDeadline(time.Now().Add(patience))
	for i, kind := range []int{websocket.TextMessage, websocket.BinaryMessage, websocket.BinaryMessage, websocket.TextMessage} {
		text := strings.Repeat("x", i*100_000)
		if kind == websocket.BinaryMessage {
			text += "\xff\x00"
		}
		if err := conn.WriteMessage(kind, []byte(text)); err != nil {
			t.Fatal(err)
		}
		if got, back, err := conn.ReadMessage(); err != nil || got != kind || string(back) != text {
			t.Fatalf("kind %d, %d bytes, %v; want %d, %d", got, len(back), err, kind, len(text))
		}
	}
	_ = conn.WriteMessage(websocket.TextMessage, []byte("\xff"))
	wantClose(t, conn, ws.CodeNotUTF8)
}
