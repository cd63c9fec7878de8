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

// A witness notes in order what its carrier tells it.
type witness struct {
	conn  *ws.Conn
	told  chan string
	heard chan struct{}
}

func (w *witness) Receive([]byte) { close(w.heard) }
func (w *witness) Mark(uint64)    { w.told <- "mark" }
func (w *witness) Arrived(uint64) { w.told <- "arrived" }
func (w *witness) Pinged()        {}
func (w *witness) Left()          { w.told <- "left" }
func (w *witness) Gone()          { w.told <- "gone" }

func (w *witness) next(t *testing.T) string {
	t.Helper()
	select {
	case told := <-w.told:
		return told
	case <-time.After(patience):
		t.Fatal("nothing is told")
		return ""
	}
}

func TestAConversationHearsThatItsClientLeft(t *testing.T) {
	c, err := ws.New(ws.Options{Ping: time.Hour, Dead: 2 * time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	witnesses := make(chan *witness, 1)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_ = c.Serve(rw, r, func(conn *ws.Conn) ws.Conversation {
			w := &witness{conn, make(chan string, 100), make(chan struct{})}
			witnesses <- w
			return w
		})
	}))
	t.Cleanup(server.Close)
	t.Cleanup(c.Close)
	for what, one := range map[string]struct {
		end  func(*websocket.Conn, *witness)
		want []string
	}{
		"closes": {func(conn *websocket.Conn, _ *witness) {
			bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience))
		}, []string{"left", "gone"}},
		"answers our close":     {func(_ *websocket.Conn, w *witness) { w.conn.Close(ws.CodeGoingAway, "") }, []string{"left", "gone"}},
		"vanishes":              {func(conn *websocket.Conn, _ *witness) { _ = conn.NetConn().Close() }, []string{"gone"}},
		"answers, and vanishes": {func(conn *websocket.Conn, w *witness) { w.conn.Ping(); w.conn.Ping() }, []string{"mark", "mark", "arrived", "arrived"}},
	} {
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http"), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		w := <-witnesses
		_ = conn.WriteMessage(websocket.TextMessage, nil)
		<-w.heard
		go read(conn) // ends with the connection
		one.end(conn, w)
		var told []string
		for range one.want {
			told = append(told, w.next(t))
		}
		if one.want[0] == "mark" {
			slices.Sort(told) // the answer to the first may come before the second goes
			slices.Reverse(told)
		}
		if !slices.Equal(told, one.want) {
			t.Errorf("a client that %s: %v", what, told)
		}
		_ = conn.Close()
	}
}
