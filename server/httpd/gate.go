package httpd

import (
	"context"
	"math/rand/v2"
	"sync"
	"time"

	"tocsin/transports"
)

// A gate counts the sessions that run, and closes when the node goes down.
type gate struct {
	draining context.Context // over once the gate is closed
	shut     context.CancelFunc
	empty    chan struct{} // closed once the gate is closed and nobody is left

	mu      sync.Mutex
	inside  int
	settled bool // empty is closed
}

func (g *gate) init() {
	g.draining, g.shut = context.WithCancel(context.Background())
	g.empty = make(chan struct{})
}

func (g *gate) closed() bool { return g.draining.Err() != nil }

func (g *gate) enter() {
	g.mu.Lock()
	g.inside++
	g.mu.Unlock()
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inside--
	g.settle()
}

func (g *gate) close() {
	g.shut()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.settle()
}

func (g *gate) settle() {
	if g.inside == 0 && !g.settled && g.closed() {
		g.settled = true
		close(g.empty)
	}
}

// session gives a session its context: over with the request's, and with the
// node's drain, at a moment of its own within the spread. stop must be called.
func (s *Server) session(ctx context.Context, spread bool) (_ context.Context, stop func()) {
	s.gate.enter()
	ctx, cancel := context.WithCancelCause(ctx)
	drain := func() { cancel(transports.Drain) }
	if s.Draining() {
		drain()
	}
	// The context package runs this once, when the gate closes; its timer is gone
	// after the spread.
	release := context.AfterFunc(s.gate.draining, func() {
		if most := time.Duration(s.spread.Load()); spread && most > 0 {
			time.AfterFunc(rand.N(most), drain)
			return
		}
		drain()
	})
	return ctx, func() {
		release()
		cancel(nil)
		s.gate.leave()
	}
}
