package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tocsin/server/auth"
)

// Times that a server may take.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// Who the benchmarks are. Devices that the directory does not know belong to the
// unassigned group, so that nothing has to be set up.
const (
	publisher = "bench"
	group     = "unassigned"
)

// A server is a running `tocsin serve` on a data directory of its own.
type server struct {
	dir    string
	secret []byte
	addr   string // host:port
	ops    string // of its metrics
	cmd    *exec.Cmd
	done   chan struct{} // closed when the process has ended
	last   bytes.Buffer  // what it said; read it after done
}

// startServer returns once the server serves. With a core it runs on that one
// only; -1 is any. Whoever starts one stops it.
func (b *bench) startServer(ctx context.Context, core int, flags ...string) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "server")
	if err != nil {
		return nil, err
	}
	s := &server{dir: dir, secret: []byte("the secret of a benchmark, at least 32 bytes"), done: make(chan struct{})}
	secretFile := filepath.Join(dir, "secret")
	if err := os.WriteFile(secretFile, s.secret, 0o600); err != nil {
		return nil, err
	}
	s.cmd = exec.Command(b.binary, append([]string{"serve", "--data", s.data(),
		"--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--jwt-hs256-file", secretFile,
		"--drain", "0s", "--stream-lifetime", "1h", "--device-time", "trust", "--log-format", "json"}, flags...)...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(core, s.cmd); err != nil {
		return nil, fmt.Errorf("start the server: %w", err)
	}
	serving := make(chan [2]string, 1)
	// Ends with the process, which closes its standard error.
	go func() {
		defer close(s.done)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			var line struct{ Msg, HTTP, Ops string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- [2]string{line.HTTP, line.Ops}
			}
			if s.last.Len() < 1<<16 {
				s.last.Write(append(in.Bytes(), '\n'))
			}
		}
		_ = s.cmd.Wait() // how it ended is seen in what it said
	}()
	select {
	case at := <-serving:
		s.addr, s.ops = at[0], at[1]
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("the server ended:\n%s", &s.last)
	case <-time.After(startTimeout):
		err = errors.New("the server does not come up")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, s.stop())
}

// stop ends the process, and waits for it.
func (s *server) stop() error {
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-s.done:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = s.cmd.Process.Kill()
	<-s.done
	return fmt.Errorf("the server had to be killed:\n%s", &s.last)
}

func (s *server) data() string { return filepath.Join(s.dir, "data") }

// token speaks for a user with the group.
func (s *server) token(user, group, scope string) (string, error) {
	return auth.Sign(s.secret, auth.Issue{User: user, Groups: []string{group}, Scope: scope, TTL: time.Hour}, time.Now())
}

// cpu is the processor time that the process has used. Its clock is asked, since
// /proc counts in hundredths of a second, in which thousands of readers are served.
func (s *server) cpu() (time.Duration, error) {
	const sched = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, to the nanosecond
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^s.cmd.Process.Pid<<3|sched), &t); err != nil {
		return 0, fmt.Errorf("ask for the server's processor time: %w", err)
	}
	return time.Duration(t.Nano()), nil
}

// memory is what the process has in memory, in bytes.
func (s *server) memory() (int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	return pages * os.Getpagesize(), err
}

// startOn starts the process on one core, which a child inherits from the thread
// that starts it.
func startOn(core int, cmd *exec.Cmd) error {
	if core < 0 {
		return cmd.Start()
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("ask for the cores: %w", err)
	}
	one.Set(core)
	if err := unix.SchedSetaffinity(0, &one); err != nil {
		return fmt.Errorf("choose a core: %w", err)
	}
	err := cmd.Start()
	return errors.Join(err, unix.SchedSetaffinity(0, &before))
}
