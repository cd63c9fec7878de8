package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// measureGroups publishes at a rate to groups in turns, each of which has some of
// the readers.
func measureGroups(ctx context.Context, b *bench) error {
	one, err := b.groupsOver(ctx, b.tocsin, overWS)
	if err != nil {
		return err
	}
	under, err := b.groupsOver(ctx, b.floor(floor{delivery: int(one.bytes)}), overTCP)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	readers, groups, rate := groupsSetting(b)
	name := func(what string) string {
		return fmt.Sprintf("%s, %d/s to %d readers in %d groups: %s", overWS, rate, readers, groups, what)
	}
	for _, t := range []struct{ q, want float64 }{{50, 1}, {99, 5}, {99.9, 20}} {
		b.add(name(fmt.Sprintf("a reader has it, p%v", t.q)), "ms", quantile(one.took, t.q)).
			over(quantile(under.took, t.q)).atMost(t.want)
	}
	b.add(name("CPU a delivery"), "µs", one.cpu).over(under.cpu)
	b.add(name("a delivery is"), "bytes", one.bytes).over(under.bytes)
	return nil
}

func groupsSetting(b *bench) (readers, groups, rate int) {
	return pick(b, 100, 5000), pick(b, 10, 100), pick(b, 50, 1000)
}

func (b *bench) groupsOver(ctx context.Context, start starter, kind transport) (one *delivery, err error) {
	readers, groups, rate := groupsSetting(b)
	return one, b.on(ctx, start, func(g *stage) error {
		if s, ok := g.service.(*server); ok {
			if err := s.divide(ctx, groups); err != nil {
				return err
			}
		}
		if err := g.join(ctx, crowd{kind: kind, to: readers, groups: groups}); err != nil {
			return err
		}
		l := ladder{rung: 1, rate: rate, span: pick(b, 100*time.Millisecond, time.Second), readers: readers / groups, groups: groups}
		if _, err := b.rung(ctx, g, l); err != nil { // warms up
			return err
		}
		l.rung, l.span = 2, pick(b, time.Second, 10*time.Second)
		done := b.profile(ctx, g, "groups-"+string(kind), l.span-time.Second)
		one, err = b.rung(ctx, g, l)
		return errors.Join(err, done())
	})
}
