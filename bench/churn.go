package main

import (
	"context"
	"fmt"
	"time"
)

// measureChurn has readers connect and go, wave after wave, and asks what the
// server has in memory before and after. Before is when it has seen some: what it
// has grown by then it needs anyway.
func measureChurn(ctx context.Context, b *bench) error {
	wave, total := pick(b, 50, 1000), pick(b, 200, 100_000)
	return b.on(ctx, b.tocsin, func(g *stage) error {
		fresh, err := g.memory()
		if err != nil {
			return err
		}
		kinds := []transport{overWS, overSSE}
		openings := map[transport][][]byte{}
		for _, kind := range kinds {
			if openings[kind], err = (crowd{kind: kind, to: wave}).openings(g); err != nil {
				return err
			}
		}
		waves := func(n int) error {
			for i := range n {
				kind := kinds[i%len(kinds)]
				if err := b.wave(ctx, g, crowd{kind: kind, to: wave}, openings[kind]); err != nil {
					return fmt.Errorf("%s, wave %d: %w", kind, i, err)
				}
			}
			b.settle()
			return nil
		}
		if err := waves(2 * len(kinds)); err != nil {
			return err
		}
		before, err := b.collected(ctx, g)
		if err != nil {
			return err
		}
		begin := time.Now()
		if err := waves(total / wave); err != nil {
			return err
		}
		took := time.Since(begin)
		after, err := g.memory()
		if err != nil {
			return err
		}
		if err := b.heapProfile(ctx, g, "churn"); err != nil {
			return err
		}
		time.Sleep(pick(b, 100*time.Millisecond, churnRest))
		rested, err := b.collected(ctx, g)
		if err != nil {
			return err
		}
		if err := b.heapProfile(ctx, g, "churn-rested"); err != nil {
			return err
		}
		name := func(what string) string { return fmt.Sprintf("%d connects and disconnects: %s", total, what) }
		b.add(name("after / before"), "%", 100*float64(rested)/float64(before)).atMost(110)
		b.add(name("as started"), "MB", float64(fresh)/1e6)
		b.add(name(fmt.Sprintf("before, when %d had come and gone", 2*len(kinds)*wave)), "MB", float64(before)/1e6)
		b.add(name("when the last has gone"), "MB", float64(after)/1e6)
		b.add(name("after, "+churnRest.String()+" later"), "MB", float64(rested)/1e6)
		b.add(name("took"), "s", took.Seconds())
		return nil
	})
}

// churnRest is how long the server may take until nothing reminds it of those who
// have gone: a little longer than the time between pings.
const churnRest = 25 * time.Second

// collected is what is in memory after a collection: where the process stands
// without one depends on when the last was.
func (b *bench) collected(ctx context.Context, g *stage) (int, error) {
	if err := g.service.(*server).collect(ctx); err != nil {
		return 0, err
	}
	b.settle()
	return g.memory()
}

// wave has a crowd come and go, and waits until the server knows that it has gone.
func (b *bench) wave(ctx context.Context, g *stage, c crowd, openings [][]byte) error {
	if err := g.r.connect(ctx, g, c, openings); err != nil {
		return err
	}
	g.r.drop(len(openings))
	return g.service.(*server).awaitGauge(ctx, connections(c.kind), 0)
}

// connections is the metric of a transport's.
func connections(kind transport) string {
	return fmt.Sprintf(`tocsin_connections{transport="%s"}`, map[transport]string{overWS: "websocket", overSSE: "sse", overPoll: "longpoll"}[kind])
}
