package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// drainTimeout is how long readers may take to get the rest.
const drainTimeout = 20 * time.Second

// measureDelivery publishes at a fixed rate to a group of readers. The publisher
// waits for nobody, and a message's time runs from when it was due, so that a
// service that falls behind cannot hide it. The floor then gets as many bytes a
// delivery.
func measureDelivery(ctx context.Context, b *bench) error {
	for _, kind := range []transport{overWS, overSSE, overPoll} {
		one, err := b.deliver(ctx, b.tocsin, kind)
		if err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
		under, err := b.deliver(ctx, b.floor(floor{delivery: int(one.bytes)}), overTCP)
		if err != nil {
			return fmt.Errorf("the floor of %s: %w", kind, err)
		}
		b.addDelivery(kind, one, under)
	}
	return nil
}

// A delivery is what one message to one reader cost.
type delivery struct {
	cpu        float64 // µs of the service's processor
	bytes      float64
	took, last *hdrhistogram.Histogram // of every delivery; of each message's last
}

func (b *bench) addDelivery(kind transport, one, under *delivery) {
	name := func(what string) string { return fmt.Sprintf("%s, %s: %s", kind, deliverySetting(b), what) }
	cpu := b.add(name("CPU a delivery"), "µs", one.cpu).over(under.cpu)
	last := b.add(name("the last reader has it, p99"), "ms", quantile(one.last, 99)).over(quantile(under.last, 99))
	if kind != overPoll { // a poll is a whole request, which the floor has not
		cpu.timesFloor(1.3)
		last.timesFloor(1.3)
	}
	b.add(name("the last reader has it, p50"), "ms", quantile(one.last, 50)).over(quantile(under.last, 50))
	b.add(name("a reader has it, p50"), "ms", quantile(one.took, 50)).over(quantile(under.took, 50))
	b.add(name("a reader has it, p99"), "ms", quantile(one.took, 99)).over(quantile(under.took, 99))
	b.add(name("a delivery is"), "bytes", one.bytes).over(under.bytes)
}

// Of the table.
const deliveryRate = 20

func deliveryReaders(b *bench) int { return pick(b, 50, 1000) }

func deliverySetting(b *bench) string {
	return fmt.Sprintf("%d readers × %d/s", deliveryReaders(b), deliveryRate)
}

// deliver measures at the table's rate.
func (b *bench) deliver(ctx context.Context, start starter, kind transport) (one *delivery, err error) {
	readers, span := deliveryReaders(b), pick(b, time.Second, 10*time.Second)
	return one, b.on(ctx, start, func(g *stage) error {
		if err := g.join(ctx, crowd{kind: kind, to: readers}); err != nil {
			return err
		}
		// The first messages find a service that has never delivered.
		if _, err := b.rung(ctx, g, ladder{rung: 1, rate: deliveryRate, span: pick(b, 100*time.Millisecond, time.Second), readers: readers}); err != nil {
			return err
		}
		done := b.profile(ctx, g, "delivery-"+string(kind), span-time.Second)
		var err error
		one, err = b.rung(ctx, g, ladder{rung: 2, rate: deliveryRate, span: span, readers: readers})
		return errors.Join(err, done())
	})
}

// A ladder's rung is a rate for a while.
type ladder struct {
	rung, rate int
	span       time.Duration
	readers    int // of each message
	groups     int // that the messages go to in turns; 0 is the unassigned one
}

// rung measures at one rate.
func (b *bench) rung(ctx context.Context, g *stage, l ladder) (*delivery, error) {
	g.r.begin(l.rung, l.readers)
	used, err := g.cpu()
	if err != nil {
		return nil, err
	}
	p, err := publish(ctx, g, l)
	if err != nil {
		return nil, err
	}
	want := int(p.answered.TotalCount()) * l.readers
	late := g.r.await(ctx, drainTimeout, func() bool { return g.r.count() >= want })
	after, err := g.cpu()
	if err != nil {
		return nil, err
	}
	s := g.r.sum()
	if p.refused > 0 || s.delivered != want {
		return nil, errors.Join(late, p.err, fmt.Errorf("%d deliveries of %d, %d messages refused", s.delivered, want, p.refused))
	}
	return &delivery{cpu: micros(after-used) / float64(want), bytes: float64(s.bytes) / float64(want), took: s.took, last: s.last}, nil
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// A publication is one rung's publisher.
type publication struct {
	g *stage
	l ladder

	mu       sync.Mutex
	idle     []*client // the last to be answered on top: as few connections as it takes
	answered *hdrhistogram.Histogram
	refused  int
	err      error // of one that was refused
}

// publish sends at the rate for the span, whatever the service does. What it
// answers is timed from when the message was due.
func publish(ctx context.Context, g *stage, l ladder) (*publication, error) {
	p := &publication{g: g, l: l, answered: newHistogram()}
	n := int(float64(l.rate) * l.span.Seconds())
	begin := time.Since(g.r.began)
	var all sync.WaitGroup
	for i := range n {
		due := begin + time.Duration(i)*time.Second/time.Duration(l.rate)
		time.Sleep(due - time.Since(g.r.began))
		// Ends with the answer, which has a deadline.
		all.Go(func() { p.one(ctx, i, due) })
	}
	all.Wait()
	for _, c := range p.idle {
		c.close()
	}
	return p, ctx.Err()
}

// one publishes the i-th message over a connection that is idle, or a new one.
func (p *publication) one(ctx context.Context, i int, due time.Duration) {
	to := crowd{groups: p.l.groups}.group(i)
	c, err := p.take(ctx)
	if err == nil {
		err = c.publish(p.g, to, fmt.Sprintf("rung-%d-%d", p.l.rung, i), message(p.l.rung, due))
	}
	if err != nil && c != nil {
		c.close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.refused, p.err = p.refused+1, err
		return
	}
	p.idle = append(p.idle, c)
	record(p.answered, time.Since(p.g.r.began)-due)
}

func (p *publication) take(ctx context.Context) (*client, error) {
	p.mu.Lock()
	if n := len(p.idle); n > 0 {
		defer p.mu.Unlock()
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	p.mu.Unlock()
	return dial(ctx, p.g.publishAt())
}
