package httpd

import (
	"net/http"
	"net/http/pprof"

	"tocsin/server/inbox"
)

// opsHandler answers on the listener of operation (docs/protocol.md §9), which
// asks for no token: it is bound to the loopback unless configured otherwise.
func (s *Server) opsHandler() http.Handler {
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
