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
	l := grouped{readers: pick(b, 100, 5000), groups: pick(b, 10, 100), rate: pick(b, 50, 1000)}
	one, err := b.groupsOver(ctx, b.tocsin, overWS, l)
	if err != nil {
		return err
	}
	under, err := b.groupsOver(ctx, b.floor(floor{delivery: int(one.bytes)}), overTCP, l)
	if err != nil {
		return fmt.Errorf("the floor: %w", err)
	}
	name := func(what string) string {
		return fmt.Sprintf("%s, %d/s to %d readers in %d groups: %s", overWS, l.rate, l.readers, l.groups, what)
	}
	for _, t := range []struct{ q, want float64 }{{50, 1}, {99, 5}, {99.9, 20}} {
		b.add(name(fmt.Sprintf("a reader has it, p%v", t.q)), "ms", quantile(one.took, t.q)).
			over(quantile(under.took, t.q)).atMost(t.want)
	}
	b.add(name("CPU a delivery"), "µs", one.cpu).over(under.cpu)
	b.add(name("a delivery is"), "bytes", one.bytes).over(under.bytes)
	return nil
}

// A grouped load is a rate of alarms to groups in turns, which share the readers.
type grouped struct{ readers, groups, rate int }

func (b *bench) groupsOver(ctx context.Context, start starter, kind transport, of grouped) (one *delivery, err error) {
	return one, b.on(ctx, start, func(g *stage) error {
		if s, ok := g.service.(divisible); ok {
			if err := s.divide(ctx, of.groups); err != nil {
				return err
			}
		}
		if err := g.join(ctx, crowd{kind: kind, to: of.readers, groups: of.groups}); err != nil {
			return err
		}
		l := ladder{rung: 1, rate: of.rate, span: pick(b, 100*time.Millisecond, time.Second), readers: of.readers / of.groups, groups: of.groups}
		if _, err := b.rung(ctx, g, l); err != nil { // warms up
			return err
		}
		l.rung, l.span = 2, pick(b, time.Second, 10*time.Second)
		done := b.profile(ctx, g, "groups-"+string(kind), l.span-time.Second)
		one, err = b.rung(ctx, g, l)
		return errors.Join(err, done())
	})
}
