package e2e

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A fault is one thing that goes wrong.
type fault struct {
	name string
	// strike begins it, and returns what ends it.
	strike func() (mend func())
	// most is how long it may last.
	most time.Duration
}

// A process is one that faults strike.
type process interface {
	kill()
	up() error
	freeze()
	thaw()
}

var _, _ process = (*server)(nil), (*natsNode)(nil)

func (s *server) freeze() { s.tell(syscall.SIGSTOP) }
func (s *server) thaw()   { s.tell(syscall.SIGCONT) }

// tell sends a signal that the process outlives.
func (s *server) tell(sig syscall.Signal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Errorf("%v: %v", sig, err)
	}
}

// startAll starts processes at once: none may come up before others do.
func startAll[P interface{ up() error }](t *testing.T, list ...P) {
	t.Helper()
	failed := make([]error, len(list))
	var all sync.WaitGroup
	for i, p := range list {
		all.Go(func() { failed[i] = p.up() })
	}
	all.Wait()
	for _, err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// killing is kill -9, and a start afterwards.
func killing(t *testing.T, which func() []process) func() func() {
	return func() func() {
		list := which()
		for _, p := range list {
			p.kill()
		}
		return func() { startAll(t, list...) }
	}
}

// freezing stops a process in its steps, and lets it go on afterwards.
func freezing(which func() []process) func() func() {
	return func() func() {
		list := which()
		for _, p := range list {
			p.freeze()
		}
		return func() {
			for _, p := range list {
				p.thaw()
			}
		}
	}
}

// filling takes so much of the disk that less than the reserve is left.
func filling(t *testing.T, ballast int64) func() func() {
	return func() func() {
		file, err := os.Create(filepath.Join(t.TempDir(), "ballast"))
		if err == nil {
			err = syscall.Fallocate(int(file.Fd()), 0, 0, ballast)
		}
		if err != nil {
			t.Fatalf("take %d bytes of the disk: %v", ballast, err)
		}
		return func() {
			if err := file.Truncate(0); err != nil {
				t.Error(err)
			}
			file.Close()
		}
	}
}

// settingClock sets a node's clock forwards by some minutes, and back afterwards: within
// --dedupe-window, which is how long ids are remembered by that clock.
func settingClock(rng *rand.Rand, which func() []process) func() func() {
	return func() func() {
		s := which()[0].(*server)
		d := time.Duration(1+rng.IntN(4)) * time.Minute
		s.step(d)
		return func() { s.step(-d) }
	}
}

// reserveBelow is a reserve that a ballast makes the disk fall below, both large
// enough for what others write to the disk meanwhile to make no difference.
func reserveBelow(t *testing.T) (reserve, ballast int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(t.TempDir(), &fs); err != nil {
		t.Fatal(err)
	}
	free := int64(fs.Bavail) * fs.Bsize
	ballast = min(8<<30, free/2)
	return free - ballast/2, ballast
}

// wiredCluster starts three nodes that keep one log, connected by wires, and says
// what can happen to them.
func wiredCluster(t *testing.T, rng *rand.Rand, flags ...string) ([]*server, []fault) {
	t.Helper()
	reserve, ballast := reserveBelow(t)
	c := &cluster{t: t}
	var addresses []string
	for range 3 {
		addresses = append(addresses, transporttest.FreeAddress(t))
	}
	lines := layWires(t, addresses)
	for i, listen := range addresses {
		s := prepareServer(t, append([]string{"--cluster-node", fmt.Sprint("n", i), "--cluster-listen", listen,
			"--cluster-peers", strings.Join(lines.seenFrom(i, addresses), ","), "--reserve", fmt.Sprint(reserve)}, flags...)...)
		s.flags = append(s.flags, "--cluster-secret-file", s.secretFile())
		s.tells = true
		s.clock = s.withClock()
		s.clock.apart = true
		c.nodes = append(c.nodes, s)
	}
	c.start(c.nodes...)
	leader := func() []process { return []process{c.leader()} }
	follower := func() []process { return []process{c.others(c.leader())[rng.IntN(2)]} }
	cutting := func(which func() []process) func() func() {
		return func() func() {
			i := slices.Index(c.nodes, which()[0].(*server))
			lines.isolate(i, true)
			return func() { lines.isolate(i, false) }
		}
	}
	all := func() []process { return []process{c.nodes[0], c.nodes[1], c.nodes[2]} }
	const short, long = 4 * time.Second, 10 * time.Second
	return c.nodes, []fault{
		{"kill a follower", killing(t, follower), short},
		{"kill the leader", killing(t, leader), short},
		{"stop a follower", freezing(follower), long},
		{"stop the leader", freezing(leader), long},
		{"cut off a follower", cutting(follower), long},
		{"cut off the leader", cutting(leader), long},
		{"restart all", killing(t, all), time.Second},
		{"less than the reserve is free", filling(t, ballast), short},
		{"set the clock of a follower", settingClock(rng, follower), long},
		{"set the clock of the leader", settingClock(rng, leader), long},
	}
}

// A natsNode is one of several external servers.
type natsNode struct {
	*program
	address string
}

// newNATSCluster starts three external servers that keep one log, connected by
// wires.
func newNATSCluster(t *testing.T) ([]*natsNode, wires) {
	t.Helper()
	binary := buildNATS(t)
	var routes []string
	for range 3 {
		routes = append(routes, transporttest.FreeAddress(t))
	}
	lines := layWires(t, routes)
	var nodes []*natsNode
	for i, listen := range routes {
		dir := t.TempDir()
		n := &natsNode{address: transporttest.FreeAddress(t)}
		peers := slices.DeleteFunc(lines.seenFrom(i, routes), func(a string) bool { return a == listen })
		conf := fmt.Sprintf(`server_name: s%d
listen: %q
jetstream { store_dir: %q }
cluster { name: "check", listen: %q, no_advertise: true, ping_interval: "2s", ping_max: 2, routes: ["nats://%s"] }
`, i, n.address, filepath.Join(dir, "store"), listen, strings.Join(peers, `", "nats://`))
		file := filepath.Join(dir, "nats.conf")
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		n.program = newProgram(t, n.address, binary, "-c", file)
		nodes = append(nodes, n)
	}
	startAll(t, nodes[0], nodes[1], nodes[2])
	return nodes, lines
}

// stepDown has the leader of the log hand it to another server.
func (n *natsNode) stepDown() error {
	c, err := net.DialTimeout("tcp", n.address, attemptTimeout)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(attemptTimeout))
	if _, err := fmt.Fprint(c, "CONNECT {\"verbose\":false}\r\nSUB check.answer 1\r\nPUB $JS.API.STREAM.LEADER.STEPDOWN.LOG check.answer 0\r\n\r\n"); err != nil {
		return err
	}
	in := bufio.NewScanner(c)
	for in.Scan() {
		switch {
		case strings.HasPrefix(in.Text(), "PING"):
			fmt.Fprint(c, "PONG\r\n")
		case strings.Contains(in.Text(), `"success":true`):
			return nil
		case strings.Contains(in.Text(), `"error"`), strings.HasPrefix(in.Text(), "-ERR"):
			return fmt.Errorf("step down: %s", in.Text())
		}
	}
	return fmt.Errorf("step down: no answer, %w", in.Err())
}

