package sockjs

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"tocsin/transports"
)

// A fetch is one request for what a session has to tell.
type fetch struct {
	form     *form
	callback string
	rung     chan struct{} // has something when there may be news
	told     int           // bytes of frames
	w        http.ResponseWriter
	rc       *http.ResponseController
	begun    bool          // the headers are out
	beats    bool          // a heartbeat is due
	over     chan struct{} // closed when it is answered, or its client gone
}

const (
	// linger is how long a poll waits for more when there is something to tell:
	// what is told at once then comes in one answer.
	linger = 5 * time.Millisecond
	// maxIgnored bounds the body of a request that needs none.
	maxIgnored = 4 << 10
	// grace is how long a request waits for the one before it, whose client has
	// gone and may have been noticed a moment later.
	grace = 50 * time.Millisecond
)

// The frames that are always the same.
var (
	openFrame      = []byte("o")
	heartbeatFrame = []byte("h")
	busyFrame      = closeFrame(2010, "Another connection still open")
	// lostFrame is for who asks a session that has ended without a word.
	lostFrame = closeFrame(1002, "Connection interrupted")
)

// fetches answers requests of a transport.
func fetches(form *form) func(*Carrier, *request) error {
	return func(c *Carrier, q *request) error { return c.fetch(q, form) }
}

func (c *Carrier) fetch(q *request, form *form) error {
	f := &fetch{form: form, rung: make(chan struct{}, 1), over: make(chan struct{}), w: q.w, rc: http.NewResponseController(q.w)}
	if form.callback {
		var ok bool
		if f.callback, ok = callbackOf(q); !ok {
			return nil
		}
	}
	// Read to its end, since net/http sees that the client goes only after that.
	if _, err := io.Copy(io.Discard, http.MaxBytesReader(q.w, q.r.Body, maxIgnored)); err != nil {
		http.Error(q.w, "no payload expected", http.StatusRequestEntityTooLarge)
		return nil
	}
	defer close(f.over)
	s, anew, other, err := c.attach(q.session, f)
	if other != nil && wait(other.over, grace) {
		s, anew, other, err = c.attach(q.session, f)
	}
	if err != nil {
		return err
	}
	if anew {
		if err := s.begin(q.open); err != nil {
			return err
		}
	}
	c.cookie(q.w, q.r)
	if other != nil {
		_ = f.write(form.append(nil, busyFrame, f.callback), c.o.WriteTimeout) // who is gone hears nothing
		return nil
	}
	if err := s.serve(f, q.r); err != nil {
		s.cut()
	}
	return nil
}

// begin begins the conversation of a new session, or takes the session out again.
func (s *session) begin(open Open) (err error) {
	s.hearing.Lock()
	defer s.hearing.Unlock()
	begun := false
	defer func() {
		if !begun {
			s.cut()
		}
	}()
	begin, err := open()
	if err == nil {
		s.talk = begin(s)
		begun = true
	}
	return err
}

// serve tells what there is until the answer is full, or the session over. An
// error says that the client is gone.
func (s *session) serve(f *fetch, r *http.Request) error {
	var buffer transports.Buffer // an idle request holds none
	defer buffer.Release()
	beat := time.NewTimer(s.c.o.Heartbeat)
	defer beat.Stop()
	lingered := !f.form.poll
	for {
		buffer.Hold()
		b, found, last := s.take(f, buffer.B[:0], lingered)
		buffer.B = b
		if len(b) > 0 {
			if err := f.write(b, s.c.o.WriteTimeout); err != nil {
				return err
			}
			beat.Reset(s.c.o.Heartbeat)
		}
		if last {
			s.left()
			return nil
		}
		if len(b) > 0 {
			continue
		}
		if found {
			lingered = true
			if !pause(r, linger) {
				return r.Context().Err()
			}
			continue
		}
		buffer.Release()
		select {
		case <-f.rung:
		case <-beat.C:
			f.beats = true
		case <-r.Context().Done():
			return r.Context().Err()
		}
	}
}

// wait waits for the channel's end, for some time.
func wait(over <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-over:
		return true
	case <-t.C:
		return false
	}
}

// pause waits, unless the client goes.
func pause(r *http.Request, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

// take takes what is to be told next, in the transport's form. last says that the
// answer ends with it: the next request may come from then on. found says that
// there is something, which may wait a moment for more.
func (s *session) take(f *fetch, b []byte, lingered bool) (_ []byte, found, last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frame []byte
	switch {
	case s.state == ended:
		if frame, last = s.farewell, true; frame == nil {
			frame = lostFrame
		}
	case !s.opened:
		s.opened, frame = true, openFrame
	case s.queue.Held() && !lingered && s.state == open && len(s.queue.B) < s.c.o.Buffer:
		return b, true, false
	case s.queue.Held():
		frame = append(s.queue.B, ']')
		s.fetched = s.given
		s.moved.Broadcast()
	case s.state == closing:
		frame, last = s.farewell, true
		s.end()
	case f.beats:
		frame = heartbeatFrame
	default:
		return b, false, false
	}
	b = f.form.append(b, frame, f.callback)
	if s.fetched == s.given {
		s.queue.Release()
	}
	f.beats = false
	f.told += len(b)
	if last = last || f.form.poll || f.told >= s.c.o.ResponseLimit; last && s.fetch == f {
		s.rest()
	}
	return b, false, last
}

// left begins the time without a request anew, when the client has the last
// answer.
func (s *session) left() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fetch == nil {
		s.rest()
	}
}

// write gives the client frames, in time.
func (f *fetch) write(b []byte, timeout time.Duration) error {
	if !f.begun {
		if err := f.begin(len(b), timeout); err != nil {
			return err
		}
	}
	if err := f.rc.SetWriteDeadline(time.Now().Add(timeout)); err != nil {
		return fmt.Errorf("bound the writing: %w", err)
	}
	if _, err := f.w.Write(b); err != nil {
		return fmt.Errorf("write a frame: %w", err)
	}
	if err := f.rc.Flush(); err != nil {
		return fmt.Errorf("flush a frame: %w", err)
	}
	return nil
}

// begin writes the headers, and of a stream what comes before its first frame.
func (f *fetch) begin(size int, timeout time.Duration) error {
	f.begun = true
	h := f.w.Header()
	h.Set("Content-Type", f.form.contentType)
	h.Set("Cache-Control", noStore)
	if f.form.poll {
		h.Set("Content-Length", strconv.Itoa(size))
		return nil
	}
	h.Set("X-Accel-Buffering", "no")
	f.w.WriteHeader(http.StatusOK)
	// A deadline for the request's body would end the stream.
	if err := f.rc.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("unbound the reading: %w", err)
	}
	return f.write([]byte(f.form.prelude(f.callback)), timeout)
}
