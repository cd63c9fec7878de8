package httpd

import (
	"context"
	"net/http"
	"net/http/pprof"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/inbox"
)

// opsHandler answers on the listener of operation (docs/protocol.md §9), which
// asks for no token where it tells how the node is: it is bound to the loopback unless
// configured otherwise. Where administration is apart, all routes of the public
// listener are here, too, and ask for theirs.
func (s *Server) opsHandler() http.Handler {
	state := s.stateHandler()
	if !s.o.AdminApart {
		return state
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/healthz", path == "/readyz", path == "/metrics", strings.HasPrefix(path, "/debug/"):
			state.ServeHTTP(w, r)
		default:
			s.echo.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), insideKey{}, true)))
		}
	})
}

// insideKey marks requests that came by the listener of operation.
type insideKey struct{}

func inside(c echo.Context) bool { return c.Request().Context().Value(insideKey{}) != nil }

func (s *Server) stateHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { state(w, nil) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { state(w, s.ready()) })
	mux.Handle("GET /metrics", s.o.Metrics.Handler())
	mux.HandleFunc("GET /debug/routes", s.listRoutes)
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// ready says why the node should get no new clients now.
func (s *Server) ready() error {
	if s.Draining() {
		return errDraining
	}
	if err := s.loaded(); err != nil {
		return err
	}
	if s.o.View.Stale() {
		return inbox.ErrStale
	}
	return s.o.Ready()
}

func state(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = w.Write([]byte(err.Error() + "\n"))
		return
	}
	_, _ = w.Write([]byte("ok\n"))
}
