package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// A comeback is a crowd that was away: how many, of how many groups, how many alarms
// behind. Short alarms have a message that is only the mark.
type comeback struct {
	kind            transport
	readers, groups int
	behind          int
	short           bool
	window          string
	rounds          int
	want            float64 // s
}

// measureCatchUp has readers connect, as fast as they get in, with a cursor from
// before the last alarms. The time runs from the first connect until each has every
// one of them.
func measureCatchUp(ctx context.Context, b *bench) error {
	readers, behind := pick(b, 50, 2000), pick(b, 20, 100)
	for _, kind := range []transport{overWS, overSSE} {
		if err := b.comeBack(ctx, comeback{kind: kind, readers: readers, groups: 1, behind: behind, window: "64MiB", rounds: 5, want: 0.3}); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	// A crowd of everybody after an outage. Its alarms are short, and the window is
	// twice as large as it is by itself: else they would not all be in it.
	readers, behind = pick(b, 100, 10_000), pick(b, 50, 1000)
	for _, kind := range []transport{overWS, overSSE} {
		if err := b.comeBack(ctx, comeback{kind: kind, readers: readers, groups: pick(b, 10, 100), behind: behind, short: true, window: "128MiB", rounds: 1, want: 4}); err != nil {
			return fmt.Errorf("%s: %w", kind, err)
		}
	}
	return nil
}

// A caughtUp is what one comeback cost: seconds until the last had everything, µs
// of the server's processor a reader, readers who were told a gap, bytes a reader.
type caughtUp struct {
	all, cpu float64
	gaps     int
	bytes    float64
}

func (b *bench) comeBack(ctx context.Context, c comeback) error {
	var all, cpu []float64
	var bytes float64
	gaps := 0
	for range pick(b, 1, c.rounds) {
		one, err := b.catchUp(ctx, c)
		if err != nil {
			return err
		}
		all, cpu, bytes = append(all, one.all), append(cpu, one.cpu), one.bytes
		gaps += one.gaps
	}
	name := func(what string) string {
		return fmt.Sprintf("%s, %d readers of %d groups %d behind: %s", c.kind, c.readers, c.groups, c.behind, what)
	}
	var under []float64
	for range pick(b, 1, c.rounds) {
		x, err := b.catchUpFloor(ctx, c, int(bytes))
		if err != nil {
			return fmt.Errorf("the floor: %w", err)
		}
		under = append(under, x)
	}
	b.add(name("all have caught up after"), "s", all...).over(median(under)).atMost(c.want)
	b.add(name("delivered"), "deliveries/s", float64(c.readers*c.behind)/median(all))
	b.add(name("CPU a reader"), "µs", cpu...)
	b.add(name("were not inside the window"), "readers", float64(gaps)).atMost(0)
	b.add(name("a reader gets"), "bytes", bytes)
	return nil
}

// catchUp has a new server, since only the first crowd finds it as it starts.
func (b *bench) catchUp(ctx context.Context, c comeback) (one caughtUp, err error) {
	return one, b.on(ctx, b.tocsinWith("--window", c.window), func(g *stage) error {
		const rung = 1
		s := g.service.(*server)
		if err := s.divide(ctx, c.groups); err != nil {
			return err
		}
		// So many wait at once that the server never does, and fewer than its backlog.
		crowd := crowd{kind: c.kind, to: c.readers, groups: c.groups, ahead: 500}
		if crowd.cursors, err = fallBehind(ctx, g, c, rung); err != nil {
			return err
		}
		openings, err := crowd.openings(s)
		if err != nil {
			return err
		}
		done := b.profile(ctx, g, fmt.Sprintf("catchup-%s-%d", c.kind, c.readers), time.Second)
		g.r.begin(rung, 0)
		cpu, err := s.cpu()
		if err != nil {
			return err
		}
		begin := g.r.now()
		if err := g.r.connect(ctx, g, crowd, openings); err != nil {
			return err
		}
		want := c.readers * c.behind
		late := g.r.await(ctx, burstTimeout, func() bool { return g.r.count() >= want })
		used, err := s.cpu()
		if err = errors.Join(late, err, g.r.each(c.readers, c.behind)); err != nil {
			return fmt.Errorf("%d deliveries of %d: %w", g.r.count(), want, err)
		}
		n := g.r.sum()
		one = caughtUp{(n.newest - begin).Seconds(), micros(used-cpu) / float64(c.readers), n.gaps, float64(n.bytes) / float64(c.readers)}
		return done()
	})
}

// catchUpFloor connects as many to the floor, which writes as many bytes to each.
func (b *bench) catchUpFloor(ctx context.Context, c comeback, bytes int) (seconds float64, err error) {
	return seconds, b.on(ctx, b.floor(floor{behind: bytes}), func(g *stage) error {
		g.r.begin(1, 0)
		begin := g.r.now()
		if err := g.join(ctx, crowd{kind: overTCP, to: c.readers, ahead: 500}); err != nil {
			return err
		}
		err := g.r.await(ctx, burstTimeout, func() bool { return g.r.sum().bytes >= c.readers*bytes })
		seconds = (g.r.now() - begin).Seconds()
		return err
	})
}

// fallBehind publishes to all groups and returns the cursors of their readers from
// before.
func fallBehind(ctx context.Context, g *stage, c comeback, rung int) (cursors []string, err error) {
	s := g.service.(*server)
	p, err := dial(ctx, s.addr)
	if err != nil {
		return nil, err
	}
	defer p.close()
	for n := range c.groups {
		// A group's first alarm brings it into the log.
		if err := s.batch(p, alarm(nil, groupName(n), "first", "nobody counts it"), 1); err != nil {
			return nil, err
		}
	}
	for n := range c.groups {
		cursor, err := s.cursor(ctx, groupName(n))
		if err != nil {
			return nil, err
		}
		cursors = append(cursors, cursor)
	}
	text := message(rung, time.Since(g.r.began))
	if c.short {
		text = strings.TrimRight(text, filler)
	}
	for n := range c.groups {
		for from := 0; from < c.behind; from += batchAlarms {
			var lines []byte
			to := min(from+batchAlarms, c.behind)
			for i := from; i < to; i++ {
				lines = alarm(lines, groupName(n), fmt.Sprint(groupName(n), "-", i), text)
			}
			if err := s.batch(p, lines, to-from); err != nil {
				return nil, err
			}
		}
	}
	return cursors, nil
}
