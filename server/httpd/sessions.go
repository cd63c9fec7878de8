package httpd

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"tocsin/server/auth"
	"tocsin/server/presence"
	"tocsin/transports"
)

// sessions are the streams and polls that are open: how many there are, so that
// a drain knows when all have gone, and whose, so that they can be ended.
type sessions struct {
	most  int           // streams of one user
	empty chan struct{} // closed once the drain has begun and nobody is left

	draining atomic.Bool // set under the lock

	mu      sync.Mutex
	settled bool // empty is closed
	inside  []*seat
	of      map[string][]*seat // by user, the oldest first
}

// A seat is one session.
type seat struct {
	stream bool
	end    func(cause error)
	// present is its stream in the presence, if it has one; set before it is known
	// whose it is.
	present *presence.Connection
	// Guarded by the sessions' lock.
	who   *auth.Identity // nil until known
	place int            // among those inside
}

func newSessions(most int) *sessions {
	return &sessions{most: most, empty: make(chan struct{}), of: map[string][]*seat{}}
}

// setMost changes how many streams one user may have.
func (s *sessions) setMost(n int) {
	s.mu.Lock()
	s.most = n
	s.mu.Unlock()
}

func (s *sessions) closed() bool { return s.draining.Load() }

// enter counts a session in. end ends it with a cause, at any time and without
// waiting; it may be called before enter returns. When the node goes down it is
// called with transports.Drain: at once, or for streams at some moment of the
// spread.
func (s *sessions) enter(stream bool, end func(cause error)) *seat {
	one := &seat{stream: stream, end: end}
	s.mu.Lock()
	one.place = len(s.inside)
	s.inside = append(s.inside, one)
	late := s.draining.Load()
	s.mu.Unlock()
	if late {
		end(transports.Drain)
	}
	return one
}

// leave takes a session out again.
func (s *sessions) leave(one *seat) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forget(one)
	last := len(s.inside) - 1
	moved := s.inside[last]
	moved.place = one.place
	s.inside[one.place] = moved
	s.inside[last] = nil
	if s.inside = s.inside[:last]; last < cap(s.inside)/4 {
		s.inside = append(make([]*seat, 0, 2*last), s.inside...)
	}
	s.settle()
}

// forget takes a session away from its user; under the lock.
func (s *sessions) forget(one *seat) {
	if one.who == nil {
		return
	}
	list := slices.DeleteFunc(s.of[one.who.User], func(other *seat) bool { return other == one })
	if s.of[one.who.User] = list; len(list) == 0 {
		delete(s.of, one.who.User)
	}
	one.who = nil
}

// sit notes whose a session is; again, when it has a new token. A stream beyond
// the user's share ends his oldest one.
func (s *sessions) sit(one *seat, who *auth.Identity) {
	s.mu.Lock()
	s.forget(one)
	list := s.of[who.User]
	var oldest *seat
	streams := 0
	for _, other := range list {
		if other.stream {
			if streams++; streams == 1 {
				oldest = other
			}
		}
	}
	if one.stream && streams >= s.most {
		list = slices.DeleteFunc(list, func(other *seat) bool { return other == oldest })
		oldest.who = nil
		defer oldest.end(transports.Superseded)
	}
	one.who = who
	s.of[who.User] = append(list, one)
	s.mu.Unlock()
}

// revoke ends the sessions that a revocation is about.
func (s *sessions) revoke(r auth.Revocation) {
	var gone []*seat
	s.mu.Lock()
	for user, list := range s.of {
		if r.User != "" && r.User != user {
			continue
		}
		for _, one := range list {
			if r.Matches(one.who) {
				gone = append(gone, one)
			}
		}
	}
	s.mu.Unlock()
	for _, one := range gone {
		one.end(transports.Revoked)
	}
}

// orphan ends the sessions whose token's key is gone.
func (s *sessions) orphan(vouches func(*auth.Identity) bool) {
	var gone []*seat
	s.mu.Lock()
	for _, list := range s.of {
		for _, one := range list {
			if !vouches(one.who) {
				gone = append(gone, one)
			}
		}
	}
	s.mu.Unlock()
	for _, one := range gone {
		one.end(transports.Revoked)
	}
}

// supersede ends those of a user's streams that are too many on all nodes.
func (s *sessions) supersede(user string, these []*presence.Connection) {
	var old []*seat
	s.mu.Lock()
	for _, one := range s.of[user] {
		if one.present != nil && slices.Contains(these, one.present) {
			old = append(old, one)
		}
	}
	s.mu.Unlock()
	for _, one := range old {
		one.end(transports.Superseded)
	}
}

// kick ends all sessions of a user at this node, and returns how many.
func (s *sessions) kick(user string) int {
	s.mu.Lock()
	his := slices.Clone(s.of[user])
	s.mu.Unlock()
	for _, one := range his {
		one.end(transports.Kicked)
	}
	return len(his)
}

// drain begins the end: nobody new, and everybody goes within the spread.
func (s *sessions) drain(spread time.Duration) {
	s.mu.Lock()
	s.draining.Store(true)
	inside := slices.Clone(s.inside)
	s.settle()
	s.mu.Unlock()
	for _, one := range inside {
		drain := func() { one.end(transports.Drain) }
		if one.stream && spread > 0 {
			time.AfterFunc(rand.N(spread), drain) // gone after the spread
			continue
		}
		drain()
	}
}

func (s *sessions) settle() {
	if len(s.inside) == 0 && !s.settled && s.draining.Load() {
		s.settled = true
		close(s.empty)
	}
}

// session is a session of somebody known, for as long as its request's handler
// runs.
func (s *Server) session(ctx context.Context, id *auth.Identity, stream bool) (_ context.Context, leave func()) {
	ctx, end := context.WithCancelCause(ctx)
	out := s.join(id, stream, nil, end)
	return ctx, func() {
		out()
		end(nil)
	}
}

// join is a session of somebody known, looked at once more, since he may have been
// revoked in between. present is that of a stream. end ends it with a cause, as in
// enter.
func (s *Server) join(who *auth.Identity, stream bool, present *presence.Connection, end func(cause error)) (leave func()) {
	one := s.sessions.enter(stream, end)
	one.present = present
	s.sit(one, who)
	return func() { s.sessions.leave(one) }
}

func (s *Server) sit(one *seat, who *auth.Identity) {
	s.sessions.sit(one, who)
	if s.revoked(who) {
		one.end(transports.Revoked)
	}
}

func (s *Server) revoked(id *auth.Identity) bool { return s.o.Auth.TakenBack(id) }
