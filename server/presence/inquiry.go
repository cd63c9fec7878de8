package presence

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// An inquiry is a question to all other nodes that is under way.
type inquiry struct {
	mu     sync.Mutex
	left   map[string]string // those who have not answered: node by run
	count  uint64
	places map[string]map[uint64]place // by run and id
	done   chan struct{}               // closed when nobody is left
}

// take takes one node's answer, or a part of it.
func (q *inquiry) take(d *digest) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, waits := q.left[d.run]; !waits {
		return
	}
	q.count += d.count
	for _, p := range d.places {
		if q.places[d.run] == nil {
			q.places[d.run] = map[uint64]place{}
		}
		q.places[d.run][p.id] = p
	}
	if d.kind == kindKicked || d.last {
		q.leave(d.run)
	}
}

// without waits for a node no more, since it is gone.
func (q *inquiry) without(run string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.leave(run)
}

// leave needs the lock.
func (q *inquiry) leave(run string) {
	if _, waits := q.left[run]; !waits {
		return
	}
	if delete(q.left, run); len(q.left) == 0 {
		close(q.done)
	}
}

// ask puts a question to all other nodes and waits for their answers. silent are
// the nodes that did not answer.
func (c *Cluster) ask(ctx context.Context, kind byte, user string) (q *inquiry, silent []string) {
	q = &inquiry{left: map[string]string{}, places: map[string]map[uint64]place{}, done: make(chan struct{})}
	c.mu.Lock()
	for _, p := range c.peers {
		q.left[p.run] = p.node
	}
	if len(q.left) == 0 {
		c.mu.Unlock()
		return q, nil
	}
	c.asked++
	id := c.asked
	c.asks[id] = q
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asks, id)
		c.mu.Unlock()
	}()
	c.say(&digest{kind: kind, ask: id, user: user})
	late := time.NewTimer(answerWithin)
	defer late.Stop()
	select {
	case <-q.done:
	case <-late.C:
	case <-ctx.Done():
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, node := range q.left {
		silent = append(silent, node)
	}
	q.left = nil // what comes too late changes nothing any more
	slices.Sort(silent)
	return q, silent
}

// hearQuestion answers another node's question, or takes its answer.
func (c *Cluster) hearQuestion(d *digest) {
	switch d.kind {
	case kindKick:
		c.say(&digest{kind: kindKicked, to: d.run, ask: d.ask, count: uint64(c.kick(d.user))})
	case kindAsk:
		places := c.o.Registry.places(d.user)
		for last := false; !last; {
			n := min(len(places), 10*maxDigest)
			last = n == len(places)
			c.say(&digest{kind: kindPlaces, to: d.run, ask: d.ask, places: places[:n], last: last})
			places = places[n:]
		}
	case kindKicked, kindPlaces:
		if d.to != c.o.Registry.o.Run {
			return
		}
		c.mu.RLock()
		q := c.asks[d.ask]
		c.mu.RUnlock()
		if q != nil {
			q.take(d)
		}
	}
}

// Kick ends what the user has open at all nodes, and says how much that was. It waits
// for up to a second for the other nodes; those that did not answer are silent: they
// may have done it or not.
func (c *Cluster) Kick(ctx context.Context, user string) (ended int, silent []string) {
	ended = c.kick(user)
	q, silent := c.ask(ctx, kindKick, user)
	return ended + int(q.count), silent
}

// Clients lists the connections of all nodes, of one user or, for "", of all, by
// user, the oldest first. It asks the other nodes for positions, and waits for up to a
// second; of those that do not answer they are not known.
func (c *Cluster) Clients(ctx context.Context, user string) []Client {
	all := c.o.Registry.clients(user)
	q, _ := c.ask(ctx, kindAsk, user)
	add := func(r *remote) {
		p, placed := q.places[r.peer.run][r.id]
		all = append(all, Client{Connection: r.name(), User: r.user, Transport: r.transport, Node: r.peer.node, Since: r.since,
			Subscribed: p.subscribed, Position: p.at, Placed: placed, id: r.id})
	}
	c.mu.RLock()
	others := c.users[user]
	if user == "" {
		others = c.others()
	}
	for _, r := range others {
		add(r)
	}
	c.mu.RUnlock()
	sortClients(all)
	return all
}

// A Node is one of the cluster's.
type Node struct {
	Name string
	// Run names its present start, the epoch of what it writes.
	Run string
	// Users and Connections are those that are connected to it.
	Users, Connections int
	// Heard is when it was heard of last; of this node it is now.
	Heard time.Time
}

// Nodes lists the nodes that are heard, and this one, by name.
func (c *Cluster) Nodes() []Node {
	now := time.Now()
	r := c.o.Registry
	r.mu.Lock()
	all := []Node{{r.o.Node, r.o.Run, len(r.of), r.connections, now}}
	r.mu.Unlock()
	c.mu.RLock()
	for _, p := range c.peers {
		users := map[string]struct{}{}
		for _, one := range p.there {
			users[one.user] = struct{}{}
		}
		all = append(all, Node{p.node, p.run, len(users), len(p.there), p.heard})
	}
	c.mu.RUnlock()
	slices.SortFunc(all, func(a, b Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Run, b.Run)) })
	return all
}
