package natslog_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

func openMarks(t *testing.T, l *natslog.Log) inbox.Marks {
	t.Helper()
	m, err := l.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// raise counts a mark up by one.
func raise(m inbox.Mark) (inbox.Mark, error) {
	m.Upto++
	return m, nil
}

func TestMarksLoseNoUpdate(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	marks := openMarks(t, l)
	const updaters, rounds = 16, 20
	var wg sync.WaitGroup
	for range updaters {
		wg.Go(func() {
			for range rounds {
				if _, err := marks.Update(t.Context(), "ann @ home", raise); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if m, err := marks.Update(t.Context(), "ann @ home", raise); err != nil || m.Upto != updaters*rounds+1 {
		t.Errorf("got %+v, %v", m, err)
	}
}

func TestMarksReturnTheErrorOfChange(t *testing.T) {
	marks := openMarks(t, open(t, natslog.Options{Dir: t.TempDir()}))
	no := errors.New("no")
	if _, err := marks.Update(t.Context(), "ann", func(m inbox.Mark) (inbox.Mark, error) { return m, no }); err != no {
		t.Errorf("got %v", err)
	}
	if m, err := marks.Update(t.Context(), "ann", raise); err != nil || m.Upto != 1 {
		t.Errorf("something was stored: %+v, %v", m, err)
	}
}

func TestMarksWatch(t *testing.T) {
	dir := t.TempDir()
	first := open(t, natslog.Options{Dir: dir})
	for _, user := range []string{"u0", "u1", "u2"} {
		if _, err := openMarks(t, first).Update(t.Context(), user, raise); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, first)

	marks := openMarks(t, open(t, natslog.Options{Dir: dir}))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	type seen struct {
		user string
		mark inbox.Mark
	}
	events, done := make(chan seen, 16), make(chan error, 1)
	go func() { // ends with ctx
		done <- marks.Watch(ctx, func() { events <- seen{user: "present"} },
			func(user string, m inbox.Mark) { events <- seen{user, m} })
	}()
	for _, want := range []string{"u0", "u1", "u2", "present"} {
		if got := wait(t, events); got.user != want {
			t.Fatalf("got %+v, want %s", got, want)
		}
	}
	want := inbox.Mark{Epoch: "e1", Upto: 7, Read: map[string]uint64{"alarm.a.b.c": 9}}
	if _, err := marks.Update(t.Context(), "", func(inbox.Mark) (inbox.Mark, error) { return want, nil }); err != nil {
		t.Fatal(err)
	}
	if got := wait(t, events); got.user != "" || got.mark.Epoch != "e1" || got.mark.Upto != 7 || got.mark.Read["alarm.a.b.c"] != 9 {
		t.Errorf("got %+v", got)
	}
	cancel()
	if err := wait(t, done); err != context.Canceled {
		t.Errorf("Watch said %v", err)
	}
}

func TestLeaseIsHeldByOneAndHandedOn(t *testing.T) {
	url := serve(t)
	const ttl = 5 * time.Second
	var holders, turns atomic.Int32
	var wg sync.WaitGroup
	begin := time.Now()
	for range 3 {
		l := open(t, natslog.Options{URL: url})
		lease, err := l.Lease(t.Context(), "worker", ttl)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			if err := lease.Hold(t.Context(), func(context.Context) {
				if holders.Add(1) > 1 {
					t.Error("two hold the lease")
				}
				turns.Add(1)
				holders.Add(-1)
			}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); turns.Load() != 3 || took > ttl {
		t.Errorf("%d turns in %v: a lease that is given back must not expire first", turns.Load(), took)
	}
}

func TestLeaseIsRenewed(t *testing.T) {
	url := serve(t)
	a := open(t, natslog.Options{URL: url})
	b := open(t, natslog.Options{URL: url})
	const ttl = time.Second
	first, err := a.Lease(t.Context(), "worker", ttl)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Lease(t.Context(), "worker", ttl)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*ttl)
	defer cancel()
	holding, done := make(chan struct{}), make(chan error, 1)
	go func() { // ends with ctx
		done <- first.Hold(ctx, func(held context.Context) { close(holding); <-held.Done() })
	}()
	wait(t, holding)
	if err := second.Hold(ctx, func(context.Context) { t.Error("the lease was taken from its holder") }); err != context.DeadlineExceeded {
		t.Errorf("the second said %v", err)
	}
	if err := wait(t, done); err != context.DeadlineExceeded {
		t.Errorf("the first said %v", err)
	}
}

func TestLeaseIsLostInTime(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, t.TempDir())
	l := open(t, natslog.Options{URL: s.ClientURL()})
	const ttl = time.Second
	lease, err := l.Lease(t.Context(), "worker", ttl)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	lost, done := make(chan time.Duration, 1), make(chan error, 1)
	go func() { // ends with ctx
		done <- lease.Hold(ctx, func(held context.Context) {
			s.Shutdown()
			began := time.Now()
			<-held.Done()
			lost <- time.Since(began)
		})
	}()
	if after := wait(t, lost); after > ttl {
		t.Errorf("the holder learnt after %v that its lease of %v was lost", after, ttl)
	}
	cancel()
	if err := wait(t, done); err != context.Canceled {
		t.Errorf("Hold said %v", err)
	}
}
