package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// measureGrowth asks whether what a delivery and a resume cost grows with what is
// there: connections, alarms in the log, groups. All steps of a round are measured
// one after the other, and the rounds after each other, so that the machine's other
// work hits all steps.
func measureGrowth(ctx context.Context, b *bench) error {
	for _, grow := range []func(context.Context, *bench) (*growth, error){growConnections, growLog, growGroups} {
		g, err := grow(ctx, b)
		if err != nil {
			return err
		}
		b.addGrowth("a delivery", g, func(c cost) float64 { return c.delivery })
		b.addGrowth("a resume", g, func(c cost) float64 { return c.resume })
	}
	return nil
}

// A cost is of the server's processor, in µs.
type cost struct{ delivery, resume float64 }

// A growth is what each step cost, round after round.
type growth struct {
	over  string
	steps []int
	costs [][]cost // of each step, its rounds
}

func growthRounds(b *bench) int { return pick(b, 1, 5) }

// addGrowth notes what the last step cost in terms of the first, and the curve.
func (b *bench) addGrowth(what string, g *growth, of func(cost) float64) {
	s := series{Part: b.part, Name: what, Unit: "µs", Over: g.over}
	for i, step := range g.steps {
		s.Steps = append(s.Steps, float64(step))
		s.Rounds = append(s.Rounds, nil)
		for _, c := range g.costs[i] {
			s.Rounds[i] = append(s.Rounds[i], of(c))
		}
	}
	b.Series = append(b.Series, s)
	last := len(s.Rounds) - 1
	var ratios []float64
	for round := range s.Rounds[0] {
		ratios = append(ratios, s.Rounds[last][round]/s.Rounds[0][round])
	}
	name := fmt.Sprintf("%s, %d to %d %s", what, g.steps[0], g.steps[last], g.over)
	b.add(name+": last / first", "×", ratios...).atMost(1.3)
	b.add(name+": first", "µs", s.Rounds[0]...)
	b.add(name+": last", "µs", s.Rounds[last]...)
}

// Of each step.
func growthCrowd(b *bench) int   { return pick(b, 20, 1000) } // who resumes, and gets alarms where others are not counted
func growthDeliver(b *bench) int { return pick(b, 200, 20_000) }

