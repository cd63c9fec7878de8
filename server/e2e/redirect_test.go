package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Readers go where they are sent: a front that has moved answers 301 or 307, and
// `tocsin tail` reads on behind it; a 204 ends it.
func TestTailGoesWhereItIsSent(t *testing.T) {
	t.Parallel()
	s := crewServer(t)
	var turns atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		status := http.StatusMovedPermanently
		if turns.Add(1)%2 == 0 {
			status = http.StatusTemporaryRedirect
		}
		http.Redirect(w, r, s.url()+r.URL.RequestURI(), status)
	}))
	t.Cleanup(front.Close)
	s.raise("one")
	s.raise("two")
	token := s.token("ada", "inbox", "crew")
	for _, via := range []string{"sse", "longpoll", "poll"} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, errs, err := s.tocsin(ctx, "tail", "--via", via, "--cursor", "earliest", "--count", "2", "--url", front.URL, "--token", token)
		if err != nil || strings.Count(out, "\n") != 2 || !strings.Contains(out, "two") {
			t.Errorf("%s: %v\n%s%s", via, err, out, errs)
		}
	}
	if turns.Load() < 3 {
		t.Errorf("%d redirects", turns.Load())
	}
	gone := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(gone.Close)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, errs, err := s.tocsin(ctx, "tail", "--via", "sse", "--url", gone.URL, "--token", token)
	if err == nil || ctx.Err() != nil || !strings.Contains(errs, "204") {
		t.Errorf("after a 204: %v\n%s", err, errs)
	}
}
