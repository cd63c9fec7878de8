package presence

import (
	"sync"
	"time"

	"tocsin/server/inbox"
)

// A Session is one delivery of an inbox.
type Session struct {
	c     *Connection
	id    uint64
	since time.Time

	position position
	shared   *sync.Mutex // of polls, which many goroutines answer

	// Guarded by the registry's lock.
	place int  // in its sessions
	over  bool // End was called
	// What the recorder has told of it.
	stated time.Time
	told   *base
	toldAt uint64
	round  uint64 // the last checkpoint that met it
}

// Since is when the delivery began.
func (s *Session) Since() time.Time { return s.since }

// User is whose inbox it is.
func (s *Session) User() string { return s.c.user }

// Connection names the connection that it is of.
func (s *Session) Connection() string { return s.c.Name() }

// Reached notes what a flush has delivered. It costs no lock, but for polls, and
// nearly never memory.
func (s *Session) Reached(r inbox.Reach) {
	if s.shared != nil {
		s.shared.Lock()
		defer s.shared.Unlock()
	}
	s.position.add(r)
}

// End ends the session; a second time does nothing.
func (s *Session) End() {
	r := s.c.r
	r.mu.Lock()
	if s.over {
		r.mu.Unlock()
		return
	}
	s.over = true
	last := len(r.sessions) - 1
	r.sessions[s.place] = r.sessions[last]
	r.sessions[s.place].place = s.place
	r.sessions[last] = nil
	r.sessions = r.sessions[:last]
	if s.c.session == s {
		s.c.session = nil
	}
	if r.recorded {
		if len(r.ended) < maxEnded {
			r.ended = append(r.ended, s)
		} else {
			r.lost++
		}
	}
	r.mu.Unlock()
	s.c.tell(Unsubscribed, "")
}
