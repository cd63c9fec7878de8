package limit

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// Below TLS, and with HTTP/2 over it, connections are counted as they are without.
func TestConnectionsAreCountedBelowTLS(t *testing.T) {
	l := New(Options{Waiting: 10, AddressConnections: 100, Requests: Rate{Address: 1}}, nil)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, err := l.Arrived(r, false)
		defer a.Done()
		fmt.Fprint(w, r.Proto, " ", a.From, " ", err)
	}))
	s.Listener.Close()
	s.Listener, s.EnableHTTP2 = l.Listener(in), true
	s.Config.ConnContext = l.ConnContext
	began := s.Config.ConnState // of the test's server, which adds its own
	s.Config.ConnState = func(c net.Conn, state http.ConnState) {
		l.ConnState(c, state)
		if began != nil {
			began(c, state)
		}
	}
	s.StartTLS()
	t.Cleanup(s.Close)
	silent := make([]net.Conn, 20)
	for i := range silent {
		if silent[i], err = net.Dial("tcp", in.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer silent[i].Close()
	}
	for range 3 {
		resp, err := s.Client().Get(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if string(text) != "HTTP/2.0 127.0.0.1 <nil>" {
			t.Errorf("%s", text)
		}
	}
	until(t, "the others to rest", func() bool { return l.doors.waiting.len() <= 2 && l.doors.idle.len() == 1 }) // a fifth of ten
	s.Client().CloseIdleConnections()
	for _, c := range silent {
		c.Close()
	}
	until(t, "all to be counted out", func() bool {
		l.doors.mu.Lock()
		defer l.doors.mu.Unlock()
		return l.doors.open == 0 && len(l.doors.of) == 0
	})
}
