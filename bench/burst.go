package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// burstTimeout is how long a burst may take to reach everybody.
const burstTimeout = 60 * time.Second

// inFlight is how many messages are under way at once in the closed loop.
const inFlight = 8

// measureBurst publishes one message after the other, each over a request of its
// own, with a few in flight: the next goes out when one has reached all readers.
func measureBurst(ctx context.Context, b *bench) error {
	readers := pick(b, 50, 1000)
	for _, kind := range []transport{overWS, overSSE, overPoll} {
		one, err := b.loopOver(ctx, b.tocsin, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		under, err := b.loopOver(ctx, b.floor(floor{delivery: int(one.bytes)}), overTCP)
		if err != nil {
			return fmt.Errorf("the floor of %s: %w", kind, err)
		}
		name := func(what string) string {
			return fmt.Sprintf("%s, %d readers, %d in flight: %s", kind, readers, inFlight, what)
		}
		f := b.add(name("delivered"), "deliveries/s", one.rates...).over(median(under.rates))
		if kind != overPoll {
			f.atLeast(300_000)
		}
		b.add(name("CPU a delivery"), "µs", one.cpu...).over(median(under.cpu))
		b.add(name("a delivery is"), "bytes", one.bytes).over(under.bytes)
	}
	return nil
}

// A loop is what a closed loop came to, round by round.
type loop struct {
	rates, cpu []float64 // deliveries a second; µs of the service's processor
	bytes      float64   // a delivery
}

func (b *bench) loopOver(ctx context.Context, start starter, kind transport) (l loop, err error) {
	readers := pick(b, 50, 1000)
	return l, b.on(ctx, start, func(g *stage) error {
		clients, hangUp, err := dialAll(ctx, g.publishAt, inFlight)
		if err != nil {
			return err
		}
		defer hangUp()
		if err := g.join(ctx, crowd{kind: kind, to: readers}); err != nil {
			return err
		}
		done := b.profile(ctx, g, "burst-"+string(kind), pick(b, time.Second, 6*time.Second))
		for round := range pick(b, 1, 4) {
			if err := b.loop(ctx, g, clients, &l, round, readers); err != nil {
				return err
			}
			if round == 0 && !b.short { // warms up
				l = loop{}
			}
		}
		return done()
	})
}

// loop runs one round.
func (b *bench) loop(ctx context.Context, g *stage, clients []*client, l *loop, round, readers int) error {
	g.r.begin(round+1, readers)
	cpu, err := g.cpu()
	if err != nil {
		return err
	}
	begin := g.r.now()
	sent, err := closedLoop(ctx, g, clients, round+1, pick(b, 300*time.Millisecond, 2*time.Second))
	if err != nil {
		return err
	}
	used, err := g.cpu()
	s := g.r.sum()
	if err = errors.Join(err, g.r.each(readers, sent)); err != nil {
		return err
	}
	n := float64(sent * readers)
	l.rates = append(l.rates, n/(s.newest-begin).Seconds())
	l.cpu = append(l.cpu, micros(used-cpu)/n)
	l.bytes = float64(s.bytes) / n
	return nil
}

// closedLoop publishes for the span and returns how many messages, all of which
// have reached all readers.
func closedLoop(ctx context.Context, g *stage, clients []*client, rung int, span time.Duration) (sent int, err error) {
	var all sync.WaitGroup
	errs := make([]error, len(clients))
	counts := make([]int, len(clients))
	begin := time.Now()
	for i, c := range clients {
		// Ends with the span, or its first error.
		all.Go(func() {
			for errs[i] == nil && time.Since(begin) < span {
				name := fmt.Sprintf("loop-%d-%d-%d", rung, i, counts[i])
				if errs[i] = c.publish(g, group, name, message(rung, g.r.now())); errs[i] != nil {
					return
				}
				counts[i]++
				select {
				case <-g.r.whole: // whichever: there are as many as were sent
				case <-time.After(burstTimeout):
					errs[i] = errors.New("a message does not arrive")
				case <-ctx.Done():
					errs[i] = ctx.Err()
				}
			}
		})
	}
	all.Wait()
	for _, n := range counts {
		sent += n
	}
	return sent, errors.Join(errs...)
}
