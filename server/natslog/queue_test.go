package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// attempt is one call of do.
type attempt struct {
	data    string
	attempt int
	at      time.Time
}

func openQueue(t *testing.T, l *natslog.Log, c natslog.QueueConfig) *natslog.Queue {
	t.Helper()
	c.Name = "q"
	q, err := l.Queue(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return q
}

func putJob(t *testing.T, q *natslog.Queue, id string) {
	t.Helper()
	if err := q.Put(t.Context(), id, []byte(id)); err != nil {
		t.Fatal(err)
	}
}

// run runs the queue until stop is called, which waits for it; every attempt is
// sent, then answered by do.
func run(t *testing.T, q *natslog.Queue, do func(context.Context, natslog.Job) error) (attempts <-chan attempt, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	seen, done := make(chan attempt, 1000), make(chan error, 1)
	go func() { // ends with ctx, or with the log
		done <- q.Run(ctx, func(ctx context.Context, job natslog.Job) error {
			seen <- attempt{string(job.Data), job.Attempt, time.Now()}
			return do(ctx, job)
		})
	}()
	return seen, func() {
		cancel()
		if err := wait(t, done); !errors.Is(err, context.Canceled) && !errors.Is(err, inbox.ErrUnavailable) {
			t.Errorf("Run said %v", err)
		}
	}
}

func succeed(context.Context, natslog.Job) error { return nil }

var errDown = errors.New("the other side is down")

func fail(context.Context, natslog.Job) error { return errDown }

func TestQueueTriesAgainByBackoffAndHoldsUpNothing(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	q := openQueue(t, l, natslog.QueueConfig{Workers: 1, Backoff: []time.Duration{100 * time.Millisecond, 300 * time.Millisecond}})
	for _, id := range []string{"bad", "good", "dropped"} {
		putJob(t, q, id)
	}
	attempts, stop := run(t, q, func(_ context.Context, job natslog.Job) error {
		switch {
		case string(job.Data) == "dropped":
			return fmt.Errorf("nobody wants it: %w", natslog.ErrDrop)
		case string(job.Data) == "bad" && job.Attempt < 4:
			return errDown
		}
		return nil
	})
	defer stop()
	var last time.Time
	for n, want := range []attempt{
		{data: "bad", attempt: 1}, {data: "good", attempt: 1}, {data: "dropped", attempt: 1},
		{data: "bad", attempt: 2}, {data: "bad", attempt: 3}, {data: "bad", attempt: 4},
	} {
		got := wait(t, attempts)
		if got.data != want.data || got.attempt != want.attempt {
			t.Fatalf("attempt %d was %+v, want %+v", n, got, want)
		}
		pause := []time.Duration{0, 0, 0, 0, 300 * time.Millisecond, 300 * time.Millisecond}[n]
		if got.at.Sub(last) < pause*9/10 {
			t.Errorf("attempt %d of %s came after %v, the pause is %v", got.attempt, got.data, got.at.Sub(last), pause)
		}
		last = got.at
	}
	putJob(t, q, "end")
	if got := wait(t, attempts); got.data != "end" {
		t.Errorf("what was done or dropped came again: %+v", got)
	}
}

func TestQueueKnowsAnID(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	q := openQueue(t, l, natslog.QueueConfig{Workers: 1})
	attempts, stop := run(t, q, succeed)
	defer stop()
	putJob(t, q, "one")
	if got := wait(t, attempts); got.data != "one" {
		t.Fatalf("got %+v", got)
	}
	putJob(t, q, "one")
	putJob(t, q, "two")
	if got := wait(t, attempts); got.data != "two" {
		t.Errorf("got %+v", got)
	}
}

func TestQueueLosesNothingByARestartInMidRetry(t *testing.T) {
	dir := t.TempDir()
	c := natslog.QueueConfig{Backoff: []time.Duration{time.Second}, AckWait: time.Second}
	first := open(t, natslog.Options{Dir: dir})
	q := openQueue(t, first, c)
	for n := range 10 {
		putJob(t, q, fmt.Sprint(n))
	}
	attempts, stop := run(t, q, fail)
	for range 10 {
		wait(t, attempts)
	}
	stop()
	shut(t, first)

	q = openQueue(t, open(t, natslog.Options{Dir: dir}), c)
	attempts, stop = run(t, q, succeed)
	defer stop()
	done := map[string]bool{}
	for len(done) < 10 {
		got := wait(t, attempts)
		if got.attempt < 2 || done[got.data] {
			t.Errorf("after the restart: %+v", got)
		}
		done[got.data] = true
	}
}

// The engine goes away while a job is being done, as a kill would have it: it was
// not said how it went.
func TestQueueDoesAgainWhatWasCutOff(t *testing.T) {
	dir := t.TempDir()
	c := natslog.QueueConfig{Workers: 1, AckWait: time.Second}
	first := open(t, natslog.Options{Dir: dir})
	q := openQueue(t, first, c)
	putJob(t, q, "cut off")
	release := make(chan struct{})
	attempts, stop := run(t, q, func(context.Context, natslog.Job) error { <-release; return nil })
	wait(t, attempts)
	shut(t, first)
	close(release)
	stop()

	attempts, stop = run(t, openQueue(t, open(t, natslog.Options{Dir: dir}), c), succeed)
	defer stop()
	if got := wait(t, attempts); got.data != "cut off" || got.attempt != 2 {
		t.Errorf("got %+v", got)
	}
}

func TestQueueIsSharedByTwoRunners(t *testing.T) {
	url := serve(t)
	var done [2]atomic.Int32
	var counted [2]<-chan attempt
	const jobs = 200
	met := make(chan struct{})
	var once sync.Once
	for n := range counted {
		q := openQueue(t, open(t, natslog.Options{URL: url}), natslog.QueueConfig{})
		var stop func()
		counted[n], stop = run(t, q, func(context.Context, natslog.Job) error {
			// Neither may do everything alone: each waits for the other's first.
			if done[n].Add(1); done[1-n].Load() > 0 {
				once.Do(func() { close(met) })
			}
			select {
			case <-met:
				return nil
			case <-time.After(limit):
				return natslog.ErrDrop
			}
		})
		defer stop()
		if n == 0 {
			for i := range jobs {
				putJob(t, q, fmt.Sprint(i))
			}
		}
	}
	seen := map[string]bool{}
	for len(seen) < jobs {
		var a attempt
		select {
		case a = <-counted[0]:
		case a = <-counted[1]:
		case <-time.After(limit):
			t.Fatalf("%d of %d were done", len(seen), jobs)
		}
		if seen[a.data] {
			t.Errorf("%s was done twice", a.data)
		}
		seen[a.data] = true
	}
}

func TestQueueKeepsALongJobWithItsRunner(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	q := openQueue(t, l, natslog.QueueConfig{AckWait: 300 * time.Millisecond})
	putJob(t, q, "long")
	attempts, stop := run(t, q, func(ctx context.Context, _ natslog.Job) error {
		select { // three times as long as the engine waits for a sign of life
		case <-time.After(900 * time.Millisecond):
		case <-ctx.Done():
		}
		return nil
	})
	defer stop()
	wait(t, attempts)
	select {
	case again := <-attempts:
		t.Errorf("it was begun again: %+v", again)
	case <-time.After(1200 * time.Millisecond):
	}
}

func TestQueueHandsOnAtOnceWhatARunnerLeaves(t *testing.T) {
	url := serve(t)
	c := natslog.QueueConfig{AckWait: time.Hour, Backoff: []time.Duration{time.Hour}}
	q := openQueue(t, open(t, natslog.Options{URL: url}), c)
	putJob(t, q, "left")
	attempts, stop := run(t, q, func(ctx context.Context, _ natslog.Job) error { <-ctx.Done(); return ctx.Err() })
	wait(t, attempts)
	stop()
	attempts, stop = run(t, openQueue(t, open(t, natslog.Options{URL: url}), c), succeed)
	defer stop()
	if got := wait(t, attempts); got.attempt != 2 {
		t.Errorf("got %+v", got)
	}
}
