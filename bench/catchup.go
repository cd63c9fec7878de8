package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureCatchUp has readers connect, as fast as they get in, with a cursor from
// before the last burstEvents alarms. The time runs from the first connect until
// each has every one of them.
func measureCatchUp(ctx context.Context, b *bench) error {
	for _, kind := range []transport{overSSE, overWS} {
		if err := b.catchUpOver(ctx, kind); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

func (b *bench) catchUpOver(ctx context.Context, kind transport) error {
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
	// The group's first alarm makes its route, without which there is no place in
	// its log to be behind.
	if err := publisher.publish(event(nil, "catchup-first", "nobody counts it"), 1); err != nil {
		return err
	}
	cursor, err := s.cursor(ctx)
	if err != nil {
		return err
	}
	if err := publisher.publish(alarms("catchup", rung, time.Since(r.began)), burstEvents); err != nil {
		return err
	}
	// So many wait at once that the server never does, and fewer than its backlog.
	c := crowd{kind: kind, to: readers, cursor: cursor, ahead: 500}
	requests, err := c.requests(s)
	if err != nil {
		return err
	}
	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := r.connect(ctx, s, c, requests); err != nil {
		return err
	}
	greeted := time.Since(begin)
	want := readers * burstEvents
	late := r.await(ctx, burstTimeout, func() bool { return r.count() >= want })
	all := time.Since(begin)
	used, err := s.cpu()
	if err = errors.Join(late, err, r.each(readers, burstEvents)); err != nil {
		return fmt.Errorf("%d events were delivered of %d: %w", r.count(), want, err)
	}
	used -= cpu
	name := func(what string) string {
		return fmt.Sprintf("%s, %d readers %d behind: %s", kind, readers, burstEvents, what)
	}
	b.add(name("all are greeted after"), "s", greeted.Seconds())
	b.add(name("all have caught up after"), "s", all.Seconds())
	b.add(name("delivered"), "events/s", float64(want)/all.Seconds())
	b.add(name("server, a reader"), "µs", float64(used.Microseconds())/float64(readers))
	return nil
}
