package main

import (
	"context"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// calmRate is the rate at which single requests are timed.
func calmRate(b *bench) int { return pick(b, 100, 2000) }

// measureSingle publishes one alarm a request: as many as it takes, and then at a
// rate that leaves it time.
func measureSingle(ctx context.Context, b *bench) error {
	one, err := b.singleOver(ctx, b.tocsin)
	if err != nil {
		return err
	}
	under, err := b.singleOver(ctx, b.floor(floor{}))
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	b.add(fmt.Sprintf("%d connections, one alarm a request: stored", singleConnections), "alarms/s", one.rates...).
		over(median(under.rates)).atLeast(15_000)
	for _, q := range []float64{50, 99} {
		b.add(fmt.Sprintf("the same: answered after, p%v", q), "ms", quantile(one.took, q)).over(quantile(under.took, q))
	}
	calm := func(q float64) *figure {
		return b.add(fmt.Sprintf("%d/s, one alarm a request: answered after, p%v", calmRate(b), q), "ms", quantile(one.calm, q)).
			over(quantile(under.calm, q))
	}
	calm(50)
	calm(99).atMost(3)
	calm(99.9)
	return nil
}

// A single is what publishing in single requests came to.
type single struct {
	rates      []float64
	took, calm *hdrhistogram.Histogram
}

func (b *bench) singleOver(ctx context.Context, start starter) (o single, err error) {
	o.took = newHistogram()
	return o, b.on(ctx, start, func(g *stage) error {
		clients, hangUp, err := dialAll(ctx, g.publishAt, singleConnections)
		if err != nil {
			return err
		}
		defer hangUp()
		published := 0
		done := b.profile(ctx, g, "single", pick(b, time.Second, 6*time.Second))
		for round := range pick(b, 2, 4) {
			h, rate, err := singleRound(g, clients, round+1, pick(b, 200*time.Millisecond, 2*time.Second),
				func(int, int) string { return group })
			if err != nil {
				return err
			}
			published += int(h.TotalCount())
			if round > 0 { // the first warms up
				o.rates = append(o.rates, rate)
				o.took.Merge(h)
			}
		}
		p, err := publish(ctx, g, ladder{rung: 100, rate: calmRate(b), span: pick(b, time.Second/2, 5*time.Second)})
		if err != nil {
			return err
		}
		if p.refused > 0 {
			return fmt.Errorf("%d were refused: %w", p.refused, p.err)
		}
		o.calm = p.answered
		published += int(p.answered.TotalCount())
		if err := done(); err != nil {
			return err
		}
		if s, ok := g.service.(verifiable); ok {
			return s.verify(ctx, published)
		}
		return nil
	})
}
