package ws_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/transports/carrier/ws"
)

// A witness notes what its carrier tells it.
type witness struct {
	conn *ws.Conn
	told chan string
}

func (w *witness) Receive([]byte) {}
func (w *witness) Pinged()        { w.told <- "pinged" }
func (w *witness) Unpinged()      { w.told <- "unpinged" }
func (w *witness) Ponged()        { w.told <- "ponged" }
func (w *witness) Parted()        { w.told <- "parted" }
func (w *witness) Gone()          { w.told <- "gone" }

var _ ws.Witness = (*witness)(nil)

// next is what it is told next, pings and pongs aside.
func (w *witness) next(t *testing.T) string {
	t.Helper()
	for {
		if told := w.tell(t); told != "pinged" && told != "ponged" {
			return told
		}
	}
}

func (w *witness) tell(t *testing.T) string {
	t.Helper()
	select {
	case told := <-w.told:
		return told
	case <-time.After(patience):
		t.Fatal("nothing is told")
		return ""
	}
}

func TestAWitnessHearsWhatHasReachedTheClient(t *testing.T) {
	c, err := ws.New(ws.Options{Ping: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	witnesses := make(chan *witness, 10)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = c.Serve(rw, r, func(conn *ws.Conn) ws.Conversation {
			w := &witness{conn, make(chan string, 10_000)}
			witnesses <- w
			return w
		})
	}))
	t.Cleanup(server.Close)
	t.Cleanup(c.Close)
	dial := func() (*websocket.Conn, *witness) {
		t.Helper()
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
		return conn, <-witnesses
	}
	read := func(conn *websocket.Conn) { // ends with the connection
		go func() {
			for {
				if _, _, err := conn.ReadMessage(); err != nil {
					return
				}
			}
		}()
	}

	conn, w := dial()
	if told := w.tell(t); told != "pinged" {
		t.Errorf("first %s", told) // the client does not read yet
	}
	read(conn)
	for w.tell(t) != "ponged" {
	}
	w.conn.Ping()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience))
	if told := w.next(t); told != "parted" {
		t.Errorf("a client that closes: %s", told)
	}
	if told := w.next(t); told != "gone" {
		t.Errorf("then: %s", told)
	}

	conn, w = dial()
	read(conn)
	w.conn.Close(ws.CodeGoingAway, "")
	if told := w.next(t); told != "parted" {
		t.Errorf("a client that answers our close: %s", told)
	}

	slow, err := ws.New(ws.Options{Ping: time.Hour, Dead: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(slow.Close)
	c, fast := slow, c
	conn, w = dial()
	read(conn)
	w.conn.Ping()
	if told := []string{w.tell(t), w.tell(t)}; !slices.Contains(told, "pinged") || !slices.Contains(told, "ponged") {
		t.Errorf("a ping between: %v", told)
	}
	c = fast

	conn, w = dial()
	_ = conn.NetConn().Close()
	if told := w.next(t); told != "gone" {
		t.Errorf("a client that vanishes: %s", told)
	}
}
