package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// batchAlarms are published in one request.
const batchAlarms = 500

// measureBatch publishes one batch of alarms to many readers. The time ends when
// each has every one of them.
func measureBatch(ctx context.Context, b *bench) error {
	readers := pick(b, 50, 5000)
	for _, kind := range []transport{overWS, overSSE} {
		var o batches
		if err := b.on(ctx, b.tocsin, func(g *stage) (err error) {
			o, err = b.batchesTo(ctx, g, kind, readers)
			return err
		}); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		name := func(what string) string {
			return fmt.Sprintf("%s, %d alarms at once to %d readers: %s", kind, batchAlarms, readers, what)
		}
		b.add(name("delivered"), "deliveries/s", o.delivered...).atLeast(2e6)
		b.add(name("answered after"), "ms", o.answered...)
		b.add(name("the last one came after"), "ms", o.all...)
		b.add(name("CPU a delivery"), "µs", o.used...)
		b.add(name("a delivery is"), "bytes", o.bytes)
	}
	return nil
}

// batches are what each round came to.
type batches struct {
	delivered, answered, all, used []float64
	bytes                          float64
}

func (b *bench) batchesTo(ctx context.Context, g *stage, kind transport, readers int) (o batches, err error) {
	s := g.service.(*server)
	c, err := dial(ctx, s.addr)
	if err != nil {
		return o, err
	}
	defer c.close()
	if err := g.join(ctx, crowd{kind: kind, to: readers}); err != nil {
		return o, err
	}
	want := readers * batchAlarms
	for round := range pick(b, 1, 4) {
		rung := round + 1
		g.r.begin(rung, 0)
		cpu, err := s.cpu()
		if err != nil {
			return o, err
		}
		begin := g.r.now()
		if err := s.batch(c, alarms("batch", group, rung, begin), batchAlarms); err != nil {
			return o, err
		}
		answered := g.r.now() - begin
		late := g.r.await(ctx, burstTimeout, func() bool { return g.r.count() >= want })
		used, err := s.cpu()
		if err = errors.Join(late, err, g.r.each(readers, batchAlarms)); err != nil {
			return o, fmt.Errorf("%d deliveries of %d: %w", g.r.count(), want, err)
		}
		if round == 0 && !b.short {
			continue // warms up
		}
		n := g.r.sum()
		o.delivered = append(o.delivered, float64(want)/(n.newest-begin).Seconds())
		o.answered = append(o.answered, micros(answered)/1000)
		o.all = append(o.all, micros(n.newest-begin)/1000)
		o.used = append(o.used, micros(used-cpu)/float64(want))
		o.bytes = float64(n.bytes) / float64(want)
	}
	return o, nil
}

// alarms is a batch of a device, due at the same time.
func alarms(of, device string, rung int, due time.Duration) (lines []byte) {
	for i := range batchAlarms {
		lines = alarm(lines, device, fmt.Sprintf("%s-%d-%d", of, rung, i), message(rung, due))
	}
	return lines
}