// growConnections has ever more readers connected, all of whom get each alarm.
func growConnections(ctx context.Context, b *bench) (*growth, error) {
	g := &growth{over: "connections", steps: pick(b, []int{50, 100}, []int{1000, 4000, 19_000})}
	g.costs = make([][]cost, len(g.steps))
	for round := range growthRounds(b) {
		err := b.on(ctx, b.tocsin, func(stage *stage) error {
			there := 0
			for i, n := range g.steps {
				if err := stage.join(ctx, crowd{kind: overWS, from: there, to: n}); err != nil {
					return err
				}
				there = n
				step := growthStep{rung: 2*i + 3, readers: n, all: n, groups: 0}
				if i == 0 { // warms up
					warm := step
					warm.rung = 1
					if _, err := b.cost(ctx, stage, warm); err != nil {
						return err
					}
				}
				c, err := b.cost(ctx, stage, step)
				if err != nil {
					return fmt.Errorf("%d connections: %w", n, err)
				}
				g.costs[i] = append(g.costs[i], c)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", round, err)
		}
	}
	return g, nil
}

// growLog has servers whose logs have ever more alarms.
func growLog(ctx context.Context, b *bench) (*growth, error) {
	g := &growth{over: "alarms in the log", steps: pick(b, []int{100, 1000}, []int{1000, 30_000, 1_000_000})}
	return g, b.growServers(ctx, g, 0, func(ctx context.Context, s string, n int) error {
		return fillLog(ctx, s, n, true)
	}, nil)
}

// growGroups has servers with ever more groups, each of which has a device with an
// alarm. The readers are of the first few.
func growGroups(ctx context.Context, b *bench) (*growth, error) {
	g := &growth{over: "groups", steps: pick(b, []int{10, 50}, []int{10, 300, 10_000})}
	return g, b.growServers(ctx, g, 10, nil, func(ctx context.Context, s *server, n int) error {
		if err := s.divide(ctx, n); err != nil {
			return err
		}
		c, err := dial(ctx, s.addr)
		if err != nil {
			return err
		}
		defer c.close()
		for from := 0; from < n; from += batchAlarms {
			var lines []byte
			to := min(from+batchAlarms, n)
			for i := from; i < to; i++ {
				lines = alarm(lines, groupName(i), fmt.Sprint("before-", i), "nobody counts it")
			}
			if err := s.batch(c, lines, to-from); err != nil {
				return err
			}
		}
		return nil
	})
}

// growServers has a server for each step, all at once, with as many readers each.
func (b *bench) growServers(ctx context.Context, g *growth, groups int, fill func(context.Context, string, int) error, prepare func(context.Context, *server, int) error) error {
	g.costs = make([][]cost, len(g.steps))
	readers := growthCrowd(b)
	var stages []*stage
	defer func() {
		for _, s := range slices.Backward(stages) {
			s.leave()
		}
	}()
	for _, n := range g.steps {
		dir, err := os.MkdirTemp(b.dir, "growth")
		if err != nil {
			return err
		}
		if fill != nil {
			if err := fill(ctx, (&server{dir: dir}).data(), n); err != nil {
				return err
			}
		}
		s, err := b.stage(ctx, func(ctx context.Context, core int) (service, error) { return b.startServerOn(ctx, core, dir) })
		if err != nil {
			return err
		}
		stages = append(stages, s)
		if prepare != nil {
			if err := prepare(ctx, s.service.(*server), n); err != nil {
				return err
			}
		}
		if err := s.join(ctx, crowd{kind: overWS, to: readers, groups: groups}); err != nil {
			return err
		}
	}
	for round := range 1 + growthRounds(b) {
		for i, s := range stages {
			c, err := b.cost(ctx, s, growthStep{rung: 2*round + 1, readers: readers / max(groups, 1), all: readers, groups: groups})
			if err != nil {
				return fmt.Errorf("%d %s: %w", g.steps[i], g.over, err)
			}
			if round > 0 { // the first warms up
				g.costs[i] = append(g.costs[i], c)
			}
		}
	}
	return nil
}

// A growthStep is what is measured: alarms to so many of all readers each.
type growthStep struct{ rung, readers, all, groups int }

// cost measures single deliveries, and then what it costs that some come back who
// have missed nothing but them.
func (b *bench) cost(ctx context.Context, g *stage, s growthStep) (c cost, err error) {
	p, err := dial(ctx, g.publishAt())
	if err != nil {
		return c, err
	}
	defer p.close()
	g.r.begin(s.rung, s.readers)
	before, err := g.cpu()
	if err != nil {
		return c, err
	}
	alarms := max(growthDeliver(b)/s.readers, max(s.groups, 1))
	for i := range alarms {
		to := crowd{groups: s.groups}.group(i)
		if err := p.publish(g, to, fmt.Sprintf("growth-%d-%d", s.rung, i), message(s.rung, g.r.now())); err != nil {
			return c, err
		}
		select {
		case <-g.r.whole:
		case <-time.After(burstTimeout):
			return c, errors.New("an alarm does not arrive")
		}
	}
	after, err := g.cpu()
	if err != nil {
		return c, err
	}
	c.delivery = micros(after-before) / float64(alarms*s.readers)
	c.resume, err = b.resumes(ctx, g, s, p)
	return c, err
}

// missed is how many alarms those who resume are behind.
const missed = 20

// resumes has some go, and as many come back who have missed a few alarms.
func (b *bench) resumes(ctx context.Context, g *stage, s growthStep, p *client) (float64, error) {
	server, n, rung := g.service.(*server), growthCrowd(b), s.rung+1
	c := crowd{kind: overWS, to: n, groups: s.groups}
	for i := range max(s.groups, 1) {
		cursor, err := server.cursor(ctx, c.group(i))
		if err != nil {
			return 0, err
		}
		c.cursors = append(c.cursors, cursor)
	}
	g.r.drop(n)
	if err := server.awaitGauge(ctx, connections(overWS), s.all-n); err != nil {
		return 0, err
	}
	g.r.begin(rung, 0)
	for i := range max(s.groups, 1) {
		var lines []byte
		for k := range missed {
			lines = alarm(lines, c.group(i), fmt.Sprintf("missed-%d-%d-%d", rung, i, k), message(rung, g.r.now()))
		}
		if err := server.batch(p, lines, missed); err != nil {
			return 0, err
		}
	}
	others := func() bool { return g.r.count() == missed*(s.all-n) }
	if err := g.r.await(ctx, burstTimeout, others); err != nil {
		return 0, err
	}
	openings, err := c.openings(g)
	if err != nil {
		return 0, err
	}
	before, err := g.cpu()
	if err != nil {
		return 0, err
	}
	if err := g.r.connect(ctx, g, c, openings); err != nil {
		return 0, err
	}
	err = g.r.await(ctx, burstTimeout, func() bool { return g.r.count() == missed*s.all })
	after, late := g.cpu()
	return micros(after-before) / float64(n), errors.Join(err, late)
}
