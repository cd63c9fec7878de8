package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// singleConnections publish at once.
const singleConnections = 32

// measureUnicast publishes to one user a request, each connection the next one when
// the last is answered, while all users are connected.
func measureUnicast(ctx context.Context, b *bench) error {
	users := pick(b, 50, 5000)
	one, err := b.unicastOver(ctx, b.tocsin, overWS, users)
	if err != nil {
		return err
	}
	under, err := b.unicastOver(ctx, b.floor(floor{delivery: int(one.bytes), single: true}), overTCP, users)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	name := func(what string) string { return fmt.Sprintf("%s, %d users, one a request: %s", overWS, users, what) }
	b.add(name("published and delivered"), "publishes/s", one.rates...).over(median(under.rates)).atLeast(15_000)
	b.add(name("the user has it, p50"), "ms", quantile(one.took, 50)).over(quantile(under.took, 50))
	b.add(name("the user has it, p99"), "ms", quantile(one.took, 99)).over(quantile(under.took, 99))
	b.add(name("CPU a publish with its delivery"), "µs", one.cpu...).over(median(under.cpu))
	b.add(name("a delivery is"), "bytes", one.bytes).over(under.bytes)
	return nil
}

// A unicast is what publishing to single users came to, round by round.
type unicast struct {
	rates, cpu []float64
	bytes      float64
	took       *hdrhistogram.Histogram
}

func (b *bench) unicastOver(ctx context.Context, start starter, kind transport, users int) (u unicast, err error) {
	u.took = newHistogram()
	return u, b.on(ctx, start, func(g *stage) error {
		if err := g.join(ctx, crowd{kind: kind, to: users}); err != nil {
			return err
		}
		clients, hangUp, err := dialAll(ctx, g.publishAt, singleConnections)
		if err != nil {
			return err
		}
		defer hangUp()
		done := b.profile(ctx, g, "unicast-"+string(kind), pick(b, time.Second, 6*time.Second))
		for round := range pick(b, 1, 4) {
			g.r.begin(round+1, 0)
			cpu, err := g.cpu()
			if err != nil {
				return err
			}
			h, rate, err := singleRound(g, clients, round+1, pick(b, 200*time.Millisecond, 2*time.Second), func(i, n int) string {
				return fmt.Sprint("user/", (n*singleConnections+i)%users)
			})
			if err != nil {
				return err
			}
			want := int(h.TotalCount())
			late := g.r.await(ctx, drainTimeout, func() bool { return g.r.count() >= want })
			used, err := g.cpu()
			s := g.r.sum()
			if s.delivered != want {
				return errors.Join(late, err, fmt.Errorf("%d deliveries of %d", s.delivered, want))
			}
			if round > 0 || b.short { // the first warms up
				u.rates = append(u.rates, rate)
				u.cpu = append(u.cpu, micros(used-cpu)/float64(want))
				u.bytes = float64(s.bytes) / float64(want)
				u.took.Merge(s.took)
			}
		}
		return done()
	})
}

// singleRound publishes for the span and returns how long each answer took, and how
// many there were a second.
func singleRound(g *stage, clients []*client, rung int, span time.Duration, to func(client, n int) string) (*hdrhistogram.Histogram, float64, error) {
	var all sync.WaitGroup
	errs := make([]error, len(clients))
	took := make([]*hdrhistogram.Histogram, len(clients))
	begin := time.Now()
	for i, c := range clients {
		took[i] = newHistogram()
		// Ends when the time is over, or with the connection's first error.
		all.Go(func() {
			for n := 0; errs[i] == nil && time.Since(begin) < span; n++ {
				sent := g.r.now()
				errs[i] = c.publish(g, to(i, n), fmt.Sprintf("single-%d-%d-%d", rung, i, n), message(rung, sent))
				record(took[i], g.r.now()-sent)
			}
		})
	}
	all.Wait()
	lasted := time.Since(begin)
	sum := newHistogram()
	for _, h := range took {
		sum.Merge(h)
	}
	return sum, float64(sum.TotalCount()) / lasted.Seconds(), errors.Join(errs...)
}

// longest is what a histogram holds at most; more counts as that.
const longest = time.Minute

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest.Microseconds(), 3) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, time.Microsecond), longest).Microseconds()) // never out of range
}

// quantile is a percentile in milliseconds.
func quantile(h *hdrhistogram.Histogram, q float64) float64 {
	return float64(h.ValueAtQuantile(q)) / 1000
}
