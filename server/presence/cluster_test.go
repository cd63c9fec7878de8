package presence

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
)

// A testNode is one of several on a bus. It has no clients: what is superseded or
// kicked closes at once.
type testNode struct {
	r   *Registry
	c   *Cluster
	end context.CancelFunc

	mu   sync.Mutex
	over []*Connection // superseded
	out  int           // kicked
}

func startNode(t *testing.T, bus Bus, name string) *testNode {
	t.Helper()
	n := &testNode{r: New(Options{Node: name, Run: "run-" + name})}
	n.c = NewCluster(ClusterOptions{Registry: n.r, Bus: bus, Streams: 3})
	n.c.Supersedes(func(_ string, these []*Connection) {
		n.mu.Lock()
		n.over = append(n.over, these...)
		n.mu.Unlock()
		for _, one := range these {
			one.Close()
		}
	})
	n.c.Kicks(func(user string) int {
		n.r.mu.Lock()
		his := slices.Clone(n.r.of[user])
		n.r.mu.Unlock()
		for _, one := range his {
			one.Close()
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		n.out += len(his)
		return len(his)
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { // ends with the context
		defer close(ended)
		if err := n.c.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	n.end = func() { cancel(); <-ended }
	t.Cleanup(n.end)
	return n
}

func (n *testNode) superseded() []*Connection {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.over)
}

// pass lets time go by; in a bubble of synctest it takes none.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func names(nodes []Node) (all []string) {
	for _, n := range nodes {
		all = append(all, fmt.Sprintf("%s %d/%d", n.Name, n.Users, n.Connections))
	}
	return all
}

func TestEveryNodeKnowsWhoIsConnectedToAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &MemoryBus{}
		a, b := startNode(t, bus, "a"), startNode(t, bus, "b")
		began := time.Now()
		ada := a.r.Connect("ada", "websocket")
		session := ada.Subscribe()
		session.Reached(inbox.Reach{From: 7, To: 9})
		b.r.Connect("ada", "websocket")
		_, answered := b.r.Poll("bob", "poll", nil)
		answered()
		asked := time.Now()
		gone := b.r.Connect("eve", "sse")
		pass(2 * batch)
		gone.Close()
		late := startNode(t, bus, "c") // hears nothing of it but by a snapshot
		pass(20 * time.Second)

		for _, n := range []*testNode{a, b, late} {
			page, _, total, crowds := n.c.People(Look{Limit: 10})
			if total != 2 || crowds["websocket"] != (Crowd{1, 2}) || crowds["poll"] != (Crowd{1, 1}) {
				t.Fatalf("%s: %+v %d %+v", n.r.Node(), page, total, crowds)
			}
			if o := page[0].Over[0]; o.Connections != 2 || !slices.Equal(o.Nodes, []string{"a", "b"}) || !page[0].Seen.Equal(time.Now()) || !page[0].Since.Equal(began) {
				t.Errorf("%s: %+v", n.r.Node(), page[0])
			}
			if !page[1].Seen.Equal(asked) || !slices.Equal(page[1].Over[0].Nodes, []string{"b"}) {
				t.Errorf("%s: the poller was seen at %s, want %s", n.r.Node(), page[1].Seen, asked)
			}
			if all := n.c.Clients(t.Context(), ""); len(all) != 3 || all[0].User != "ada" || all[1].User != "ada" || all[2].User != "bob" {
				t.Errorf("%s: %+v", n.r.Node(), all)
			}
			his := n.c.Clients(t.Context(), "ada")
			if len(his) != 2 || his[0].Connection != ada.Name() || his[0].Node != "a" || !his[0].Placed || !his[0].Subscribed || his[0].Position != 9 || his[1].Subscribed {
				t.Errorf("%s: %+v", n.r.Node(), his)
			}
			if got := n.c.Online([]string{"ada", "bob", "eve"}); got != 1 {
				t.Errorf("%s: %d are online", n.r.Node(), got)
			}
			if got := names(n.c.Nodes()); !slices.Equal(got, []string{"a 1/1", "b 2/2", "c 0/0"}) {
				t.Errorf("%s: nodes %v", n.r.Node(), got)
			}
		}
		b.end()
		synctest.Wait()
		if got := names(a.c.Nodes()); !slices.Equal(got, []string{"a 1/1", "c 0/0"}) {
			t.Errorf("after b has left: %v", got)
		}
	})
}

func TestWhatIsMissedIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &MemoryBus{}
		a, b := startNode(t, bus, "a"), startNode(t, bus, "b")
		old := a.r.Connect("old", "sse")
		pass(time.Second)
		bus.Cut(true)
		old.Close()
		for i := range 2500 { // more than fit into one message
			a.r.Connect(fmt.Sprint("user-", i), "sse")
		}
		pass(time.Second)
		if _, _, total, _ := b.c.People(Look{Limit: 1}); total != 1 {
			t.Fatalf("%d are known through a bus that is cut", total)
		}
		bus.Cut(false)
		pass(3 * time.Second)
		if page, _, total, _ := b.c.People(Look{Limit: 1}); total != 2500 || page[0].User == "old" {
			t.Fatalf("%d are known: %+v", total, page)
		}
		bus.Cut(true)
		pass(goneAfter + time.Second)
		if _, _, total, _ := b.c.People(Look{Limit: 1}); total != 0 {
			t.Errorf("%d are known of a node that is not heard", total)
		}
		if ended, silent := b.c.Kick(t.Context(), "user-1"); ended != 0 || len(silent) != 0 {
			t.Errorf("nobody is asked, but %d, %v", ended, silent)
		}
		bus.Cut(false)
		pass(3 * time.Second)
		if _, _, total, _ := b.c.People(Look{Limit: 1}); total != 2500 || len(b.c.users) != 2500 {
			t.Errorf("%d are known of a node that is heard again", total)
		}
	})
}

func TestAKickReachesAllNodesAndCountsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &MemoryBus{}
		nodes := []*testNode{startNode(t, bus, "a"), startNode(t, bus, "b"), startNode(t, bus, "c")}
		for i, n := range nodes {
			for range i + 1 {
				n.r.Connect("ada", "sse")
			}
			n.r.Connect("bob", "sse")
		}
		pass(time.Second)
		if ended, silent := nodes[0].c.Kick(t.Context(), "bob"); ended != 3 || silent != nil {
			t.Errorf("%d ended, %v silent", ended, silent)
		}
		bus.Cut(true)
		began := time.Now()
		ended, silent := nodes[0].c.Kick(t.Context(), "ada")
		if took := time.Since(began); ended != 1 || !slices.Equal(silent, []string{"b", "c"}) || took != answerWithin {
			t.Errorf("cut off: %d ended, %v silent, after %s", ended, silent, took)
		}
		if all := nodes[0].c.Clients(t.Context(), "ada"); len(all) != 0 && all[0].Placed {
			t.Errorf("nobody answers, but %+v", all)
		}
	})
}

func TestTheOldestStreamOfAllNodesGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &MemoryBus{}
		a, b, c := startNode(t, bus, "a"), startNode(t, bus, "b"), startNode(t, bus, "c")
		for range 1000 { // ids of a are far ahead, if nothing brings the others up
			a.r.Connect("many", "sse").Close()
		}
		pass(time.Second)
		var order []*Connection
		for _, n := range []*testNode{b, a, c, b, c} {
			_, answered := n.r.Poll("ada", "poll", nil)
			answered() // which is no stream
			order = append(order, n.r.Connect("ada", "sse"))
			pass(2 * beatEvery)
		}
		pass(settle + 2*batch)
		var over []*Connection
		for _, n := range []*testNode{a, b, c} {
			over = append(over, n.superseded()...)
		}
		if len(over) != 2 || !slices.Contains(over, order[0]) || !slices.Contains(over, order[1]) {
			t.Errorf("%d were ended, want the two oldest", len(over))
		}
	})
}

// A client that changes nodes, or whose node dies, does not count twice.
func TestWhoMovesIsNotOneTooMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		bus := &MemoryBus{}
		mortal := &mortalBus{Bus: bus}
		a, b, dead := startNode(t, bus, "a"), startNode(t, bus, "b"), startNode(t, mortal, "dead")
		a.r.Connect("ada", "sse")
		moved := a.r.Connect("ada", "sse")
		dead.r.Connect("ada", "sse")
		pass(time.Second)
		moved.Close()
		b.r.Connect("ada", "sse")
		pass(time.Minute)
		mortal.dead.Store(true)
		b.r.Connect("ada", "sse")
		pass(time.Minute)
		if n := len(a.superseded()) + len(b.superseded()); n != 0 {
			t.Errorf("%d were ended", n)
		}
	})
}

// A mortalBus is one node's, which can die: then it says nothing more.
type mortalBus struct {
	Bus
	dead atomic.Bool
}

func (b *mortalBus) Publish(data []byte) error {
	if b.dead.Load() {
		return nil
	}
	return b.Bus.Publish(data)
}
