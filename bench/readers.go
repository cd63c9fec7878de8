package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// readers are many SSE clients in one thread: it waits for all sockets at once
// and only looks for the mark that every alarm carries, so that the load does not
// take the processor from what it measures.
type readers struct {
	began time.Time
	poll  int // the epoll's descriptor
	rest  map[int32][]byte
	buf   []byte

	greeted, lost atomic.Int64 // streams that said hello, and that ended

	mu        sync.Mutex
	rung      int
	delivered int
	took      *hdrhistogram.Histogram

	stopped atomic.Bool
	done    chan error
}

// A mark stands in an alarm's message: the rung of the ladder, and when the alarm
// was due to be sent, in nanoseconds since the readers began.
var markBegin = []byte("sent@")

func mark(rung int, due time.Duration) string {
	return fmt.Sprintf("sent@%d.%d;", rung, due.Nanoseconds())
}

// openReaders connects as many users of the group, each with a stream.
func openReaders(ctx context.Context, s *server, n, core int) (*readers, error) {
	addr, err := netip.ParseAddrPort(s.addr)
	if err != nil {
		return nil, err
	}
	if err := allowFiles(uint64(n) + 8192); err != nil {
		return nil, err
	}
	r := &readers{began: time.Now(), rest: map[int32][]byte{}, buf: make([]byte, 256<<10), took: newHistogram(), done: make(chan error, 1)}
	if r.poll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make an epoll: %w", err)
	}
	// Ends with close.
	go func() { r.done <- r.run(core) }()
	for i := range n {
		token, err := s.token(fmt.Sprint("reader-", i), group, "inbox")
		if err == nil {
			err = r.connect(addr, token)
		}
		if err == nil && i%50 == 49 {
			err = r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load()) > i })
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connect reader %d: %w", i, err), r.close())
		}
	}
	return r, r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load()) == n })
}

func (r *readers) connect(to netip.AddrPort, token string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	request := fmt.Appendf(nil, "GET /v1/inbox/sse HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: text/event-stream\r\n\r\n", to, token)
	if err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err == nil {
		_, err = unix.Write(fd, request) // small enough to be taken whole
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err == nil {
		err = unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
	}
	if err != nil {
		_ = unix.Close(fd)
	}
	return err
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
	for fd := range r.rest {
		_ = unix.Close(int(fd))
	}
	return nil
}

// read takes what one stream has. What may be the beginning of a mark is kept
// for the next time.
func (r *readers) read(fd int32) {
	kept := copy(r.buf, r.rest[fd])
	n, err := unix.Read(int(fd), r.buf[kept:])
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return
	}
	if err != nil || n == 0 {
		r.lost.Add(1)
		_ = unix.Close(int(fd))
		delete(r.rest, fd)
		return
	}
	if _, known := r.rest[fd]; !known {
		if bytes.Contains(r.buf[:n], []byte("event: hello")) {
			r.greeted.Add(1)
		} else {
			r.lost.Add(1) // refused: its answer came whole, and is no stream
		}
	}
	text := r.scan(r.buf[:kept+n])
	r.rest[fd] = append(r.rest[fd][:0], text...)
}

// scan records all marks and returns the end of the text that may begin another.
func (r *readers) scan(text []byte) []byte {
	now := time.Since(r.began)
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		i := bytes.Index(text, markBegin)
		if i < 0 {
			return text[max(0, len(text)-len(markBegin)+1):]
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
		}
		text = text[i+end:]
	}
}

// begin starts to count for a rung.
func (r *readers) begin(rung int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rung, r.delivered, r.took = rung, 0, newHistogram()
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
			return fmt.Errorf("%d streams were refused or ended", n)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// close ends the thread and its streams.
func (r *readers) close() error {
	r.stopped.Store(true)
	return errors.Join(<-r.done, unix.Close(r.poll))
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
