package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureIdle asks what a server has in memory for readers to whom nothing
// happens. That they are all there is seen in the end: one alarm reaches them.
func measureIdle(ctx context.Context, b *bench) error {
	for _, kind := range []transport{overSSE, overWS, overPoll} {
		if err := b.idleOver(ctx, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (b *bench) idleOver(ctx context.Context, kind transport) error {
	const rung = 1
	readers := pick(b, 100, 5000)
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
	// The first alarm is the most expensive one, and nobody's here.
	if err := publisher.publish(event(nil, "idle-first", "nobody counts it"), 1); err != nil {
		return err
	}
	before, err := s.memory()
	if err != nil {
		return err
	}
	if err := r.join(ctx, s, crowd{kind: kind, to: readers, ahead: 50}); err != nil {
		return err
	}
	// What connecting has left behind may be taken up again meanwhile.
	time.Sleep(pick(b, 100*time.Millisecond, 3*time.Second))
	after, err := s.memory()
	if err != nil {
		return err
	}
	name := func(what string) string { return fmt.Sprintf("%s, %d idle: %s", kind, readers, what) }
	b.add(name("the server has"), "MiB", float64(after)/(1<<20))
	b.add(name("a reader"), "KiB", float64(after-before)/1024/float64(readers))

	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := publisher.publish(event(nil, "idle-last", mark(rung, time.Since(r.began))), 1); err != nil {
		return err
	}
	late := r.await(ctx, burstTimeout, func() bool { return r.count() >= readers })
	all := time.Since(begin)
	used, err := s.cpu()
	if err = errors.Join(late, err, r.each(readers, 1)); err != nil {
		return fmt.Errorf("one alarm reached %d of %d: %w", r.count(), readers, err)
	}
	b.addLatency(name("one alarm, publish to receive"), r.latencies(), 50, 99)
	b.add(name("one alarm reached all after"), "ms", all.Seconds()*1000)
	b.add(name("one alarm, server, a delivery"), "µs", float64((used-cpu).Microseconds())/float64(readers))
	return nil
}
