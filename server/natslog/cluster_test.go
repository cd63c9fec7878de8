package natslog_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
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

// Events of one alarm that race at all nodes are stored once each; those that lose are
// told so, and the log goes on.
func TestALostRaceDoesNotStopACluster(t *testing.T) {
	c := newNodes(t)
	c.start(t)
	const rounds = 20
	for round := range rounds {
		var wg sync.WaitGroup
		receipts := make([]inbox.Receipt, len(c.logs))
		for i, l := range c.logs {
			wg.Go(func() {
				receipts[i] = l.Append(t.Context(), inbox.Proposal{
					Subject: "alarm.d.t._", Expect: uint64(round), ID: fmt.Sprint(round, "-", i), Data: []byte("{}"),
				})[0]
			})
		}
		wg.Wait()
		won := 0
		for i, r := range receipts {
			switch {
			case r.Err == nil && r.Seq == uint64(round+1) && !r.Duplicate:
				won++
			case !errors.Is(r.Err, inbox.ErrConflict):
				t.Errorf("round %d, node %d: %+v", round, i, r)
			}
		}
		if won != 1 {
			t.Fatalf("round %d: %d have won: %+v", round, won, receipts)
		}
	}
	// Sent again after others, an event still has its first answer.
	for i, l := range c.logs {
		again := l.Append(t.Context(), inbox.Proposal{Subject: "alarm.d.t._", Expect: 1, ID: "r", Data: []byte("{}")})[0]
		first := l.Append(t.Context(), inbox.Proposal{Subject: "alarm.e.t._", Expect: uint64(0), ID: fmt.Sprint("first-", i), Data: []byte("{}")})[0]
		if !errors.Is(again.Err, inbox.ErrConflict) || i == 0 && first.Err != nil || i > 0 && !errors.Is(first.Err, inbox.ErrConflict) {
			t.Errorf("node %d: %+v, %+v", i, again, first)
		}
		if r := l.Append(t.Context(), inbox.Proposal{Subject: "alarm.e.t._", Expect: 7, ID: "first-0", Data: []byte("{}")})[0]; r.Err != nil || !r.Duplicate || r.Seq != rounds+1 {
			t.Errorf("node %d, again: %+v", i, r)
		}
	}
}

// Who leads the log and goes hands it over before: nobody waits for an election.
func TestALeaderThatGoesHandsOver(t *testing.T) {
	c := newNodes(t)
	c.start(t)
	if r := c.logs[0].Append(t.Context(), inbox.Proposal{Subject: "alarm.d.t._", Data: []byte("{}")}); r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	i := slices.IndexFunc(c.logs, (*natslog.Log).Leads)
	if i < 0 {
		t.Fatal("nobody leads")
	}
	if err := c.logs[i].Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	others := slices.Delete(slices.Clone(c.logs), i, i+1)
	if !slices.ContainsFunc(others, (*natslog.Log).Leads) {
		t.Error("nobody leads when the leader has gone")
	}
	for n, l := range others {
		if r := l.Append(t.Context(), inbox.Proposal{Subject: fmt.Sprintf("alarm.d%d.t._", n), Data: []byte("{}")}); r[0].Err != nil {
			t.Errorf("%d of the others: %v", n, r[0].Err)
		}
	}
}
