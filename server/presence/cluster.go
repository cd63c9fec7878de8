package presence

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Times of what nodes tell each other (docs/decisions/0017).
const (
	// batch is how often a node tells what has changed at it.
	batch = 200 * time.Millisecond
	// beatEvery is how often it tells that it lives, when nothing changes.
	beatEvery = 500 * time.Millisecond
	// doubtAfter is after what silence a node's streams no longer count where they
	// would end somebody else's.
	doubtAfter = 1500 * time.Millisecond
	// goneAfter is after what silence those who are connected to a node are taken
	// for gone.
	goneAfter = 5 * time.Second
	// snapshotEvery is how often a node tells all that is there, at most, and is
	// asked to.
	snapshotEvery = time.Second
	// answerWithin is how long other nodes are waited for.
	answerWithin = time.Second
)

// ClusterOptions are what a Cluster is made of; Registry is required.
type ClusterOptions struct {
	// Registry is this node's. Its Run names the node among all of all times.
	Registry *Registry
	// Bus reaches the other nodes; nil: there are none.
	Bus Bus
	// Streams is how many one user may have on all nodes; 0: as many as he likes.
	Streams int
	// Logger; nil is silent.
	Logger *slog.Logger
}

// A Cluster is who is connected to all nodes. Each node tells the others what
// changes at it, in batches, and has what they tell in memory; what is missing is
// told again as a whole. So an answer is at most a moment old, and costs the other
// nodes nothing. Those of a node that has died are gone after five seconds.
//
// Kicks and Supersedes are called before Run, Run once; the others may be called
// by many goroutines at once.
type Cluster struct {
	o          ClusterOptions
	kick       func(user string) int
	supersede  func(user string, these []*Connection)
	sender     sender
	wantedHere chan struct{} // somebody wants a snapshot of this node
	streams    atomic.Int64  // ClusterOptions.Streams, as it is now

	mu    sync.RWMutex
	peers map[string]*peer     // by run
	users map[string][]*remote // connections at other nodes
	asks  map[uint64]*inquiry  // that are under way
	asked uint64
	// Users whose streams are to be counted, the first ones first.
	waiting map[string]struct{}
	line    []waiting
}

// NewCluster returns the Cluster that a registry's node belongs to.
func NewCluster(o ClusterOptions) *Cluster {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Cluster{o: o, peers: map[string]*peer{}, users: map[string][]*remote{}, asks: map[uint64]*inquiry{}, waiting: map[string]struct{}{},
		kick: func(string) int { return 0 }, supersede: func(string, []*Connection) {},
		wantedHere: make(chan struct{}, 1)}
	c.sender = sender{c: c}
	c.streams.Store(int64(o.Streams))
	if o.Bus != nil {
		o.Registry.mu.Lock()
		o.Registry.shared = true
		o.Registry.mu.Unlock()
	}
	return c
}

// Kicks has f called to end what a user has open at this node, and say how much
// that was. It must not wait.
func (c *Cluster) Kicks(f func(user string) int) { c.kick = f }

// Supersedes has f called with those of a user's streams at this node that are too
// many: he has newer ones, at whatever nodes. It must not wait.
func (c *Cluster) Supersedes(f func(user string, these []*Connection)) { c.supersede = f }

// SetStreams changes ClusterOptions.Streams.
func (c *Cluster) SetStreams(n int) { c.streams.Store(int64(n)) }

// Run listens to the other nodes and tells them of this one until the context
// ends; then it says that the node goes. It fails at once, or not at all.
func (c *Cluster) Run(ctx context.Context) error {
	if c.o.Bus == nil {
		<-ctx.Done()
		return nil
	}
	stop, err := c.o.Bus.Listen(ctx, c.hear)
	if err != nil {
		return fmt.Errorf("listen to the other nodes: %w", err)
	}
	defer stop()
	c.say(&digest{kind: kindWant})
	tick := time.NewTicker(batch)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.sender.turn(time.Now())
			c.tidy(time.Now())
		case <-ctx.Done():
			c.say(&digest{kind: kindLeave})
			return nil
		}
	}
}

// say sends a message of this node.
func (c *Cluster) say(d *digest) {
	d.run, d.node = c.o.Registry.o.Run, c.o.Registry.o.Node
	if d.kind != kindChanges {
		d.seq = c.sender.seq.Load()
	}
	if err := c.o.Bus.Publish(d.append(nil, time.Now())); err != nil {
		// Who misses it finds out by the number, and wants all.
		c.o.Logger.Debug("the other nodes are not told", "error", err)
	}
}

// People is Registry.People for all nodes.
func (c *Cluster) People(q Look) (page []Person, next string, total int, crowds map[string]Crowd) {
	all := newCensus(q)
	c.o.Registry.count(all)
	now := time.Now()
	c.mu.RLock()
	others := c.others()
	c.mu.RUnlock()
	// A part at a time, since what other nodes say waits meanwhile.
	for part := range slices.Chunk(others, 4096) {
		c.mu.RLock()
		for _, r := range part {
			all.add(r.user, Over{r.transport, 1, r.since, r.lastSeen(now), r.peer.names})
		}
		c.mu.RUnlock()
	}
	return all.page()
}

// others are all connections at other nodes; it needs the lock.
func (c *Cluster) others() (all []*remote) {
	n := 0
	for _, p := range c.peers {
		n += len(p.there)
	}
	all = make([]*remote, 0, n)
	for _, p := range c.peers {
		for _, r := range p.there {
			all = append(all, r)
		}
	}
	return all
}

// Online says how many of these users, each of whom is there once, have a stream
// open at any node.
func (c *Cluster) Online(users []string) (n int) {
	for _, user := range users {
		if c.o.Registry.streams(user) > 0 || c.streamsElsewhere(user) {
			n++
		}
	}
	return n
}

func (c *Cluster) streamsElsewhere(user string) bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	for _, r := range c.users[user] {
		if !r.poll {
			return true
		}
	}
	return false
}

// streams is how many the user has open at this node.
func (r *Registry) streams(user string) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.of[user] {
		if c.polls == nil {
			n++
		}
	}
	return n
}
