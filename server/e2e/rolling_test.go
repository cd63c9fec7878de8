package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A rolling restart: nodes behind nginx are restarted one after the other, while
// readers stay until they are sent away and publishers go on. In a test run it is
// small; by hand it is what docs/cluster.md reports:
//
//	TOCSIN_ROLLING_READERS=1000 TOCSIN_ROLLING_RATE=500 TOCSIN_ROLLING_DRAIN=30s \
//	  go test -timeout 20m -v -run TestARollingRestart ./server/e2e
type rolling struct {
	readers int
	rate    int // alarms a second
	drain   time.Duration
	nodes   []*server
	front   string
	hoppers []*hopper
	senders []*steadyPublisher

	mu     sync.Mutex
	phase  int
	phases [2][]time.Duration // how late alarms were read: before, and while nodes restart
}

const rollingDevices = 400

// rollingWays are how the readers read: most over a stream, as it is where there are many.
var rollingWays = []string{"ws", "sse", "longpoll", "poll", "page", "ws", "sse", "ws", "sse", "ws"}

// newRolling reads how large it is to be.
func newRolling(t *testing.T) *rolling {
	t.Helper()
	r := &rolling{readers: 40, rate: 100, drain: 4 * time.Second}
	for name, to := range map[string]*int{"TOCSIN_ROLLING_READERS": &r.readers, "TOCSIN_ROLLING_RATE": &r.rate} {
		if v := os.Getenv(name); v != "" {
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			*to = n
		}
	}
	if v := os.Getenv("TOCSIN_ROLLING_DRAIN"); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil {
			t.Fatal(err)
		}
		r.drain = d
	}
	return r
}

// begin has the readers and publishers come, who are gone when all have been told to.
func (r *rolling) begin(reading, publishing context.Context, t *testing.T, readers, publishers *sync.WaitGroup) {
	t.Helper()
	a := r.nodes[0]
	var addresses []string
	for _, s := range r.nodes {
		addresses = append(addresses, s.http)
	}
	r.front = transporttest.Nginx(t, addresses)
	groups := max(4, r.readers/10)
	var directory strings.Builder
	for i := range rollingDevices {
		fmt.Fprintf(&directory, `{"device":"device-%d","groups":["group-%d"]}`+"\n", i, i%groups)
	}
	a.want(a.request("POST", "/v1/directory", a.root(), directory.String(), "Content-Type", "application/x-ndjson"), 200)
	for i := range r.readers {
		h := newHopper(a, fmt.Sprint("user-", i), uint64(i), rollingWays[i%len(rollingWays):][:1], fmt.Sprint("group-", i/len(rollingWays)%groups))
		h.base = r.front
		if h.ways[0] != "poll" { // which is as late as its client is lazy
			h.came = r.record
		}
		h.rest = max(h.rest, time.Duration(r.readers)*time.Millisecond)
		h.begin(t)
		r.hoppers = append(r.hoppers, h)
		readers.Go(func() { h.run(reading, time.Hour) }) // ends with the context; a stay lasts until the node goes
	}
	const each = 50 // alarms a second of one publisher
	for i := range max(1, r.rate/each) {
		p := &steadyPublisher{name: fmt.Sprint("publisher-", i), every: steadyBatch * time.Second / each}
		r.senders = append(r.senders, p)
		publishers.Go(func() { p.run(publishing, a, r.front) }) // ends with the context
	}
}

