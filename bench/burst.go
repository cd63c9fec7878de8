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
		if err := b.burst(ctx, s, r, publisher, kind, i+1, readers); err != nil {
			return fmt.Errorf("%d readers: %w", readers, err)
		}
	}
	return nil
}

// burst measures one batch.
func (b *bench) burst(ctx context.Context, s *server, r *readers, publisher *client, kind transport, rung, readers int) error {
	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := publisher.publish(alarms("burst", rung, time.Since(r.began)), burstEvents); err != nil {
		return err
	}
	answered := time.Since(begin)
	want := readers * burstEvents
	late := r.await(ctx, burstTimeout, func() bool { return r.count() >= want })
	all := time.Since(begin)
	used, err := s.cpu()
	if err = errors.Join(late, err, r.each(readers, burstEvents)); err != nil {
		return fmt.Errorf("%d events were delivered of %d: %w", r.count(), want, err)
	}
	used -= cpu
	name := func(what string) string {
		return fmt.Sprintf("%s, %d alarms to %d readers: %s", kind, burstEvents, readers, what)
	}
	b.add(name("delivered"), "events/s", float64(want)/all.Seconds())
	b.add(name("publish to answer"), "ms", answered.Seconds()*1000)
	b.add(name("publish to receive, p50"), "ms", float64(r.latencies().ValueAtQuantile(50))/1000)
	b.add(name("the last one came after"), "ms", all.Seconds()*1000)
	b.add(name("server, a delivery"), "µs", float64(used.Microseconds())/float64(want))
	return nil
}

// alarms is a batch of burstEvents, due at the same time.
func alarms(of string, rung int, due time.Duration) (lines []byte) {
	for i := range burstEvents {
		lines = event(lines, fmt.Sprintf("%s-%d-%d", of, rung, i), mark(rung, due))
	}
	return lines
}
