//go:build conformance

package httpd

import (
	"strings"
	"testing"
)

func TestConformanceServices(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/conformance/echo", "").problem(426, "upgrade-required")
	for path, info := range map[string]string{
		"/echo": `"websocket":true`, "/disabled_websocket_echo": `"websocket":false`,
		"/cookie_needed_echo": `"cookie_needed":true`, "/close": `"cookie_needed":false`,
	} {
		w.do("GET", path+"/info", "", "Origin", "http://test").want(200, info)
		a := w.do("POST", path+"/000/s/xhr", "").want(200, "o\n")
		if got := a.header.Get("Set-Cookie"); (got == "JSESSIONID=dummy; Path=/") != (path == "/cookie_needed_echo") {
			t.Errorf("%s sets %q", path, got)
		}
	}
	w.do("POST", "/close/000/s/xhr", "").want(200, `c[3000,"Go away!"]`)
	// A stream ends after 4 KiB.
	w.do("POST", "/echo/000/s/xhr_send", `["`+strings.Repeat("x", 4096)+`"]`).want(204)
	w.do("POST", "/echo/000/s/xhr_streaming", "").want(200, strings.Repeat("h", 2048)+"\n", strings.Repeat("x", 4096))
}
