package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

var (
	_ auth.TicketStore     = (*natslog.Bucket)(nil)
	_ auth.RevocationStore = (*natslog.Bucket)(nil)
)

func openTickets(t *testing.T, l *natslog.Log) *auth.Tickets {
	t.Helper()
	b, err := l.Tickets(t.Context(), auth.TicketTTL)
	if err != nil {
		t.Fatal(err)
	}
	return auth.NewTickets(b, auth.TicketOptions{})
}

// ann is somebody whose token lasts an hour.
func ann() *auth.Identity {
	now := time.Now().UTC().Truncate(time.Second)
	return &auth.Identity{
		User: "ann @ home", Groups: []string{"fleet-7"}, Scopes: auth.Scopes{auth.ScopeInbox},
		Expires: now.Add(time.Hour), TokenID: "t1", IssuedAt: now.Add(-time.Minute),
	}
}

func someone(user string) *auth.Identity {
	id := ann()
	id.User = user
	return id
}

func issue(t *testing.T, tickets *auth.Tickets) string {
	t.Helper()
	ticket, _, err := tickets.Issue(t.Context(), ann())
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

func TestTicketIsRedeemedByOneOfAllNodes(t *testing.T) {
	url := serve(t)
	a := openTickets(t, open(t, natslog.Options{URL: url}))
	b := openTickets(t, open(t, natslog.Options{URL: url}))
	const rounds, redeemers = 10, 32
	for range rounds {
		ticket := issue(t, a)
		var won atomic.Int32
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for n := range redeemers {
			node := []*auth.Tickets{a, b}[n%2]
			wg.Go(func() {
				<-begin
				id, err := node.Redeem(t.Context(), ticket)
				switch {
				case err == nil && id.User == ann().User:
					won.Add(1)
				case !errors.Is(err, auth.ErrInvalid):
					t.Errorf("got %+v, %v", id, err)
				}
			})
		}
		close(begin)
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("%d of %d won", won.Load(), redeemers)
		}
	}
}

func TestTicketStaysUsedAcrossARestart(t *testing.T) {
	dir := t.TempDir()
	first := open(t, natslog.Options{Dir: dir})
	tickets := openTickets(t, first)
	used, unused := issue(t, tickets), issue(t, tickets)
	if _, err := tickets.Redeem(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	shut(t, first)
	if _, err := tickets.Redeem(t.Context(), unused); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrInvalid) {
		t.Errorf("while the store is away: %v", err)
	}

	tickets = openTickets(t, open(t, natslog.Options{Dir: dir}))
	if _, err := tickets.Redeem(t.Context(), used); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("the used one: %v", err)
	}
	if id, err := tickets.Redeem(t.Context(), unused); err != nil || id.User != ann().User {
		t.Errorf("the unused one: %+v, %v", id, err)
	}
	if _, err := tickets.Redeem(t.Context(), unused); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("the second time: %v", err)
	}
}

