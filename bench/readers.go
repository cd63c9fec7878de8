package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// readers are many clients in one thread: it waits for all sockets at once and
// only looks for the mark that every alarm carries, so that the load does not
// take the processor from what it measures.
type readers struct {
	began   time.Time
	poll    int // the epoll's descriptor
	buf     []byte
	scratch []byte // what was kept of a stream, and what has come

	greeted, lost atomic.Int64 // streams that said hello, and that ended

	mu        sync.Mutex
	streams   map[int32]*stream
	prefix    []byte // of the rung's marks
	delivered int
	answers   int           // of streams that ask again
	gaps      int           // streams that began with one
	bytes     int           // that have come since begin
	newest    time.Duration // when the last of the rung came
	took      *hdrhistogram.Histogram
	why       error // the first stream that was lost

	want  int // readers of each message; 0 is not asked
	tally tally
	under map[int64]tally // messages that some have got, by when they were due
	last  *hdrhistogram.Histogram
	whole chan struct{} // a message has reached all who want it

	stopped atomic.Bool
	done    chan error
}

// A tally is how many have got the message that was due then.
type tally struct {
	due int64
	n   int
}

// A mark stands in a message: the rung of the ladder, and when the message was due
// to be sent, in nanoseconds since the readers began, by which it is known.
const markBegin = "sent@"

func mark(rung int, due time.Duration) string {
	return fmt.Sprintf(markBegin+"%d.%d;", rung, due.Nanoseconds())
}

// messageBytes is the length of the messages, as for the peers of the table.
const messageBytes = 200

// message is text with a mark.
func message(rung int, due time.Duration) string {
	text := mark(rung, due)
	return text + filler[:messageBytes-len(text)]
}

var filler = strings.Repeat("92 km/h in an 80 km/h zone ", 1+messageBytes/27)

// newReaders starts the thread; there are no streams yet.
func newReaders(core int) (*readers, error) {
	r := &readers{began: time.Now(), streams: map[int32]*stream{}, buf: make([]byte, 256<<10), under: map[int64]tally{}, whole: make(chan struct{}, 1<<16), took: newHistogram(), last: newHistogram(), done: make(chan error, 1)}
	var err error
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	// Ends with close.
	go func() { r.done <- r.run(core) }()
	return r, nil
}

// run reads until close.
func (r *readers) run(core int) error {
	// The thread is not unlocked: it ends with the goroutine, and its core with it.
	runtime.LockOSThread()
	if core >= 0 {
		var one unix.CPUSet
		one.Set(core)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("choose a core: %w", err)
		}
	}
	events := make([]unix.EpollEvent, 256)
	for !r.stopped.Load() {
		n, err := unix.EpollWait(r.poll, events, 50)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for streams: %w", err)
		}
		for i := range max(n, 0) {
			r.read(events[i].Fd)
		}
	}
	return nil
}

// read takes what one stream has.
func (r *readers) read(fd int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.streams[fd]
	if s == nil {
		return // dropped meanwhile
	}
	n, err := unix.Read(int(fd), r.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil {
		r.bytes += n
		now := time.Since(r.began)
		err = s.take(r.buf[:n], func(text []byte) { r.see(s, text, now) })
	}
	if err != nil {
		r.lost.Add(1)
		r.why = cmp.Or(r.why, err)
		_ = unix.Close(int(fd))
		delete(r.streams, fd)
	}
}

// see goes through a stream's text. What may begin a mark, or the greeting, is
// kept for the next time.
func (r *readers) see(s *stream, text []byte, now time.Duration) {
	if s.again != nil {
		r.answers++
		r.scan(s, text, now)
		return
	}
	r.scratch = append(append(r.scratch[:0], s.rest...), text...)
	if s.delivered == 0 && bytes.Contains(r.scratch, []byte(`"repair":`)) {
		r.gaps++
	}
	if !s.greeted && bytes.Contains(r.scratch, []byte(s.greeting)) {
		s.greeted = true
		r.greeted.Add(1)
	}
	s.rest = append(s.rest[:0], r.scan(s, r.scratch, now)...)
}

// scan counts all marks of the rung and returns the end of the text that may begin
// another.
func (r *readers) scan(s *stream, text []byte, now time.Duration) []byte {
	for {
		i := bytes.Index(text, []byte(markBegin))
		if i < 0 {
			return text[max(0, len(text)-max(len(s.greeting), len(markBegin))+1):]
		}
		end := bytes.IndexByte(text[i:], ';')
		if end < 0 {
			return text[i:]
		}
		if due, ours := bytes.CutPrefix(text[i:i+end], r.prefix); ours {
			r.delivered++
			s.delivered++
			r.newest = now
			r.got(number64(due), now)
		}
		text = text[i+end:]
	}
}

// got counts one message that came to one reader.
func (r *readers) got(due int64, now time.Duration) {
	late := now - time.Duration(due)
	record(r.took, late)
	if r.want == 0 {
		return
	}
	if r.tally.due != due {
		if r.tally.n > 0 {
			r.under[r.tally.due] = r.tally
		}
		r.tally = tally{due, r.under[due].n}
	}
	if r.tally.n++; r.tally.n == r.want {
		delete(r.under, due)
		r.tally = tally{}
		record(r.last, late)
		select {
		case r.whole <- struct{}{}:
		default: // nobody waits for so many
		}
	}
}

// number64 reads digits.
func number64(digits []byte) (n int64) {
	for _, d := range digits {
		n = 10*n + int64(d-'0')
	}
	return n
}

// begin starts to count for a rung, whose messages each have so many readers.
func (r *readers) begin(rung, want int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prefix = fmt.Appendf(nil, markBegin+"%d.", rung)
	r.delivered, r.answers, r.gaps, r.bytes, r.newest, r.took = 0, 0, 0, 0, 0, newHistogram()
	r.want, r.tally, r.last = want, tally{}, newHistogram()
	clear(r.under)
	for len(r.whole) > 0 {
		<-r.whole
	}
	for _, s := range r.streams {
		s.delivered = 0
	}
}

// now is the readers' clock.
func (r *readers) now() time.Duration { return time.Since(r.began) }

// A sum is what the readers have had since begin.
type sum struct {
	delivered, answers int
	gaps, bytes        int
	newest             time.Duration           // when the last came, since the readers began
	took, last         *hdrhistogram.Histogram // each delivery; the last delivery of each message
}

func (r *readers) sum() sum {
	r.mu.Lock()
	defer r.mu.Unlock()
	return sum{r.delivered, r.answers, r.gaps, r.bytes, r.newest,
		hdrhistogram.Import(r.took.Export()), hdrhistogram.Import(r.last.Export())}
}

// each wants every one of the streams to have got as many events.
func (r *readers) each(streams, events int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.streams) != streams {
		return fmt.Errorf("%d streams are left of %d", len(r.streams), streams)
	}
	for _, s := range r.streams {
		if s.delivered != events {
			return fmt.Errorf("a reader got %d events of %d", s.delivered, events)
		}
	}
	return nil
}

func (r *readers) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.delivered
}

// await looks every few milliseconds whether something has come true.
func (r *readers) await(ctx context.Context, most time.Duration, true func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !true() {
		if n := r.lost.Load(); n > 0 {
			return fmt.Errorf("%d streams were refused or ended, the first: %w", n, r.reason())
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (r *readers) reason() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.why
}

// close ends the thread and its streams.
func (r *readers) close() error {
	r.stopped.Store(true)
	err := <-r.done
	for fd := range r.streams {
		_ = unix.Close(int(fd))
	}
	return errors.Join(err, unix.Close(r.poll))
}
