package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/sys/unix"
)

// drainTimeout is how long readers may take to get the rest.
const drainTimeout = 20 * time.Second

// measureFanout publishes at fixed rates to a group of readers. The publisher
// waits for nobody, and an alarm's time runs from when it was due, so
// that a server that falls behind cannot hide it.
func measureFanout(ctx context.Context, b *bench) error {
	for _, kind := range []transport{overSSE, overWS} {
		if err := b.fanoutOver(ctx, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (b *bench) fanoutOver(ctx context.Context, kind transport) error {
	readers := pick(b, 50, 1000)
	s, r, leave, err := b.stage(ctx)
	if err != nil {
		return err
	}
	defer leave()
	before, err := s.memory()
	if err != nil {
		return err
	}
	if err := r.join(ctx, s, crowd{kind: kind, to: readers, ahead: 50}); err != nil {
		return err
	}
	after, err := s.memory()
	if err != nil {
		return err
	}
	b.add(fmt.Sprintf("%s, the server alone", kind), "MiB", float64(before)/(1<<20))
	b.add(fmt.Sprintf("%s, a stream, of %d", kind, readers), "KiB", float64(after-before)/1024/float64(readers))
	for rung, rate := range pick(b, []int{5, 50}, []int{5, 50, 100, 200, 500}) {
		if err := b.rung(ctx, s, r, kind, rung+1, rate, readers); err != nil {
			return err
		}
	}
	return nil
}

// stage starts a server and the readers' thread. With two cores or more the
// server has the first for itself and the load the second.
func (b *bench) stage(ctx context.Context) (*server, *readers, func(), error) {
	serverCore, loadCore := -1, -1
	if runtime.NumCPU() > 1 {
		serverCore, loadCore = 0, 1
	}
	s, err := b.startServer(ctx, serverCore)
	if err != nil {
		return nil, nil, nil, err
	}
	restore := func() {}
	if loadCore >= 0 {
		restore, err = moveTo(loadCore)
	}
	var r *readers
	if err == nil {
		r, err = newReaders(loadCore)
	}
	if err != nil {
		return nil, nil, nil, errors.Join(err, s.stop())
	}
	return s, r, func() {
		_ = r.close()
		restore()
		_ = s.stop()
	}, nil
}

// rung measures at one rate.
func (b *bench) rung(ctx context.Context, s *server, r *readers, kind transport, rung, rate, readers int) error {
	span := pick(b, time.Second, 5*time.Second)
	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	p, err := publish(ctx, s, r, rung, rate, span)
	if err != nil {
		return err
	}
	sent := max(span, time.Since(begin)) // the last alarm stands for its share of the span
	stored := int(p.answered.TotalCount())
	want := stored * readers
	late := r.await(ctx, drainTimeout, func() bool { return r.count() >= want })
	all := max(span, time.Since(begin))
	used, err := s.cpu()
	if err != nil {
		return err
	}
	used -= cpu
	got := r.count()
	name := func(what string) string { return fmt.Sprintf("%s, %d/s to %d readers: %s", kind, rate, readers, what) }
	b.add(name("published"), "alarms/s", float64(stored)/sent.Seconds())
	if p.refused > 0 {
		b.add(name("not published"), "alarms", float64(p.refused))
	}
	b.add(name("delivered"), "events/s", float64(got)/all.Seconds())
	b.addLatency(name("publish to receive"), r.latencies(), 50, 99, 99.9)
	b.addLatency(name("publish to answer"), p.answered, 50, 99)
	b.add(name("the last one came after"), "s", all.Seconds())
	b.add(name("server's processor"), "%", 100*used.Seconds()/all.Seconds())
	b.add(name("server, a delivery"), "µs", float64(used.Microseconds())/float64(max(got, 1)))
	if got < want || got > want+p.refused*readers { // what had no good answer may be stored
		return errors.Join(late, fmt.Errorf("%d events were delivered of %d", got, want))
	}
	if p.refused > 0 {
		b.say("  more than this machine carries: %v\n", p.err)
	}
	return nil
}

// A publication is one rung's publisher.
type publication struct {
	s    *server
	r    *readers
	rung int

	mu       sync.Mutex
	idle     []*client // the last to be answered on top: as few connections as it takes
	answered *hdrhistogram.Histogram
	refused  int
	err      error // of one that was refused
}

// publish sends at the rate for the span, whatever the server does. What it
// answers is timed from when the alarm was due.
func publish(ctx context.Context, s *server, r *readers, rung, rate int, span time.Duration) (*publication, error) {
	p := &publication{s: s, r: r, rung: rung, answered: newHistogram()}
	n := int(float64(rate) * span.Seconds())
	begin := time.Since(r.began)
	var all sync.WaitGroup
	for i := range n {
		due := begin + time.Duration(i)*time.Second/time.Duration(rate)
		time.Sleep(due - time.Since(r.began))
		// Ends with the answer, which has a deadline.
		all.Go(func() { p.one(ctx, i, due) })
	}
	all.Wait()
	for _, c := range p.idle {
		c.close()
	}
	return p, ctx.Err()
}

// one publishes the i-th alarm over a connection that is idle, or a new one.
func (p *publication) one(ctx context.Context, i int, due time.Duration) {
	c, err := p.take(ctx)
	if err == nil {
		err = c.publish(event(nil, fmt.Sprintf("fanout-%d-%d", p.rung, i), mark(p.rung, due)), 1)
	}
	if err != nil && c != nil {
		c.close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.refused, p.err = p.refused+1, err
		return
	}
	p.idle = append(p.idle, c)
	record(p.answered, time.Since(p.r.began)-due)
}

func (p *publication) take(ctx context.Context) (*client, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		defer p.mu.Unlock()
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	p.mu.Unlock()
	return p.s.dial(ctx)
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
