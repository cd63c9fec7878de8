package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Nodes are servers whose logs are one. Clients connect to them in turns; what is
// asked of one of them is asked of the first.
type nodes struct {
	*server
	all    []*server
	flags  [][]string // what each was started with
	core   int
	turn   atomic.Uint32 // of readers
	writer atomic.Uint32 // of publishers
}

var _ service = (*nodes)(nil)

// several is the starter of a cluster, or of a single server. All nodes share the
// service's core.
func (b *bench) several(n int) starter {
	return func(ctx context.Context, core int) (service, error) { return b.startNodes(ctx, core, n) }
}

func (b *bench) startNodes(ctx context.Context, core, n int) (*nodes, error) {
	c := &nodes{core: core, all: make([]*server, n), flags: make([][]string, n)}
	if n > 1 {
		secret := filepath.Join(b.dir, "cluster.key")
		if err := os.WriteFile(secret, bytes.Repeat([]byte("5ec2e7"), 10), 0o600); err != nil {
			return nil, err
		}
		peers, err := freeAddresses(n)
		if err != nil {
			return nil, err
		}
		for i, peer := range peers {
			c.flags[i] = []string{"--cluster-node", fmt.Sprint("n", i), "--cluster-listen", peer,
				"--cluster-peers", strings.Join(peers, ","), "--cluster-secret-file", secret}
		}
	}
	errs := make([]error, n)
	var starting sync.WaitGroup
	for i := range n { // none comes up before most of them do
		// Ends when the node serves, or with its error.
		starting.Go(func() { c.all[i], errs[i] = b.startServer(ctx, core, c.flags[i]...) })
	}
	starting.Wait()
	if err := errors.Join(errs...); err != nil {
		return nil, errors.Join(err, c.stop())
	}
	c.server = c.all[0]
	if n > 1 {
		select {
		case <-time.After(electing):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), c.stop())
		}
	}
	return c, nil
}

// electing is how long a cluster that has just begun is left alone: it elects the leaders
// of its streams, and on a busy machine a node may lose touch with the log meanwhile.
const electing = 5 * time.Second

// freeAddresses are of ports that nobody had a moment ago.
func freeAddresses(n int) (all []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		all = append(all, l.Addr().String())
	}
	return all, nil
}

func (c *nodes) where() string {
	return c.all[int(c.turn.Add(1))%len(c.all)].addr
}

func (c *nodes) publishAt() string {
	return c.all[int(c.writer.Add(1))%len(c.all)].addr
}

