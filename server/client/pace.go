package client

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"
)

// A Pace is how attempts are spaced: First doubling up to Most, each time a
// random part of it, so that clients which lost a server together do not come
// back together (full jitter).
type Pace struct {
	First time.Duration // 0 is 500 ms
	Most  time.Duration // 0 is 30 s
}

// A waiting is the state of one series of attempts.
type waiting struct {
	pace Pace
	next time.Duration
}

func (p Pace) start() *waiting {
	if p.First == 0 {
		p.First = 500 * time.Millisecond
	}
	if p.Most == 0 {
		p.Most = 30 * time.Second
	}
	return &waiting{pace: p, next: p.First}
}

// reset begins anew, after a success.
func (w *waiting) reset() { w.next = w.pace.First }

// delay is the next wait after the error, and what the server asks for if that
// is longer.
func (w *waiting) delay(err error) time.Duration {
	d := rand.N(w.next) + 1
	w.next = min(2*w.next, w.pace.Most)
	var p *Problem
	if errors.As(err, &p) {
		d = max(d, min(p.RetryAfter, w.pace.Most))
	}
	return d
}

// sleep waits; false means that the context ended.
func (w *waiting) sleep(ctx context.Context, err error) bool { return pause(ctx, w.delay(err)) }

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
