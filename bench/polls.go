package main

import (
	"context"
	"fmt"
	"time"
)

// measurePolls has clients that ask for what is new as fast as they are answered,
// while nothing is.
func measurePolls(ctx context.Context, b *bench) error {
	const clients = 64
	one, err := b.pollsOver(ctx, b.tocsin, clients)
	if err != nil {
		return err
	}
	under, err := b.pollsOver(ctx, b.floor(floor{delivery: int(one.bytes) - floorHead, polls: true}), clients)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	name := func(what string) string { return fmt.Sprintf("%d connections, short polls: %s", clients, what) }
	b.add(name("that find nothing"), "polls/s", one.rates...).over(median(under.rates)).atLeast(30_000)
	b.add(name("CPU a poll"), "µs", one.cpu...).over(median(under.cpu))
	b.add(name("an answer is"), "bytes", one.bytes).over(under.bytes)
	return nil
}

// floorHead is about what the head of the floor's answers has, in bytes.
const floorHead = 120

type polls struct {
	rates, cpu []float64
	bytes      float64
}

func (b *bench) pollsOver(ctx context.Context, start starter, clients int) (o polls, err error) {
	return o, b.on(ctx, start, func(g *stage) error {
		c := crowd{kind: overShort, to: clients}
		if s, ok := g.service.(*server); ok {
			var err error
			if c.cursor, err = s.cursor(ctx, group); err != nil {
				return err
			}
		}
		openings, err := c.openings(g)
		if err != nil {
			return err
		}
		if err := g.r.connect(ctx, g, c, openings); err != nil {
			return err
		}
		done := b.profile(ctx, g, "polls", pick(b, time.Second, 6*time.Second))
		for round := range pick(b, 2, 4) {
			g.r.begin(round+1, 0)
			cpu, err := g.cpu()
			if err != nil {
				return err
			}
			begin := time.Now()
			time.Sleep(pick(b, 200*time.Millisecond, 2*time.Second))
			used, err := g.cpu()
			if err != nil {
				return err
			}
			lasted, s := time.Since(begin), g.r.sum()
			if n := g.r.lost.Load(); n > 0 {
				return fmt.Errorf("%d connections ended: %w", n, g.r.reason())
			}
			if round > 0 { // the first warms up
				o.rates = append(o.rates, float64(s.answers)/lasted.Seconds())
				o.cpu = append(o.cpu, micros(used-cpu)/float64(s.answers))
				o.bytes = float64(s.bytes) / float64(s.answers)
			}
		}
		return done()
	})
}
