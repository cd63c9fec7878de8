package httpd_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"tocsin/server/httpd"
)

// While a node is put together it is alive and not ready; what connects once the
// listeners are given back is served by who has them then.
func TestANodeThatIsStartingIsAliveAndNotReady(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	public, ops := listen(), listen()
	get := func(l net.Listener, path string) (int, string, http.Header) {
		t.Helper()
		resp, err := http.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text), resp.Header
	}
	var p httpd.Porch
	p.Public(public)
	p.Ops(ops)
	for _, c := range []struct {
		l      net.Listener
		path   string
		status int
		says   string
	}{
		{ops, "/healthz", 200, "ok"},
		{ops, "/readyz", 503, "starting"},
		{public, "/v1/inbox", 503, `"type":"/problems/stale"`},
	} {
		status, text, header := get(c.l, c.path)
		if status != c.status || !strings.Contains(text, c.says) {
			t.Errorf("%s: %d %s", c.path, status, text)
		}
		if c.l == public && header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", c.path)
		}
	}
	p.Close()
	p.Close()
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("the real one")) })}
	defer s.Close()
	go s.Serve(public) // ends with Close
	if status, text, _ := get(public, "/v1/inbox"); status != 200 || text != "the real one" {
		t.Errorf("then: %d %s", status, text)
	}
}
