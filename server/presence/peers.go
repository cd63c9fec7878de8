package presence

import (
	"slices"
	"strconv"
	"time"
)

// A peer is another node, as this one has heard of it; guarded by the cluster's
// lock.
type peer struct {
	run, node string
	names     []string // the node's alone
	seq       uint64   // of the last changes that were applied
	whole     bool     // none before is missing
	heard     time.Time
	wanted    time.Time // when a snapshot was last asked for
	there     map[uint64]*remote

	// A snapshot that is coming.
	parts  uint64
	coming map[uint64]*arrival
}

// A remote is a connection at another node.
type remote struct {
	peer            *peer
	id              uint64
	user, transport string
	since           time.Time
	poll            bool
	away            bool      // a poller who is not asking
	seen            time.Time // when he was
}

func (r *remote) lastSeen(now time.Time) time.Time {
	if r.away {
		return r.seen
	}
	return now
}

func (r *remote) name() string { return r.peer.run + "-" + strconv.FormatUint(r.id, 36) }

// hear takes a message of the bus, from its one goroutine.
func (c *Cluster) hear(data []byte) {
	now := time.Now()
	d, err := parseDigest(data, now)
	if err != nil || d.run == c.o.Registry.o.Run {
		return // of another version, or our own
	}
	var want string
	switch d.kind {
	case kindChanges, kindBeat, kindSnapshot:
		c.mu.Lock()
		want = c.apply(d, now)
		c.mu.Unlock()
	case kindLeave:
		c.mu.Lock()
		if p := c.peers[d.run]; p != nil {
			c.drop(p)
		}
		c.mu.Unlock()
	case kindWant:
		if d.to == "" || d.to == c.o.Registry.o.Run {
			select {
			case c.wantedHere <- struct{}{}:
			default: // it is wanted already
			}
		}
	default:
		c.hearQuestion(d)
	}
	if want != "" {
		c.say(&digest{kind: kindWant, to: want})
	}
}

// apply takes what a node says of itself; under the lock. want names the run of
// which a snapshot is needed.
func (c *Cluster) apply(d *digest, now time.Time) (want string) {
	p := c.peers[d.run]
	if p == nil {
		p = &peer{run: d.run, node: d.node, names: []string{d.node}, there: map[uint64]*remote{}, whole: true}
		c.peers[d.run] = p
		c.o.Logger.Info("another node is heard", "node", d.node, "epoch", d.run)
	} else if now.Sub(p.heard) > doubtAfter {
		for _, r := range p.there { // they count again
			c.consider(r.user, now)
		}
	}
	p.heard = now
	switch {
	case d.kind == kindSnapshot:
		c.takePart(p, d, now)
	case d.kind == kindChanges && p.whole && d.seq == p.seq+1:
		p.seq = d.seq
		c.change(p, d, now)
	case d.seq != p.seq:
		p.whole = false
	}
	if !p.whole && now.Sub(p.wanted) >= snapshotEvery {
		p.wanted = now
		return p.run
	}
	return ""
}

// change applies changes; under the lock.
func (c *Cluster) change(p *peer, d *digest, now time.Time) {
	for i := range d.came {
		c.arrive(p, &d.came[i], now)
	}
	for _, id := range d.went {
		if r := p.there[id]; r != nil {
			c.depart(r)
		}
	}
	for _, t := range d.touched {
		if r := p.there[t.id]; r != nil {
			r.away, r.seen = t.away, t.seen
		}
	}
}

func (c *Cluster) arrive(p *peer, a *arrival, now time.Time) {
	r := p.there[a.id]
	if r == nil {
		r = &remote{peer: p, id: a.id, user: a.user, transport: a.transport, since: a.since, poll: a.poll}
		p.there[a.id] = r
		c.users[a.user] = append(c.users[a.user], r)
		c.o.Registry.pass(a.id)
		if !r.poll {
			c.consider(r.user, now)
		}
	}
	r.away, r.seen = a.touch.away, a.touch.seen
}

func (c *Cluster) depart(r *remote) {
	delete(r.peer.there, r.id)
	his := slices.DeleteFunc(c.users[r.user], func(other *remote) bool { return other == r })
	if c.users[r.user] = his; len(his) == 0 {
		delete(c.users, r.user)
	}
}

// pass makes later ids of this node higher than one of another: so they say on all
// nodes alike which of two connections is the older one, whatever the clocks.
func (r *Registry) pass(id uint64) {
	r.mu.Lock()
	r.last = max(r.last, id)
	r.mu.Unlock()
}

// takePart takes a part of a snapshot. Parts come one behind the other, and changes
// behind them.
func (c *Cluster) takePart(p *peer, d *digest, now time.Time) {
	if p.whole && p.seq == d.seq {
		return // somebody else has missed something
	}
	if d.part == 0 {
		p.parts, p.coming = 0, map[uint64]*arrival{}
	}
	if p.coming == nil || d.part != p.parts {
		p.coming = nil // another one is asked for
		return
	}
	p.parts++
	for i := range d.came {
		p.coming[d.came[i].id] = &d.came[i]
	}
	if !d.last {
		return
	}
	for id, r := range p.there {
		if p.coming[id] == nil {
			c.depart(r)
		}
	}
	for _, a := range p.coming {
		c.arrive(p, a, now)
	}
	p.coming, p.whole, p.seq = nil, true, d.seq
}

// drop forgets a node; under the lock.
func (c *Cluster) drop(p *peer) {
	for _, r := range p.there {
		c.depart(r)
	}
	delete(c.peers, p.run)
	for _, q := range c.asks {
		q.without(p.run)
	}
	c.o.Logger.Info("another node is gone", "node", p.node, "epoch", p.run)
}

// tidy forgets nodes that have fallen silent, and ends streams that are too many.
func (c *Cluster) tidy(now time.Time) {
	c.mu.Lock()
	for _, p := range c.peers {
		if now.Sub(p.heard) >= goneAfter {
			c.drop(p)
		}
	}
	due := c.due(now)
	c.mu.Unlock()
	for _, user := range due {
		c.enforce(user, now)
	}
}
