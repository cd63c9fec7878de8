package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// burstEvents are published in one request.
const burstEvents = 500

// burstTimeout is how long a burst may take to reach everybody.
const burstTimeout = 60 * time.Second

// measureBurst publishes one batch of alarms to ever more readers. The time ends
// when each has every one of them.
func measureBurst(ctx context.Context, b *bench) error {
	for _, kind := range []transport{overSSE, overWS} {
		if err := b.burstOver(ctx, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (b *bench) burstOver(ctx context.Context, kind transport) error {
	s, r, leave, err := b.stage(ctx)
	if err != nil {
		return err
	}
	defer leave()
	publisher, err := s.dial(ctx)
	if err != nil {
		return err
	}
	defer publisher.close()
	there := 0
	for i, readers := range pick(b, []int{20, 100}, []int{500, 1000, 2000, 5000}) {
		if err := r.join(ctx, s, crowd{kind: kind, from: there, to: readers, ahead: 50}); err != nil {
			return err
		}
		there = readers
		if err := b.bursts(ctx, s, r, publisher, kind, i, readers); err != nil {
			return fmt.Errorf("%d readers: %w", readers, err)
		}
	}
	return nil
}

// A burst is what one batch came to.
type burst struct{ answered, middle, all, used time.Duration }

// bursts publishes a few batches, one when the last has reached everybody.
func (b *bench) bursts(ctx context.Context, s *server, r *readers, publisher *client, kind transport, step, readers int) error {
	var delivered, answered, middle, all, used []float64
	rounds := pick(b, 1, 3)
	want := float64(readers * burstEvents)
	for round := range rounds {
		one, err := oneBurst(ctx, s, r, publisher, step*rounds+round+1, readers)
		if err != nil {
			return err
		}
		delivered = append(delivered, want/one.all.Seconds())
		answered = append(answered, one.answered.Seconds()*1000)
		middle = append(middle, one.middle.Seconds()*1000)
		all = append(all, one.all.Seconds()*1000)
		used = append(used, one.used.Seconds()*1e6/want)
	}
	name := func(what string) string {
		return fmt.Sprintf("%s, %d alarms to %d readers: %s", kind, burstEvents, readers, what)
	}
	b.add(name("delivered"), "events/s", delivered...)
	b.add(name("publish to answer"), "ms", answered...)
	b.add(name("publish to receive, p50"), "ms", middle...)
	b.add(name("the last one came after"), "ms", all...)
	b.add(name("server, a delivery"), "µs", used...)
	return nil
}

// oneBurst publishes one batch and waits until each reader has all of it.
func oneBurst(ctx context.Context, s *server, r *readers, publisher *client, rung, readers int) (o burst, err error) {
	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return o, err
	}
	begin := time.Now()
	if err := publisher.publish(alarms("burst", rung, time.Since(r.began)), burstEvents); err != nil {
		return o, err
	}
	o.answered = time.Since(begin)
	late := r.await(ctx, burstTimeout, func() bool { return r.count() >= readers*burstEvents })
	o.all = time.Since(begin)
	used, err := s.cpu()
	if err = errors.Join(late, err, r.each(readers, burstEvents)); err != nil {
		return o, fmt.Errorf("%d events were delivered of %d: %w", r.count(), readers*burstEvents, err)
	}
	o.used = used - cpu
	o.middle = time.Duration(r.latencies().ValueAtQuantile(50)) * time.Microsecond
	return o, nil
}

// alarms is a batch of burstEvents, due at the same time.
func alarms(of string, rung int, due time.Duration) (lines []byte) {
	for i := range burstEvents {
		lines = event(lines, fmt.Sprintf("%s-%d-%d", of, rung, i), mark(rung, due))
	}
	return lines
}
