package main

import (
	"context"
	"errors"
	"fmt"
)

// peersPart is not among the parts: it wants Debian's and npm's packages.
const peersPart = "peers"

// A contender is one server over one transport.
type contender struct {
	name   string
	kind   transport
	start  func(ctx context.Context, single bool) (starter, error)
	behind bool // it can be asked for what was missed
}

func (b *bench) contenders() []contender {
	own := func(context.Context, bool) (starter, error) { return b.tocsin, nil }
	plain := func(_ context.Context, single bool) (starter, error) { return b.floor(floor{single: single}), nil }
	return []contender{
		{"plain TCP, 200 bytes", overTCP, plain, false},
		{"Tocsin, WebSocket", overWS, own, true},
		{"Tocsin, SSE", overSSE, own, true},
		{"Tocsin, long-poll", overPoll, own, false},
		{"Nchan, WebSocket", nchanWS, b.nchan, true},
		{"Nchan, SSE", nchanSSE, b.nchan, true},
		{"Nchan, long-poll", nchanPoll, b.nchan, false},
		{"Socket.IO, WebSocket", socketIO, b.socketIO, false},
	}
}

// measurePeers runs the same load against all servers, one after the other.
func measurePeers(ctx context.Context, b *bench) error {
	for _, c := range b.contenders() {
		if err := b.contend(ctx, c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func (b *bench) contend(ctx context.Context, c contender) error {
	start, err := c.start(ctx, false)
	if err != nil {
		return err
	}
	name := func(what string) string { return c.name + ": " + what }
	i, err := b.idleOver(ctx, start, c.kind)
	if err != nil {
		return fmt.Errorf("idle: %w", err)
	}
	if c.kind == overTCP { // the floor collects when it is asked to, as in measureIdle
		i.resident = i.collected
	}
	b.add(name(fmt.Sprintf("idle, %d readers", idleReaders(b))), "KB", i.resident)
	d, err := b.deliver(ctx, start, c.kind)
	if err != nil {
		return fmt.Errorf("deliver: %w", err)
	}
	b.add(name("single delivery, "+deliverySetting(b)), "µs", d.cpu)
	b.add(name("the last reader has it, p99"), "ms", quantile(d.last, 99))
	b.add(name("a delivery"), "bytes", d.bytes)
	l, err := b.loopOver(ctx, start, c.kind)
	if err != nil {
		return fmt.Errorf("burst: %w", err)
	}
	b.add(name(fmt.Sprintf("burst, %d in flight", inFlight)), "deliveries/s", l.rates...)
	if c.kind != overPoll && c.kind != nchanPoll {
		if start, err = c.start(ctx, true); err != nil {
			return err
		}
		u, err := b.unicastOver(ctx, start, c.kind, pick(b, 50, 5000))
		if err != nil {
			return fmt.Errorf("unicast: %w", err)
		}
		b.add(name("unicast"), "publishes/s", u.rates...)
	}
	if !c.behind {
		return nil
	}
	if start, err = c.start(ctx, false); err != nil {
		return err
	}
	s, err := b.behind(ctx, c, start)
	if err != nil {
		return fmt.Errorf("catch up: %w", err)
	}
	b.add(name(fmt.Sprintf("%d readers, %d behind", pick(b, 50, 2000), peersBehind)), "s", s...)
	return nil
}

// peersBehind is how many messages those have missed who come back.
const peersBehind = 100

// behind has readers come back, as measureCatchUp does.
func (b *bench) behind(ctx context.Context, c contender, start starter) (seconds []float64, err error) {
	readers := pick(b, 50, 2000)
	for range pick(b, 1, 3) {
		if c.kind == overWS || c.kind == overSSE {
			one, err := b.catchUp(ctx, comeback{kind: c.kind, readers: readers, groups: 1, behind: peersBehind, window: "64MiB"})
			if err != nil {
				return nil, err
			}
			seconds = append(seconds, one.all)
			continue
		}
		if err := b.on(ctx, start, func(g *stage) error {
			p, err := dial(ctx, g.publishAt())
			if err != nil {
				return err
			}
			defer p.close()
			g.r.begin(1, 0)
			for i := range peersBehind {
				if err := p.publish(g, group, fmt.Sprint("behind-", i), message(1, g.r.now())); err != nil {
					return err
				}
			}
			begin := g.r.now()
			if err := g.join(ctx, crowd{kind: c.kind, to: readers, cursor: "oldest"}); err != nil {
				return err
			}
			late := g.r.await(ctx, burstTimeout, func() bool { return g.r.count() >= readers*peersBehind })
			if err := errors.Join(late, g.r.each(readers, peersBehind)); err != nil {
				return err
			}
			seconds = append(seconds, (g.r.sum().newest - begin).Seconds())
			return nil
		}); err != nil {
			return nil, err
		}
	}
	return seconds, nil
}
