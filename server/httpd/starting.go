package httpd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// A Porch answers at listeners while the node behind them is being put together:
// that it is alive, and not ready. Its methods are called by one goroutine.
type Porch struct {
	servers []*http.Server
	lent    []*lent
	serving sync.WaitGroup
}

// Public answers requests of clients with 503, so that a proxy asks another node.
func (p *Porch) Public(l net.Listener) {
	problem := explain(inbox.ErrStale)
	problem.detail = "the node is starting"
	body := append(problem.appendJSON(nil, ""), '\n')
	p.serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem.setHeader(w.Header())
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(problem.status)
		_, _ = w.Write(body)
	}))
}

var errStarting = errors.New("the node is starting")

// Ops answers /healthz with 200 and all else with 503.
func (p *Porch) Ops(l net.Listener) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { state(w, nil) })
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { state(w, errStarting) })
	p.serve(l, mux)
}

// porchTimeout bounds a request there.
const porchTimeout = 10 * time.Second

func (p *Porch) serve(l net.Listener, h http.Handler) {
	s := &http.Server{Handler: h, ReadTimeout: porchTimeout, WriteTimeout: porchTimeout}
	s.SetKeepAlivesEnabled(false) // its clients come to the real one next
	on := &lent{Listener: l, back: make(chan struct{})}
	p.servers, p.lent = append(p.servers, s), append(p.lent, on)
	// Ends with Close.
	p.serving.Go(func() { _ = s.Serve(on) })
}

// Close gives the listeners back, open. Who is being answered gets his answer.
func (p *Porch) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, s := range p.servers {
		if s.Shutdown(ctx) != nil {
			_ = s.Close()
		}
	}
	p.serving.Wait()
	for _, l := range p.lent {
		l.until(time.Time{})
	}
	p.servers, p.lent = nil, nil
}

// A lent listener is not closed, but given back.
type lent struct {
	net.Listener
	once sync.Once
	back chan struct{} // closed when it is to be given back
}

func (l *lent) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	select {
	case <-l.back:
		if err != nil {
			return nil, net.ErrClosed
		}
	default:
	}
	return c, err
}

func (l *lent) Close() error {
	l.once.Do(func() {
		close(l.back)
		l.until(time.Now()) // for the Accept that waits
	})
	return nil
}

// until is the deadline of Accept, which listeners of TCP have.
func (l *lent) until(t time.Time) {
	if d, ok := l.Listener.(interface{ SetDeadline(t time.Time) error }); ok {
		_ = d.SetDeadline(t)
	}
}
