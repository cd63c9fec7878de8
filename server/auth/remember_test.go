package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A keeper knows sessions, as far as it answers.
type keeper struct {
	asked atomic.Int64
	down  atomic.Bool
	gone  atomic.Bool   // nobody is logged in any more
	wait  time.Duration // before each answer
	most  atomic.Int64  // at a time
	now   atomic.Int64
}

func (k *keeper) Resolve(ctx context.Context, session string) (Identity, error) {
	k.asked.Add(1)
	if n := k.now.Add(1); n > k.most.Load() {
		k.most.Store(n)
	}
	defer k.now.Add(-1)
	select {
	case <-time.After(k.wait):
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("%w: %w", ErrUnavailable, ctx.Err())
	}
	switch {
	case k.down.Load():
		return Identity{}, fmt.Errorf("%w: down", ErrUnavailable)
	case k.gone.Load() || session == "bad":
		return Identity{}, invalid("nobody's")
	}
	return Identity{User: "u-" + session}, nil
}

func (k *keeper) wants(t *testing.T, asked int64) {
	t.Helper()
	if n := k.asked.Load(); n != asked {
		t.Errorf("asked %d times, want %d", n, asked)
	}
}

func wantUser(t *testing.T, r Resolver, session, user string, want error) {
	t.Helper()
	id, err := r.Resolve(t.Context(), session)
	if id.User != user || !errors.Is(err, want) {
		t.Errorf("%s: %q, %v; want %q, %v", session, id.User, err, user, want)
	}
}

func TestASessionIsAskedAboutOnceAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{wait: time.Millisecond}
		r := Remember(k, RememberOptions{})
		for range 5 {
			wantUser(t, r, "a", "u-a", nil)
		}
		k.wants(t, 1)
		seen, _ := r.Resolve(t.Context(), "a")
		pass(31 * time.Second)
		again, _ := r.Resolve(t.Context(), "a")
		k.wants(t, 2)
		if !again.IssuedAt.Equal(seen.IssuedAt) || seen.IssuedAt.IsZero() {
			t.Errorf("first seen at %v, and at %v", seen.IssuedAt, again.IssuedAt)
		}
		wantUser(t, r, "bad", "", ErrInvalid)
		wantUser(t, r, "bad", "", ErrInvalid)
		k.wants(t, 3)
		wantUser(t, r, "", "", ErrMissing)
		k.wants(t, 3)
	})
}

func TestAnEndedSessionIsForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		r := Remember(k, RememberOptions{})
		wantUser(t, r, "a", "u-a", nil)
		k.gone.Store(true)
		wantUser(t, r, "a", "u-a", nil) // not asked yet
		pass(31 * time.Second)
		wantUser(t, r, "a", "", ErrInvalid)
		k.down.Store(true)
		pass(2 * time.Second)
		wantUser(t, r, "a", "", ErrUnavailable)
	})
}

func TestADeadKeeperRefusesNewOnesAndKeepsOldOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{}
		r := Remember(k, RememberOptions{})
		wantUser(t, r, "a", "u-a", nil)
		k.down.Store(true)
		wantUser(t, r, "b", "", ErrUnavailable)
		pass(31 * time.Second)
		for range 100 {
			wantUser(t, r, "a", "u-a", nil)
		}
		k.wants(t, 3) // it is left alone for a second
		pass(30 * time.Minute)
		wantUser(t, r, "a", "u-a", nil)
		pass(30 * time.Minute)
		wantUser(t, r, "a", "", ErrUnavailable)
		k.down.Store(false)
		wantUser(t, r, "b", "u-b", nil)
	})
}

func TestASilentKeeperIsNotWaitedForForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{wait: time.Hour}
		r := Remember(k, RememberOptions{})
		began := time.Now()
		wantUser(t, r, "a", "", ErrUnavailable)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("it took %v", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Resolve(ctx, "b"); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		pass(time.Minute)
	})
}

func TestOneSessionIsAskedAboutOnceAtATimeAndFewTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &keeper{wait: 10 * time.Millisecond}
		r := Remember(k, RememberOptions{Calls: 4})
		var all sync.WaitGroup
		for n := range 1000 {
			all.Go(func() { wantUser(t, r, fmt.Sprint(n%100), "u-"+fmt.Sprint(n%100), nil) })
		}
		all.Wait()
		k.wants(t, 100)
		if k.most.Load() != 4 {
			t.Errorf("%d at a time", k.most.Load())
		}
		// More than may wait are turned away at once.
		var refused atomic.Int64
		for n := range 400 {
			all.Go(func() {
				if _, err := r.Resolve(t.Context(), fmt.Sprint("more", n)); errors.Is(err, ErrUnavailable) {
					refused.Add(1)
				}
			})
		}
		all.Wait()
		if n := refused.Load(); n != 400-4*waitingPerCall {
			t.Errorf("%d were turned away", n)
		}
	})
}

func TestSessionsAreForgottenWhenThereAreTooMany(t *testing.T) {
	k := &keeper{}
	r := Remember(k, RememberOptions{Sessions: 100})
	for n := range 1000 {
		wantUser(t, r, fmt.Sprint(n), "u-"+fmt.Sprint(n), nil)
		wantUser(t, r, "0", "u-0", nil)
	}
	k.wants(t, 1000)
	if n := r.good.len(); n > 100 {
		t.Errorf("%d are remembered", n)
	}
}

func TestTheGateAsksForSessions(t *testing.T) {
	first, second := &keeper{}, &keeper{}
	g := &Gate{Verifier: newVerifier(t, Options{HS256: secret, Now: func() time.Time { return start }}), Sessions: []Resolver{first, second}}
	wantJWT, err := g.Resolve(t.Context(), tokenOf(t, hs256, ""))
	if err != nil || wantJWT.User == "" {
		t.Errorf("%+v, %v", wantJWT, err)
	}
	first.wants(t, 0)
	first.gone.Store(true)
	if id, err := g.Resolve(t.Context(), "opaque"); id.User != "u-opaque" || err != nil {
		t.Errorf("%+v, %v", id, err)
	}
	second.down.Store(true)
	if _, err := g.Resolve(t.Context(), "opaque"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
	first.down.Store(true)
	second.down.Store(false)
	second.gone.Store(true)
	if _, err := g.Resolve(t.Context(), "opaque"); !errors.Is(err, ErrUnavailable) {
		t.Error(err)
	}
}
