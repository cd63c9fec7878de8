package client

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A reader that is sent elsewhere, for good or for now, goes there with all it has,
// and asks at the old address again when that stream ends.
func TestTailsFollowRedirects(t *testing.T) {
	for _, status := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		for _, via := range httpWays {
			var asked []string
			there := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer secret" {
					t.Errorf("%s after %d: %v", via, status, r.Header)
				}
				asked = append(asked, r.Header.Get("Last-Event-ID")+r.URL.Query().Get("cursor"))
				if via == ViaSSE {
					streams("id: c1\ndata: {}\n\n")(w, r)
					return
				}
				_, _ = io.WriteString(w, `{"entries":[{}],"cursor":"c1","interval":0}`)
			}))
			moved := func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, there.URL+r.URL.RequestURI(), status)
			}
			s, c := play(t, moved, moved)
			r := record{limit: 2}
			if err := r.follow(t.Context(), c, Tail{Via: via, Cursor: "c0"}); err != nil || len(s.requests()) != 2 {
				t.Errorf("%s after %d: %v in %d requests", via, status, err, len(s.requests()))
			}
			if got := strings.Join(asked, " "); got != "c0 c1" && got != "c0 c1c0" {
				t.Errorf("%s after %d: asked with %q", via, status, got)
			}
			there.Close()
		}
	}
}
