package httpd

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"tocsin/server/auth"
	"tocsin/transports"
)

// sessions are the streams and polls that are open: how many there are, so that
// a drain knows when all have gone, and whose, so that they can be ended.
type sessions struct {
	most     int             // streams of one user
	draining context.Context // over once the drain has begun
	shut     context.CancelFunc
	spread   time.Duration // of the drain; set before it begins
	empty    chan struct{} // closed once the drain has begun and nobody is left

	mu      sync.Mutex
	inside  int
	settled bool               // empty is closed
	seats   map[string][]*seat // by user, the oldest first
}

// A seat is one session of somebody known.
type seat struct {
	id     auth.Identity
	stream bool
	end    func(cause error)
}

func newSessions(most int) *sessions {
	s := &sessions{most: most, empty: make(chan struct{}), seats: map[string][]*seat{}}
	s.draining, s.shut = context.WithCancel(context.Background())
	return s
}

func (s *sessions) closed() bool { return s.draining.Err() != nil }

// enter counts a session in. Its context is cancelled with transports.Drain when
// the node goes down: at once, or for streams at some moment of the spread.
func (s *sessions) enter(ctx context.Context, stream bool) (_ context.Context, end context.CancelCauseFunc, leave func()) {
	ctx, end = context.WithCancelCause(ctx)
	out := s.count(end, stream)
	return ctx, end, func() {
		out()
		end(nil)
	}
}

// count counts a session in, which end ends with a cause.
func (s *sessions) count(end func(error), stream bool) (leave func()) {
	s.mu.Lock()
	s.inside++
	s.mu.Unlock()
	drain := func() { end(transports.Drain) }
	if s.closed() {
		drain()
	}
	// The context package runs this once, when the drain begins; its timer is gone
	// after the spread.
	release := context.AfterFunc(s.draining, func() {
		if stream && s.spread > 0 {
			time.AfterFunc(rand.N(s.spread), drain)
			return
		}
		drain()
	})
	return func() {
		release()
		s.mu.Lock()
		defer s.mu.Unlock()
		s.inside--
		s.settle()
	}
}

// sit notes whose a session is. A stream beyond the user's share ends his oldest
// one.
func (s *sessions) sit(id auth.Identity, stream bool, end func(cause error)) (rise func()) {
	one := &seat{id: id, stream: stream, end: end}
	s.mu.Lock()
	list := s.seats[id.User]
	var oldest *seat
	streams := 0
	for _, other := range list {
		if other.stream {
			if streams++; streams == 1 {
				oldest = other
			}
		}
	}
	if stream && streams >= s.most {
		list = slices.DeleteFunc(list, func(other *seat) bool { return other == oldest })
		defer oldest.end(transports.Superseded)
	}
	s.seats[id.User] = append(list, one)
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		list := slices.DeleteFunc(s.seats[id.User], func(other *seat) bool { return other == one })
		if s.seats[id.User] = list; len(list) == 0 {
			delete(s.seats, id.User)
		}
	}
}

// revoke ends the sessions that a revocation is about.
func (s *sessions) revoke(r auth.Revocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, list := range s.seats {
		if r.User != "" && r.User != user {
			continue
		}
		for _, one := range list {
			if r.Matches(one.id) {
				one.end(transports.Revoked)
			}
		}
	}
}

// drain begins the end: nobody new, and everybody goes within the spread.
func (s *sessions) drain(spread time.Duration) {
	s.spread = spread
	s.shut()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
}

func (s *sessions) settle() {
	if s.inside == 0 && !s.settled && s.closed() {
		s.settled = true
		close(s.empty)
	}
}

// session is a session of somebody known: counted, noted, and looked at once
// more, since he may have been revoked in between.
func (s *Server) session(ctx context.Context, id auth.Identity, stream bool) (_ context.Context, leave func()) {
	ctx, end, out := s.sessions.enter(ctx, stream)
	rise := s.sessions.sit(id, stream, end)
	if s.revoked(id) {
		end(transports.Revoked)
	}
	return ctx, func() {
		rise()
		out()
	}
}

// join is a session of somebody known, which goes on when its request's handler
// has returned. end ends it with a cause, at any time.
func (s *Server) join(id auth.Identity, stream bool, end func(cause error)) (leave func()) {
	out := s.sessions.count(end, stream)
	rise := s.sessions.sit(id, stream, end)
	if s.revoked(id) {
		end(transports.Revoked)
	}
	return func() {
		rise()
		out()
	}
}

func (s *Server) revoked(id auth.Identity) bool {
	return s.o.Auth.Revocations != nil && s.o.Auth.Revocations.Revoked(id)
}