func (c *nodes) cpu() (sum time.Duration, err error) {
	for _, s := range c.all {
		one, err := s.cpu()
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

func (c *nodes) memory() (sum int, err error) {
	for _, s := range c.all {
		one, err := s.memory()
		if err != nil {
			return 0, err
		}
		sum += one
	}
	return sum, nil
}

func (c *nodes) stop() error {
	errs := make([]error, len(c.all))
	var stopping sync.WaitGroup
	for i, s := range c.all {
		if s != nil {
			// Ends with the node, which has a limit.
			stopping.Go(func() { errs[i] = s.stop() })
		}
	}
	stopping.Wait()
	return errors.Join(errs...)
}

// The steady load that one core carries when it is three nodes as well.
func clusterRate(b *bench) grouped {
	return grouped{readers: pick(b, 60, 1000), groups: pick(b, 10, 100), rate: pick(b, 50, 200)}
}

// measureCluster does the same with one node and with three: what it costs that
// most of three nodes have stored an alarm before it is answered.
func measureCluster(ctx context.Context, b *bench) error {
	for _, n := range []int{1, 3} {
		name := func(what string) string {
			if n == 1 {
				return "one node: " + what
			}
			return fmt.Sprintf("%d nodes: %s", n, what)
		}
		one, err := b.singleOver(ctx, b.several(n))
		if err != nil {
			return fmt.Errorf("%d nodes: %w", n, err)
		}
		b.add(name(fmt.Sprintf("%d connections, one alarm a request, stored", singleConnections)), "alarms/s", one.rates...)
		for _, q := range []float64{50, 99} {
			b.add(name(fmt.Sprintf("the same, answered after, p%v", q)), "ms", quantile(one.took, q))
		}
		if err := b.clusterBatches(ctx, n, name); err != nil {
			return fmt.Errorf("%d nodes: %w", n, err)
		}
		l := clusterRate(b)
		d, err := b.groupsOver(ctx, b.several(n), overWS, l)
		if err != nil {
			return fmt.Errorf("%d nodes: %w", n, err)
		}
		for _, q := range []float64{50, 99, 99.9} {
			b.add(name(fmt.Sprintf("%d/s to %d readers in %d groups, a reader has it, p%v", l.rate, l.readers, l.groups, q)), "ms", quantile(d.took, q))
		}
		b.add(name("the same, CPU of all nodes a delivery"), "µs", d.cpu)
	}
	return nil
}

// clusterBatches publishes as measureStore does.
func (b *bench) clusterBatches(ctx context.Context, n int, name func(string) string) error {
	return b.on(ctx, b.several(n), func(g *stage) error {
		c := g.service.(*nodes)
		alarms := pick(b, 4_000, 40_000)
		var rates, costs []float64
		for round := range pick(b, 1, 4) {
			used, err := c.cpu()
			if err != nil {
				return err
			}
			rate, err := httpBatches(ctx, c.server, c.publishAt, round, alarms)
			if err != nil {
				return err
			}
			after, err := c.cpu()
			if err != nil {
				return err
			}
			if round > 0 || b.short { // the first warms up
				rates, costs = append(rates, rate), append(costs, micros(after-used)/float64(alarms))
			}
		}
		b.add(name(fmt.Sprintf("batches of %d over %d connections, stored", storeBatch, storeWriters)), "alarms/s", rates...)
		b.add(name("the same, CPU of all nodes an alarm"), "µs", costs...)
		return nil
	})
}

// measureFailover kills the node that leads the log, and takes the time until an
// alarm is accepted again.
func measureFailover(ctx context.Context, b *bench) error {
	c, err := b.startNodes(ctx, -1, 3)
	if err != nil {
		return err
	}
	defer func() { _ = c.stop() }()
	var took []float64
	for round := range pick(b, 1, 7) {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		name := fmt.Sprint("failover-", round)
		if _, err := c.publishUntil(ctx, c.all, name+"-before"); err != nil {
			return err
		}
		dead := c.all[leader]
		_ = dead.cmd.Process.Kill() // it has not ended by itself: it leads
		<-dead.done
		lasted, err := c.publishUntil(ctx, slices.Delete(slices.Clone(c.all), leader, leader+1), name)
		if err != nil {
			return err
		}
		took = append(took, lasted.Seconds())
		if c.all[leader], err = b.startServerOn(ctx, c.core, dead.dir, c.flags[leader]...); err != nil {
			return err
		}
		for _, s := range c.all {
			if err := s.awaitGauge(ctx, "tocsin_log_servers_current", len(c.all)); err != nil {
				return err
			}
		}
	}
	b.add("from killing the log's leader until an alarm is accepted", "s", took...).atMost(5)
	b.add("the longest of these", "s", slices.Max(took)).atMost(5)
	return nil
}

// leader waits until one of the nodes leads the log, and says which.
func (c *nodes) leader(ctx context.Context) (int, error) {
	for end := time.Now().Add(requestTimeout); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		for i, s := range c.all {
			text, err := ask(ctx, http.MethodGet, "http://"+s.ops+"/metrics", "", nil)
			if err == nil && bytes.Contains(text, []byte("\ntocsin_log_leader 1\n")) {
				return i, nil
			}
		}
	}
	return 0, errors.New("nobody leads the log")
}

// publishUntil sends one alarm to the nodes in turns until one has stored it. One that
// does not answer within a second is left, as a publisher would.
func (c *nodes) publishUntil(ctx context.Context, to []*server, name string) (time.Duration, error) {
	began := time.Now()
	token, err := to[0].token(publisher, group, "publish")
	if err != nil {
		return 0, err
	}
	body := alarm(nil, name, name, "the leader is gone")
	var last error
	for i := 0; time.Since(began) < requestTimeout; i++ {
		try, cancel := context.WithTimeout(ctx, time.Second)
		text, err := ask(try, http.MethodPost, "http://"+to[i%len(to)].addr+"/v1/alarms", token, body)
		cancel()
		if err == nil && bytes.Contains(text, raised) {
			return time.Since(began), nil
		}
		last = err
		time.Sleep(10 * time.Millisecond)
	}
	return 0, fmt.Errorf("no alarm is accepted any more: %w", last)
}
