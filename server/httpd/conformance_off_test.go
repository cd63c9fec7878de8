//go:build !conformance

package httpd

import "testing"

// What public suites want of a server is in a build of its own.
func TestThereIsNoEchoInAnOrdinaryBuild(t *testing.T) {
	w := newStompWorld(t, nil)
	for _, path := range []string{"/conformance/echo", "/echo", "/echo/info", "/echo/000/a/xhr", "/disabled_websocket_echo/info", "/cookie_needed_echo/info", "/close", "/close/info"} {
		for _, method := range []string{"GET", "POST"} {
			w.do(method, path, "").problem(404, "not-found")
		}
	}
}
