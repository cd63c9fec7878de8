package sockjs

import (
	"sync"
	"time"

	"tocsin/transports"
)

// A session is one client's. It is a transports.Conn.
type session struct {
	c    *Carrier
	name string

	// posting has a place for one request that sends; over is closed when the
	// session is over, for those that wait for the place.
	posting chan struct{}
	over    chan struct{}
	// hearing is held while the conversation hears something.
	hearing sync.Mutex
	talk    Conversation

	mu    sync.Mutex // guards what follows
	moved sync.Cond  // of mu: something was fetched, or nothing will be any more
	state state
	// queue is what was not fetched yet: a frame of messages, but for its last
	// bracket.
	queue transports.Buffer
	// given and fetched count the messages that came into the queue, and left it.
	given, fetched uint64
	mine           uint64 // what given was after Try
	opened         bool   // the client knows that the session is open
	farewell       []byte // the close frame
	fetch          *fetch // the request that fetches; nil while there is none
	until          time.Time
	timer          *time.Timer // fires at until, while no request fetches
}

// A state is how far a session has come.
type state int

const (
	open    state = iota
	closing       // Close was called, the client does not know yet
	ended         // nothing is said any more; the client may still ask why
)

var _ transports.Conn = (*session)(nil)

// Headroom implements transports.Conn.
func (s *session) Headroom() int { return 0 }

// Try implements transports.Conn: a message is done once there is a request that
// takes it along.
func (s *session) Try(message []byte) (done bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return false, ErrClosed
	}
	s.enqueue(message)
	s.mine = s.given
	return s.flows(), nil
}

// Settle implements transports.Conn. It ends with the session at the latest: a
// client that does not fetch is given up, as is one that takes nothing of what it
// fetches.
func (s *session) Settle() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == open && s.fetched < s.mine && !s.flows() {
		s.moved.Wait()
	}
	if s.state != open && s.fetched < s.mine {
		return ErrClosed
	}
	return nil
}

// Send implements transports.Conn: it waits for a place in the queue.
func (s *session) Send(text []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.state == open && s.queue.Held() && len(s.queue.B)+len(text) > s.c.o.Buffer {
		s.moved.Wait()
	}
	if s.state != open {
		return ErrClosed
	}
	s.enqueue(text)
	return nil
}

// flows says whether what is in the queue is about to leave it; under the lock.
func (s *session) flows() bool {
	return s.fetch != nil && len(s.queue.B) <= s.c.o.Buffer
}

// enqueue puts a message into the queue; under the lock.
func (s *session) enqueue(message []byte) {
	if s.queue.Held() {
		s.queue.B = append(s.queue.B, ',')
	} else {
		s.queue.Hold()
		s.queue.B = append(s.queue.B, "a["...)
	}
	s.queue.B = appendString(s.queue.B, message, false)
	s.given++
	s.ring()
}

// ring wakes the request that fetches; under the lock.
func (s *session) ring() {
	if s.fetch != nil {
		select {
		case s.fetch.rung <- struct{}{}:
		default:
		}
	}
}

// Close implements transports.Conn. The client is told when it fetches next, or
// never, if it does not come.
func (s *session) Close(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != open {
		return
	}
	s.state = closing
	s.farewell = closeFrame(code, reason)
	s.moved.Broadcast()
	s.ring()
}

// cut ends the session at once: its client is gone.
func (s *session) cut() {
	s.mu.Lock()
	s.end()
	s.mu.Unlock()
	s.c.forget(s)
}

// end is the end of the conversation; under the lock.
func (s *session) end() {
	if s.state == ended {
		return
	}
	s.state = ended
	s.queue.Release()
	close(s.over)
	s.moved.Broadcast()
	s.ring()
	// Ends when the conversation has heard its last message, and that it is over.
	go s.gone()
}

func (s *session) gone() {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	defer s.guard()
	if s.talk != nil {
		s.talk.Gone()
		s.talk = nil
	}
}

// hear lets the conversation have messages.
func (s *session) hear(messages [][]byte) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	defer s.guard()
	for _, m := range messages {
		if !s.hears() {
			return
		}
		s.talk.Receive(m)
	}
}

// hears says whether the session is open.
func (s *session) hears() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == open
}

// rest begins the time that the session may be without a request that fetches;
// under the lock.
func (s *session) rest() {
	s.fetch = nil
	s.until = time.Now().Add(s.c.o.Disconnect)
	if s.timer == nil {
		// Its goroutine does not wait.
		s.timer = time.AfterFunc(s.c.o.Disconnect, s.elapse)
		return
	}
	s.timer.Reset(s.c.o.Disconnect)
}

// elapse is the timer's; a request may have come since it fired.
func (s *session) elapse() {
	s.mu.Lock()
	late := s.fetch == nil && !time.Now().Before(s.until)
	s.mu.Unlock()
	if late {
		s.cut()
	}
}

// session returns the one with this name, or nil.
func (c *Carrier) session(name string) *session {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sessions[name]
}

// forget takes the session out.
func (c *Carrier) forget(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sessions[s.name] == s {
		delete(c.sessions, s.name)
	}
}

// attach returns the session with this name and makes the request the one that
// fetches from it; anew says that there was none. other is one that fetches already.
func (c *Carrier) attach(name string, f *fetch) (s *session, anew bool, other *fetch, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, false, nil, ErrClosed
	}
	if s = c.sessions[name]; s != nil {
		return s, false, s.attach(f), nil
	}
	if len(c.sessions) >= c.o.Sessions {
		return nil, false, nil, ErrFull
	}
	s = &session{c: c, name: name, fetch: f, posting: make(chan struct{}, 1), over: make(chan struct{})}
	s.moved.L = &s.mu
	c.sessions[name] = s
	return s, true, nil, nil
}

// attach makes the request the one that fetches, unless there is another.
func (s *session) attach(f *fetch) (other *fetch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetch != nil {
		return s.fetch
	}
	s.fetch = f
	s.timer.Stop()
	s.moved.Broadcast()
	return nil
}
