package natslog_test

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// nodes are three logs whose engines are one.
type nodes struct {
	options []natslog.Options
	logs    []*natslog.Log
}

// newNodes starts three nodes.
func newNodes(t *testing.T) *nodes {
	t.Helper()
	const n = 3
	var peers []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		peers = append(peers, l.Addr().String())
		l.Close()
	}
	c := &nodes{logs: make([]*natslog.Log, n)}
	for i := range n {
		c.options = append(c.options, natslog.Options{
			Dir: t.TempDir(), Replicas: n, Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
			Cluster: &natslog.Cluster{Name: "c", Node: fmt.Sprint("n", i), Listen: peers[i], Peers: peers, Secret: "s"},
		})
	}
	return c
}

// start opens those that are not open.
func (c *nodes) start(t *testing.T) {
	t.Helper()
	var wg sync.WaitGroup
	for i := range c.logs {
		if c.logs[i] == nil {
			wg.Go(func() { c.logs[i] = open(t, c.options[i]) })
		}
	}
	wg.Wait()
}

func TestAClusterOfThreeIsOneLog(t *testing.T) {
	c := newNodes(t)
	c.start(t)
	for i, l := range c.logs {
		r := l.Append(t.Context(), inbox.Proposal{Subject: fmt.Sprintf("alarm.d%d.t._", i), Data: []byte("{}")})
		if r[0].Err != nil || r[0].Seq != uint64(i+1) {
			t.Errorf("node %d: %+v", i, r[0])
		}
	}
	for i, l := range c.logs {
		if b, err := l.Bounds(t.Context()); b.Last != 3 || err != nil {
			t.Errorf("node %d: %+v, %v", i, b, err)
		}
	}
}
