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
)

// Times that a process may take.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 20 * time.Second
)

// A process is what is measured: one of Tocsin, the floor or a peer.
type process struct {
	addr string // host:port, where publishers and readers connect
	ops  string // host:port of its metrics, if it has any
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	last bytes.Buffer  // what it said; read it after done
}

// startProcess returns once the process has said on its standard error that it is
// serving, and where, as a line of JSON. With a core it runs on that one only; -1
// is any. Whoever starts one stops it.
func startProcess(ctx context.Context, core int, cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := startOn(core, cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	serving := make(chan [2]string, 1)
	// Ends with the process, which closes its standard error.
	go func() {
		defer close(p.done)
		for in := bufio.NewScanner(stderr); in.Scan(); {
			var line struct{ Msg, HTTP, Ops string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "serving" {
				serving <- [2]string{line.HTTP, line.Ops}
			}
			if p.last.Len() < 1<<16 {
				p.last.Write(append(in.Bytes(), '\n'))
			}
		}
		_ = cmd.Wait() // how it ended is seen in what it said
	}()
	select {
	case at := <-serving:
		p.addr, p.ops = at[0], at[1]
		return p, nil
	case <-p.done:
		return nil, fmt.Errorf("%s ended:\n%s", cmd.Path, &p.last)
	case <-time.After(startTimeout):
		err = errors.New("it does not come up")
	case <-ctx.Done():
		err = ctx.Err()
	}
	return nil, errors.Join(err, p.stop())
}

// stop ends the process, and waits for it.
func (p *process) stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended by itself
	select {
	case <-p.done:
		return nil
	case <-time.After(stopTimeout):
	}
	_ = p.cmd.Process.Kill()
	<-p.done
	return fmt.Errorf("%s had to be killed:\n%s", p.cmd.Path, &p.last)
}

// cpu is the processor time that the process has used, and those that it started.
// The process's clock is asked, since /proc counts in hundredths of a second, in
// which thousands of readers are served.
func (p *process) cpu() (time.Duration, error) {
	var all time.Duration
	for _, pid := range p.family() {
		const sched = 2 // CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, to the nanosecond
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|sched), &t); err != nil {
			return 0, fmt.Errorf("ask for the processor time of %d: %w", pid, err)
		}
		all += time.Duration(t.Nano())
	}
	return all, nil
}

// memory is what the process, and those that it started, have in memory, in bytes.
func (p *process) memory() (int, error) {
	all := 0
	for _, pid := range p.family() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		if err != nil {
			return 0, err
		}
		pages, err := strconv.Atoi(strings.Fields(string(text))[1])
		if err != nil {
			return 0, err
		}
		all += pages * os.Getpagesize()
	}
	return all, nil
}

// family is the process and its children, as nginx has them.
func (p *process) family() []int {
	pid := p.cmd.Process.Pid
	all := []int{pid}
	lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid)) // the pattern is well formed
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended has no children
		}
		for _, word := range strings.Fields(string(text)) {
			if child, err := strconv.Atoi(word); err == nil {
				all = append(all, child)
			}
		}
	}
	return all
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

// moveTo moves this process to one core; restore gives it all of them back.
func moveTo(core int) (restore func(), err error) {
	var before, one unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("ask for the cores: %w", err)
	}
	one.Set(core)
	return func() { _ = moveThreads(&before) }, moveThreads(&one)
}

// moveThreads moves all threads there are; those to come inherit it.
func moveThreads(set *unix.CPUSet) error {
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	for _, t := range threads {
		id, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, set); err != nil && !errors.Is(err, os.ErrProcessDone) && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("choose a core: %w", err)
		}
	}
	return nil
}
