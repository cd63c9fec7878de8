package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"strconv"
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
	rung      int
	delivered int
	took      *hdrhistogram.Histogram
	why       error // the first stream that was lost

	stopped atomic.Bool
	done    chan error
}

// A mark stands in an alarm's message: the rung of the ladder, and when the alarm
// was due to be sent, in nanoseconds since the readers began.
var markBegin = []byte("sent@")

func mark(rung int, due time.Duration) string {
	return fmt.Sprintf("sent@%d.%d;", rung, due.Nanoseconds())
}

// newReaders starts the thread; there are no streams yet.
func newReaders(core int) (*readers, error) {
	r := &readers{began: time.Now(), streams: map[int32]*stream{}, buf: make([]byte, 256<<10), took: newHistogram(), done: make(chan error, 1)}
	var err error
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	// Ends with close.
	go func() { r.done <- r.run(core) }()
	return r, nil
}

// A crowd is who connects: users of the group with numbers of their own, all of
// the same kind.
type crowd struct {
	kind     transport
	from, to int    // the users' numbers
	cursor   string // where they begin; "" is behind the newest entry
	ahead    int    // how many may be connected that nobody has greeted yet
}

// requests are made beforehand where the time of connecting counts: signing the
// tokens costs the load more than connecting does.
func (c crowd) requests(s *server) ([][]byte, error) {
	if err := allowFiles(uint64(c.to) + 8192); err != nil {
		return nil, err
	}
	all := make([][]byte, 0, c.to-c.from)
	for i := c.from; i < c.to; i++ {
		token, err := s.token(fmt.Sprint("reader-", i), group, "inbox")
		if err != nil {
			return nil, err
		}
		all = append(all, c.kind.request(s.addr, token, c.cursor))
	}
	return all, nil
}

// connect connects the crowd and waits until each is greeted. Held polls are not
// greeted: when they are there, only the server can say.
func (r *readers) connect(ctx context.Context, s *server, c crowd, requests [][]byte) error {
	addr, err := netip.ParseAddrPort(s.addr)
	if err != nil {
		return err
	}
	before := int(r.greeted.Load())
	for i, request := range requests {
		if err = r.open(addr, c, request); err == nil && c.kind != overPoll && i >= c.ahead {
			err = r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load())-before >= i-c.ahead })
		}
		if err != nil {
			return fmt.Errorf("connect reader %d: %w", c.from+i, err)
		}
	}
	if c.kind == overPoll {
		return s.awaitPolls(ctx, len(requests))
	}
	return r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load())-before == len(requests) })
}

// join is requests and connect.
func (r *readers) join(ctx context.Context, s *server, c crowd) error {
	requests, err := c.requests(s)
	if err != nil {
		return err
	}
	return r.connect(ctx, s, c, requests)
}

// open connects one stream.
func (r *readers) open(to netip.AddrPort, c crowd, request []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err == nil {
		_, err = unix.Write(fd, request) // small enough to be taken whole
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	r.mu.Lock()
	r.streams[int32(fd)] = &stream{fd: fd, kind: c.kind, cursor: c.cursor}
	r.mu.Unlock()
	return unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
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
	n, err := unix.Read(int(fd), r.buf)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err == nil {
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
	r.scratch = append(append(r.scratch[:0], s.rest...), text...)
	if !s.greeted && s.kind != overPoll && bytes.Contains(r.scratch, s.kind.greeting()) {
		s.greeted = true
		r.greeted.Add(1)
	}
	s.rest = append(s.rest[:0], r.scan(s, r.scratch, now)...)
}

// scan records all marks and returns the end of the text that may begin another.
func (r *readers) scan(s *stream, text []byte, now time.Duration) []byte {
	for {
		i := bytes.Index(text, markBegin)
		if i < 0 {
			return text[max(0, len(text)-len(s.kind.greeting())+1):]
		}
		end := bytes.IndexByte(text[i:], ';')
		if end < 0 {
			return text[i:]
		}
		rung, due, _ := bytes.Cut(text[i+len(markBegin):i+end], []byte("."))
		if string(rung) == strconv.Itoa(r.rung) {
			ns, _ := strconv.ParseInt(string(due), 10, 64)
			record(r.took, now-time.Duration(ns))
			r.delivered++
			s.delivered++
		}
		text = text[i+end:]
	}
}

// begin starts to count for a rung.
func (r *readers) begin(rung int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rung, r.delivered, r.took = rung, 0, newHistogram()
	for _, s := range r.streams {
		s.delivered = 0
	}
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

// latencies are those of the rung until now.
func (r *readers) latencies() *hdrhistogram.Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	return hdrhistogram.Import(r.took.Export())
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

// allowFiles raises the number of files that this process may open.
func allowFiles(n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("ask how many files may be open: %w", err)
	}
	if l.Cur >= n {
		return nil
	}
	l.Cur = n
	l.Max = max(l.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("allow %d open files: %w", n, err)
	}
	return nil
}
