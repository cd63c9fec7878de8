package httpd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/metrics"
	"tocsin/transports"
	"tocsin/transports/native"
	"tocsin/transports/stomp"
)

// maxHeaderBytes bounds a request's header.
const maxHeaderBytes = 32 << 10

// A Server is the node's HTTP edge. Its methods may be called by many goroutines.
type Server struct {
	o       Options
	echo    *echo.Echo
	ops     http.Handler
	public  *http.Server
	private *http.Server

	sessions *sessions
	revolver atomic.Pointer[revolver] // nil until Serve
	pump     *transports.Pump
	stopPump context.CancelFunc
	carriers []interface{ Close() } // of all services
	secrets  []string               // paths below which a path is a secret
	sharing  map[string]bool        // routes that judge origins themselves
	doors    map[string]bool        // routes that publish
	closers  []func()               // called when all have gone

	ws         *service // of readers,
	publishers *service // and of those without an inbox
	// What their conversations have in common.
	conversations *native.Options
	publishing    *native.Options

	stomp *stomp.Options // of its conversations; nil where it is not served

	sse      *metrics.Transport
	poll     *metrics.Transport
	longPoll *metrics.Transport
	html     *metrics.Transport
	waits    map[string]*metrics.Delivery // by transport
	limits   atomic.Pointer[Adjustable]   // those of the Options that may change
	begun    time.Time
	origins  transports.Origins
}

// New returns a Server that listens nowhere yet.
func New(o Options) (*Server, error) {
	if o.View == nil || o.Marks == nil || o.Auth == nil || o.Alarms == nil || o.Directory == nil {
		return nil, errors.New("httpd: View, Marks, Auth, Alarms and Directory are required")
	}
	s := &Server{o: o.withDefaults(), sharing: map[string]bool{}, doors: map[string]bool{}}
	s.o.Alarms = limitedAlarms{s.o.Alarms, s.o.Limiter}
	limits := s.o.adjustable()
	s.limits.Store(&limits)
	var err error
	if s.origins, err = transports.ParseOrigins(s.o.Origins); err != nil {
		return nil, err
	}
	s.sessions = newSessions(s.o.Connections)
	s.o.Cluster.Kicks(s.sessions.kick)
	s.o.Cluster.Supersedes(s.sessions.supersede)
	if s.o.Auth.Revocations != nil {
		s.o.Auth.Revocations.Changed(s.sessions.revoke)
	}
	if v := s.o.Auth.Verifier; v != nil {
		v.Changed(func() { s.sessions.orphan(v.Vouches) })
	}
	s.sse, s.poll = s.o.Metrics.Transport("sse"), s.o.Metrics.Transport("poll")
	s.longPoll, s.html = s.o.Metrics.Transport(byLongPoll), s.o.Metrics.Transport("page")
	s.measure()
	if err := s.newSockets(); err != nil {
		return nil, err
	}
	s.pump = transports.NewPump(s.o.Limits)
	s.pump.Logger = s.o.Logger
	var pumping context.Context
	pumping, s.stopPump = context.WithCancel(context.Background())
	go s.pump.Run(pumping) // ends with Shutdown
	s.conversations, s.publishing = s.newConversations(), s.newPublishing()
	s.show()
	s.routes()
	if err := s.serveCompat(); err != nil {
		return nil, err
	}
	if err := s.serveConformance(); err != nil {
		return nil, err
	}
	s.ops = s.opsHandler()
	s.public = s.server(s.echo)
	s.public.ConnContext, s.public.ConnState = s.o.Limiter.ConnContext, s.o.Limiter.ConnState
	s.private = s.server(s.ops)
	return s, nil
}

// server has no WriteTimeout, which would cut streams: each answer has a
// deadline of its own. Nor a ReadTimeout, for the same reason: bodies have one.
func (s *Server) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           recallTLS(h),
		ConnContext:       rememberTLS,
		ReadHeaderTimeout: s.o.HeaderTimeout,
		IdleTimeout:       s.o.IdleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.o.Logger.Handler(), slog.LevelWarn),
	}
}

// Handler serves the public routes, for a test or a server of the caller's own.
func (s *Server) Handler() http.Handler { return s.echo }

// OpsHandler serves the routes of operation: they are for the operator's
// network only.
func (s *Server) OpsHandler() http.Handler { return s.ops }

// Serve answers on the listeners until Shutdown closes them, and then returns
// nil, which is before Shutdown does; or until one of them fails. ops may be nil.
func (s *Server) Serve(public, ops net.Listener) error {
	failed := make(chan error, 2)
	if ops != nil {
		// Ends when the listener fails, or with Shutdown.
		go func() { failed <- s.private.Serve(ops) }()
	}
	v := newRevolver(public)
	s.revolver.Store(v)
	// Ends like the one before.
	go func() { failed <- s.public.Serve(v) }()
	err := <-failed
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	_ = s.public.Close()
	_ = s.private.Close()
	return fmt.Errorf("serve: %w", err)
}

// Shutdown ends the server in the order that loses nobody: not ready any more,
// held polls answered, streams sent away with a bye one after the other, then
// the connections closed. It listens and answers until the last stream has gone and
// Linger is over. When the context ends first, what is left is cut and the context's
// error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	spread := max(s.o.DrainSpread, 0)
	if end, ok := ctx.Deadline(); ok {
		spread = min(spread, time.Until(end)*3/4)
	}
	linger, heard := context.WithTimeout(ctx, min(max(s.o.Linger, 0), spread))
	defer heard()
	s.sessions.drain(spread)
	err := ctx.Err()
	for _, over := range []<-chan struct{}{linger.Done(), s.sessions.empty} {
		select {
		case <-over:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	if err == nil {
		err = s.public.Shutdown(ctx)
	}
	for _, carrier := range s.carriers {
		carrier.Close()
	}
	_ = s.public.Close()
	_ = s.private.Close()
	s.stopPump()
	for _, f := range s.closers {
		f()
	}
	if err != nil {
		return fmt.Errorf("shut the server down: %w", err)
	}
	return nil
}

// Draining says whether Shutdown has begun.
func (s *Server) Draining() bool { return s.sessions.closed() }