func TestTicketsAreForgottenAfterTheirTime(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	b, err := l.Tickets(t.Context(), 300*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"first", "second"} {
		if err := b.Create(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Create(t.Context(), "second", nil); !errors.Is(err, inbox.ErrConflict) {
		t.Fatalf("a key was given twice: %v", err)
	}
	for until := time.Now().Add(limit); b.Create(t.Context(), "second", []byte("again")) != nil; {
		if time.Now().After(until) {
			t.Fatal("the key was not forgotten")
		}
	}
	if v, err := b.Take(t.Context(), "first"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("the first: %q, %v", v, err)
	}
}

// A node is what has revocations.
type node struct {
	*auth.Revocations
	log     *natslog.Log
	changed chan auth.Revocation
}

func startNode(t *testing.T, o natslog.Options) node {
	t.Helper()
	n := node{log: open(t, o), changed: make(chan auth.Revocation, 16)}
	b, err := n.log.Revocations(t.Context(), auth.DefaultRevocationTTL)
	if err != nil {
		t.Fatal(err)
	}
	n.Revocations = auth.NewRevocations(b, auth.RevocationOptions{})
	n.Changed(func(r auth.Revocation) { n.changed <- r })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- n.Run(ctx) }() // ends with ctx
	t.Cleanup(func() { cancel(); wait(t, done) })
	wait(t, n.Loaded())
	return n
}

func revoke(t *testing.T, n node, r auth.Revocation) {
	t.Helper()
	if err := n.Revoke(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func TestRevocationIsInForceOnAllNodes(t *testing.T) {
	const soon = 2 * time.Second
	dir := t.TempDir()
	s := startServer(t, server.RANDOM_PORT, dir)
	port, url := s.Addr().(*net.TCPAddr).Port, s.ClientURL()
	a, b := startNode(t, natslog.Options{URL: url}), startNode(t, natslog.Options{URL: url})
	for _, r := range []auth.Revocation{{TokenID: ann().TokenID}, {User: ann().User}} {
		began := time.Now()
		revoke(t, a, r)
		if !a.Revoked(ann()) {
			t.Errorf("%+v is not in force where it was made", r)
		}
		if got := wait(t, b.changed); got.TokenID != r.TokenID || got.User != r.User || !got.Matches(ann()) {
			t.Errorf("the other node heard %+v, not %+v", got, r)
		}
		if took := time.Since(began); !b.Revoked(ann()) || took > soon {
			t.Errorf("%+v: %v after %v", r, b.Revoked(ann()), took)
		}
	}

	// What is revoked while the store is away fails, and is heard of later.
	s.Shutdown()
	s.WaitForShutdown()
	late := auth.Revocation{TokenID: "late"}
	if err := a.Revoke(t.Context(), late); !errors.Is(err, inbox.ErrUnavailable) {
		t.Fatalf("without a store: %v", err)
	}
	if !b.Revoked(ann()) {
		t.Error("what was known was given up")
	}
	startServer(t, port, dir)
	for until := time.Now().Add(limit); a.Revoke(t.Context(), late) != nil; {
		if time.Now().After(until) {
			t.Fatal("the store does not come back")
		}
	}
	began := time.Now()
	if got := wait(t, b.changed); got != late {
		t.Errorf("heard %+v after the restart", got)
	}
	// The client library by itself would notice after 25 seconds that the
	// restarted server has forgotten its watch. Connecting again is in this too.
	if took := time.Since(began); took > 5*soon {
		t.Errorf("heard after %v", took)
	} else {
		t.Logf("heard after %v", took)
	}
	if c := startNode(t, natslog.Options{URL: url}); !c.Revoked(ann()) || !c.Revoked(&auth.Identity{TokenID: "late"}) {
		t.Error("a new node does not know what was revoked before it")
	}
}

func TestRevocationsOfOneUserOnlyWiden(t *testing.T) {
	url := serve(t)
	nodes := []node{startNode(t, natslog.Options{URL: url}), startNode(t, natslog.Options{URL: url})}
	base := time.Now().Add(-time.Hour).UTC().Truncate(time.Second)
	const most = 20
	var wg sync.WaitGroup
	for n := range most {
		wg.Go(func() {
			before := base.Add(time.Duration(n) * time.Minute)
			if err := nodes[n%2].Revoke(t.Context(), auth.Revocation{User: "ann", Before: before}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	issued := base.Add((most-1)*time.Minute - 1)
	if c := startNode(t, natslog.Options{URL: url}); !c.Revoked(&auth.Identity{User: "ann", IssuedAt: issued}) {
		t.Error("the latest moment was lost")
	}
}

func TestTicketsAndRevocationsGoOnBelowTheReserve(t *testing.T) {
	n := startNode(t, natslog.Options{Dir: t.TempDir(), Reserve: 1 << 62})
	if !n.log.Full() {
		t.Fatal("an exabyte is free")
	}
	tickets := openTickets(t, n.log)
	if _, err := tickets.Redeem(t.Context(), issue(t, tickets)); err != nil {
		t.Error(err)
	}
	revoke(t, n, auth.Revocation{User: "ann"})
}

// A cluster of three: a ticket of one node is found by the next at once, and used
// up for all of them.
func TestTicketIsFoundOnEveryNodeOfACluster(t *testing.T) {
	urls := cluster(t, 3)
	var nodes []*auth.Tickets
	for _, url := range urls {
		nodes = append(nodes, openTickets(t, open(t, natslog.Options{URL: url, Replicas: len(urls)})))
	}
	const clients, rounds = 32, 30
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for n := range rounds {
				at := func(i int) *auth.Tickets { return nodes[(c+n+i)%len(nodes)] }
				ticket, _, err := at(0).Issue(t.Context(), someone(fmt.Sprint("u", c)))
				if err == nil {
					_, err = at(1).Redeem(t.Context(), ticket)
				}
				if err != nil {
					t.Errorf("client %d, ticket %d: %v", c, n, err)
					return
				}
				if _, err := at(2).Redeem(t.Context(), ticket); !errors.Is(err, auth.ErrInvalid) {
					t.Errorf("client %d, ticket %d, used: %v", c, n, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// cluster runs servers that know each other and returns their URLs once they have
// a leader.
func cluster(t *testing.T, size int) (urls []string) {
	t.Helper()
	var routes []string
	var ports []int
	for range size {
		// Every server must know all routes before it starts.
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
		routes = append(routes, "nats://"+l.Addr().String())
		l.Close()
	}
	var servers []*server.Server
	for n := range size {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", n), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
			Cluster: server.ClusterOpts{Name: "test", Host: "127.0.0.1", Port: ports[n]},
			Routes:  server.RoutesFromStr(strings.Join(routes, ",")),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers = append(servers, s)
	}
	for _, s := range servers {
		if !s.ReadyForConnections(limit) {
			t.Fatal("a server did not start")
		}
		urls = append(urls, s.ClientURL())
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	knowsAll := func(s *server.Server) bool { return s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == size }
	for until := time.Now().Add(limit); !slices.ContainsFunc(servers, knowsAll); <-tick.C {
		if time.Now().After(until) {
			t.Fatal("the cluster has no leader who knows all")
		}
	}
	return urls
}
