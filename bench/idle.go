package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureIdle asks what a service has in memory for readers to whom nothing
// happens. That they are all there is seen in the end: one message reaches them.
func measureIdle(ctx context.Context, b *bench) error {
	under, err := b.idleOver(ctx, b.floor(floor{}), overTCP)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	for _, t := range []struct {
		kind transport
		want float64
	}{{overWS, 12}, {overSSE, 8}, {overPoll, 9}} {
		one, err := b.idleOver(ctx, b.tocsin, t.kind)
		if err != nil {
			return fmt.Errorf("%s: %w", t.kind, err)
		}
		name := func(what string) string { return fmt.Sprintf("%s, %d idle: %s", t.kind, idleReaders(b), what) }
		b.add(name("a reader"), "KB", one.resident).over(under.collected).atMost(t.want)
		b.add(name("a reader, after a collection"), "KB", one.collected).over(under.collected)
		b.add(name("the whole server"), "MB", one.whole).over(under.whole)
		b.add(name("one message reached all after"), "ms", one.all).over(under.all)
	}
	return nil
}

func idleReaders(b *bench) int { return pick(b, 100, 10_000) }

// An idle is what readers cost to whom nothing happens.
type idle struct {
	resident  float64 // KB a reader
	collected float64 // the same after a collection, where it can be asked for
	whole     float64 // MB of the service with all of them
	all       float64 // ms until all have one message
}

func (b *bench) idleOver(ctx context.Context, start starter, kind transport) (i idle, err error) {
	return i, b.on(ctx, start, func(g *stage) (err error) {
		i, err = b.idle(ctx, g, kind)
		return err
	})
}

func (b *bench) idle(ctx context.Context, g *stage, kind transport) (i idle, err error) {
	readers := idleReaders(b)
	c, err := dial(ctx, g.publishAt())
	if err != nil {
		return i, err
	}
	defer c.close()
	// The first message is the most expensive one, and nobody's here.
	if err := c.publish(g, group, "idle-first", message(0, 0)); err != nil {
		return i, err
	}
	before, err := g.memory()
	if err != nil {
		return i, err
	}
	if err := g.join(ctx, crowd{kind: kind, to: readers}); err != nil {
		return i, err
	}
	b.settle() // what connecting has left behind may be taken up again meanwhile
	after, err := g.memory()
	if err != nil {
		return i, err
	}
	i.whole, i.resident = float64(after)/1e6, float64(after-before)/1000/float64(readers)
	if s, ok := g.service.(interface{ collect(context.Context) error }); ok {
		if err := s.collect(ctx); err != nil {
			return i, err
		}
		b.settle()
		if after, err = g.memory(); err != nil {
			return i, err
		}
		i.collected = float64(after-before) / 1000 / float64(readers)
	}
	if err := b.heapProfile(ctx, g, "idle-"+string(kind)); err != nil {
		return i, err
	}
	begin, err := b.oneToAll(ctx, g, c, 1, readers)
	if err != nil {
		return i, err
	}
	i.all = micros(g.r.sum().newest-begin) / 1000
	return i, nil
}

// oneToAll publishes one message and waits until each of the readers has it. It
// returns when it was sent.
func (b *bench) oneToAll(ctx context.Context, g *stage, c *client, rung, readers int) (begin time.Duration, err error) {
	g.r.begin(rung, readers)
	begin = g.r.now()
	if err := c.publish(g, group, fmt.Sprint("one-", rung), message(rung, begin)); err != nil {
		return 0, err
	}
	late := g.r.await(ctx, burstTimeout, func() bool { return g.r.count() >= readers })
	if err := errors.Join(late, g.r.each(readers, 1)); err != nil {
		return 0, fmt.Errorf("one message reached %d of %d: %w", g.r.count(), readers, err)
	}
	return begin, nil
}