// record notes how late an alarm is.
func (r *rolling) record(e entry) {
	due, err := strconv.ParseInt(e.Alarm.Message, 10, 64)
	if err != nil {
		return // one of those that watchDrain sends
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.phases[r.phase] = append(r.phases[r.phase], time.Since(time.Unix(0, due)))
}

// restart stops a node and starts it again, and returns how many alarms it took by hand
// meanwhile.
func (r *rolling) restart(t *testing.T, s *server) int {
	t.Helper()
	d := watchDrain(t, s)
	t.Logf("unready after %s, refused after %s, ended after %s; %d polls", d.unready, d.refused, d.ended, len(d.polls))
	if d.unready == 0 || d.unready > time.Second {
		t.Errorf("not ready any more after %s", d.unready)
	}
	if linger := min(r.drain, 5*time.Second); d.refused < linger {
		t.Errorf("a connection was refused after %s, while clients were still sent here", d.refused)
	}
	if other := func(status int) bool { return status != 200 }; len(d.polls) == 0 || slices.ContainsFunc(d.polls, other) {
		t.Errorf("polls meanwhile: %v", d.polls)
	}
	// A log whose leader is being elected refuses for a moment, and these do not ask again.
	if other := func(status int) bool { return status != 202 && status != 503 }; slices.ContainsFunc(d.sent, other) || !slices.Contains(d.sent, 202) {
		t.Errorf("publishing meanwhile: %v", d.sent)
	}
	s.start()
	// Whoever restarts the next one waits until clients come to this one again.
	within(t, patience, "clients come to the node again", func() bool {
		var p presenceAnswer
		s.want(s.request("GET", "/v1/presence?limit=1", s.root(), ""), 200).json(t, &p)
		i := slices.IndexFunc(p.Nodes, func(n presenceNode) bool { return n.Node == s.name() })
		return i >= 0 && p.Nodes[i].Connections > 0
	})
	taken := slices.DeleteFunc(d.sent, func(status int) bool { return status != 202 })
	return len(taken)
}

// run restarts all nodes: nobody loses or repeats anything, and what a publisher was
// refused it is not when it asks again.
func (r *rolling) run(t *testing.T) {
	t.Helper()
	reading, cancel := context.WithCancel(t.Context())
	publishing, enough := context.WithCancel(t.Context())
	var readers, publishers sync.WaitGroup
	defer func() { enough(); publishers.Wait(); cancel(); readers.Wait() }()
	r.begin(reading, publishing, t, &readers, &publishers)
	settled := func() bool { return !slices.ContainsFunc(r.hoppers, func(h *hopper) bool { return h.count() == 0 }) }
	within(t, patience, "everybody reads", settled)
	r.mu.Lock()
	r.phases[0] = nil
	r.mu.Unlock()
	pause(t.Context(), r.drain/2) // for comparison: as it is without restarts
	r.mu.Lock()
	r.phase = 1
	r.mu.Unlock()
	sent := 0
	for _, s := range r.nodes {
		sent += r.restart(t, s)
	}
	enough()
	publishers.Wait()
	refused := map[string]int{}
	for _, p := range r.senders {
		sent += p.sent
		for _, f := range p.failed {
			refused[f]++
		}
	}
	t.Logf("%d alarms; refused, and taken when sent again: %v", sent, refused)
	var entries []entry
	for end := time.Now().Add(patience); len(entries) < sent && time.Now().Before(end); {
		entries = everything(t, r.nodes[0])
	}
	if len(entries) < sent {
		for _, s := range r.nodes {
			t.Errorf("%s shows %d entries", s.name(), len(everything(t, s)))
		}
		r.missing(t, entries)
	}
	if len(entries) != sent {
		t.Errorf("%d entries are shown, want %d", len(entries), sent)
	}
	settle(t, r.hoppers, entries)
	cancel()
	readers.Wait()
	checkAll(t, r.hoppers, entries)
	for i, when := range []string{"before", "while nodes restart"} {
		t.Logf("%s, from when an alarm was due until it is read: %s", when, quantiles(r.phases[i]))
	}
}

// missing says which of what the publishers were told is stored is not shown.
func (r *rolling) missing(t *testing.T, entries []entry) {
	t.Helper()
	shown := map[string]bool{}
	for _, e := range entries {
		shown[e.Alarm.Type] = true
	}
	for _, p := range r.senders {
		for n := range p.sent {
			if name := fmt.Sprint(p.name, "-", n); !shown[name] {
				t.Logf("%s is not shown", name)
			}
		}
	}
}

// quantiles sorts them, and says how they are spread.
func quantiles(all []time.Duration) string {
	slices.Sort(all)
	if len(all) == 0 {
		return "none"
	}
	at := func(q float64) time.Duration { return all[int(q*float64(len(all)-1))].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %v, p99 %v, p99.9 %v, most %v, of %d", at(.5), at(.99), at(.999), at(1), len(all))
}

// The gateways' own engines are the cluster: with each restart a replica of the log goes
// and comes back, and now and then its leader.
func TestARollingRestartOfAClusterLosesNothing(t *testing.T) {
	r := newRolling(t)
	c := prepareCluster(t, "--fold", "0", "--drain", r.drain.String())
	c.start(c.nodes...)
	r.nodes = c.nodes
	r.run(t)
}

// The gateways hold nothing: the log is elsewhere.
func TestARollingRestartOfGatewaysLosesNothing(t *testing.T) {
	r := newRolling(t)
	url := startNATS(t)
	for i := range 2 {
		r.nodes = append(r.nodes, newServer(t, "--nats-url", url, "--node", fmt.Sprint("gw", i+1), "--fold", "0", "--drain", r.drain.String()))
	}
	r.run(t)
}

// A steadyPublisher sends batches of new alarms at its pace, each again with its ids
// until it has been answered. Their messages say when they were due.
type steadyPublisher struct {
	name   string
	every  time.Duration
	mu     sync.Mutex
	sent   int // alarms that were acknowledged
	failed []string
}

// steadyBatch is how many alarms are sent at once.
const steadyBatch = 5

func (p *steadyPublisher) run(ctx context.Context, s *server, base string) {
	root := s.root()
	due := time.Now()
	for batch := 0; ctx.Err() == nil; batch++ {
		var body bytes.Buffer
		for i := range steadyBatch {
			n := batch*steadyBatch + i
			fmt.Fprintf(&body, `{"id":"%[1]s-%[2]d","device":"device-%[3]d","type":"%[1]s-%[2]d","severity":"major","message":"%[4]d"}`+"\n",
				p.name, n, n%rollingDevices, due.UnixNano())
		}
		for {
			// A batch that was begun is brought to its end.
			a, err := request(context.WithoutCancel(ctx), "POST", base+"/v1/alarms", root, body.String(), "Content-Type", "application/x-ndjson")
			if err == nil && a.status == 202 && !strings.Contains(a.body, `"rejected"`) {
				break
			}
			p.mu.Lock()
			p.failed = append(p.failed, fmt.Sprint(a.status, " ", err))
			p.mu.Unlock()
			pause(ctx, 50*time.Millisecond)
		}
		p.mu.Lock()
		p.sent += steadyBatch
		p.mu.Unlock()
		due = due.Add(p.every) // who is late hurries
		pause(ctx, time.Until(due))
	}
}
