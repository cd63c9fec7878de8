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
	readers := pick(b, 100, 5000)
	want := float64(readers * burstEvents)
	var greeted, all, delivered, used []float64
	for range pick(b, 1, 3) {
		one, err := b.catchUp(ctx, kind, readers)
		if err != nil {
			return err
		}
		greeted = append(greeted, one.greeted.Seconds())
		all = append(all, one.all.Seconds())
		delivered = append(delivered, want/one.all.Seconds())
		used = append(used, one.used.Seconds()*1e6/float64(readers))
	}
	name := func(what string) string {
		return fmt.Sprintf("%s, %d readers %d behind: %s", kind, readers, burstEvents, what)
	}
	b.add(name("all are greeted after"), "s", greeted...)
	b.add(name("all have caught up after"), "s", all...)
	b.add(name("delivered"), "events/s", delivered...)
	b.add(name("server, a reader"), "µs", used...)
	return nil
}

// A catchUp is what one crowd's return came to.
type catchUp struct{ greeted, all, used time.Duration }

// catchUp has a new server, since only the first crowd finds it as it starts.
func (b *bench) catchUp(ctx context.Context, kind transport, readers int) (one catchUp, err error) {
	const rung = 1
	s, r, leave, err := b.stage(ctx)
	if err != nil {
		return one, err
	}
	defer leave()
	// So many wait at once that the server never does, and fewer than its backlog.
	c := crowd{kind: kind, to: readers, ahead: 500}
	if c.cursor, err = fallBehind(ctx, s, rung, time.Since(r.began)); err != nil {
		return one, err
	}
	requests, err := c.requests(s)
	if err != nil {
		return one, err
	}
	r.begin(rung)
	cpu, err := s.cpu()
	if err != nil {
		return one, err
	}
	begin := time.Now()
	if err := r.connect(ctx, s, c, requests); err != nil {
		return one, err
	}
	one.greeted = time.Since(begin)
	late := r.await(ctx, burstTimeout, func() bool { return r.count() >= readers*burstEvents })
	one.all = time.Since(begin)
	used, err := s.cpu()
	one.used = used - cpu
	if err = errors.Join(late, err, r.each(readers, burstEvents)); err != nil {
		return one, fmt.Errorf("%d events were delivered of %d: %w", r.count(), readers*burstEvents, err)
	}
	return one, nil
}

// fallBehind publishes a batch and returns the cursor before it.
func fallBehind(ctx context.Context, s *server, rung int, due time.Duration) (cursor string, err error) {
	publisher, err := s.dial(ctx)
	if err != nil {
		return "", err
	}
	defer publisher.close()
	// The group's first alarm brings it into the log.
	if err := publisher.publish(event(nil, "catchup-first", "nobody counts it"), 1); err != nil {
		return "", err
	}
	if cursor, err = s.cursor(ctx); err != nil {
		return "", err
	}
	return cursor, publisher.publish(alarms("catchup", rung, due), burstEvents)
}