// externalCluster starts three gateways on three external servers, and says what
// can happen to all of them.
func externalCluster(t *testing.T, rng *rand.Rand, flags ...string) ([]*server, []fault) {
	t.Helper()
	stores, lines := newNATSCluster(t)
	var urls []string
	for _, n := range stores {
		urls = append(urls, "nats://"+n.address)
	}
	c := &cluster{t: t}
	for i := range 3 {
		s := prepareServer(t, append([]string{"--node", fmt.Sprint("gw", i), "--nats-url", strings.Join(urls, ","), "--replicas", "3"}, flags...)...)
		s.tells = true
		c.nodes = append(c.nodes, s)
	}
	c.start(c.nodes...)
	store := func() []process { return []process{stores[rng.IntN(3)]} }
	gateway := func() []process { return []process{c.nodes[rng.IntN(3)]} }
	const short, long = 4 * time.Second, 8 * time.Second
	return c.nodes, []fault{
		{"kill a server of the log", killing(t, store), short},
		{"stop a server of the log", freezing(store), long},
		{"kill a gateway", killing(t, gateway), short},
		{"stop a gateway", freezing(gateway), long},
		{"restart all servers of the log", killing(t, func() []process { return []process{stores[0], stores[1], stores[2]} }), time.Second},
		{"cut off a server of the log", func() func() {
			i := rng.IntN(3)
			lines.isolate(i, true)
			return func() { lines.isolate(i, false) }
		}, long},
		{"the leader of the log steps down", func() func() {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			var err error
			waitFor(ctx, nil, func() bool { err = stores[rng.IntN(3)].stepDown(); return err == nil })
			if err != nil {
				t.Error(err)
			}
			return func() {}
		}, time.Second},
	}
}
