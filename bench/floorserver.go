package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// A floorServer is what any server on this machine has to do at least: it accepts
// connections, has a goroutine blocked in Read for each, and writes what it is
// posted to all of a group by one pool of goroutines. It keeps nothing, looks at
// nobody's token and decides nothing.
type floorServer struct {
	mu     sync.Mutex
	groups map[string][]net.Conn
	jobs   chan job
}

// A job is one message for some of its readers.
type job struct {
	to      []net.Conn
	message []byte
}

// The pool: so many goroutines, each taking so many connections at once.
const (
	floorPool  = 4
	floorShare = 64
)

// floorMain is this program as a process of its own, until it is terminated.
func floorMain() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	streams, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	posts, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	f := &floorServer{groups: map[string][]net.Conn{}, jobs: make(chan job, 1<<16)}
	for range floorPool {
		go f.write() // ends with the process
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /write", f.post)
	mux.HandleFunc("GET /answer", f.answer)
	mux.HandleFunc("POST /collect", func(http.ResponseWriter, *http.Request) { debug.FreeOSMemory() })
	web := http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(posts) }() // ends with the process
	go f.accept(streams)                 // ends with the process
	line, err := json.Marshal(map[string]string{"msg": "serving", "http": posts.Addr().String(), "ops": streams.Addr().String()})
	if err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "%s\n", line)
	<-ctx.Done()
	return nil
}

func (f *floorServer) accept(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go f.stream(c) // ends with the first line
	}
}

// stream reads who it is. What waits for the end is another goroutine, whose stack
// has never been larger than that takes.
func (f *floorServer) stream(c net.Conn) {
	group, ok := f.join(c)
	if !ok {
		_ = c.Close()
		return
	}
	go f.wait(c, group) // ends with the connection
}

// wait blocks in Read until the connection ends.
func (f *floorServer) wait(c net.Conn, group string) {
	var one [16]byte
	for {
		if _, err := c.Read(one[:]); err != nil {
			f.leave(c, group)
			_ = c.Close()
			return
		}
	}
}

// join has a buffer of its own, which goes when it returns.
func (f *floorServer) join(c net.Conn) (group string, ok bool) {
	var line [128]byte
	size, err := c.Read(line[:])
	if err != nil {
		return "", false
	}
	behind := 0
	text := string(line[:size])
	if _, err := fmt.Sscan(text, &group, &behind); err != nil {
		return "", false
	}
	greeting := make([]byte, 6+behind)
	for i := copy(greeting, "hello\n"); i < len(greeting); i++ {
		greeting[i] = '.'
	}
	if _, err := c.Write(greeting); err != nil {
		return "", false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.groups[group] = append(f.groups[group], c)
	return group, true
}

func (f *floorServer) leave(c net.Conn, group string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var rest []net.Conn // others may be reading the old one
	for _, other := range f.groups[group] {
		if other != c {
			rest = append(rest, other)
		}
	}
	f.groups[group] = rest
}

// post hands a message to the pool.
func (f *floorServer) post(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(bufio.NewReaderSize(r.Body, 1<<10))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	to := f.groups[r.FormValue("to")]
	f.mu.Unlock()
	for len(to) > 0 {
		n := min(floorShare, len(to))
		f.jobs <- job{to[:n], body}
		to = to[n:]
	}
	_, _ = io.WriteString(w, `{"ok":true}`) // the client may have gone
}

func (f *floorServer) write() {
	for j := range f.jobs {
		for _, c := range j.to {
			_, _ = c.Write(j.message) // who has gone is told so by Read
		}
	}
}

// answer writes so many bytes, like a poll that finds nothing.
func (f *floorServer) answer(w http.ResponseWriter, r *http.Request) {
	n := 0
	_, _ = fmt.Sscan(r.FormValue("bytes"), &n) // 0 is an answer as well
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(dots[:min(n, len(dots))])
}

var dots = bytes.Repeat([]byte("."), 4096)
