package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// The checker: publishers over all doors and readers over all transports, while one
// fault after the other strikes three nodes, in an order that a seed decides; and
// then everything is looked through. By hand it runs longer:
//
//	TOCSIN_CHECK=10m TOCSIN_CHECK_READERS=300 TOCSIN_CHECK_SEED=7 go test -timeout 30m -run TestChecker ./server/e2e
//
// The seed decides what happens to whom, not how the machine's time is shared out:
// a run that failed is not always repeated by its seed.

// A check is one run.
type check struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	lasts   time.Duration
	readers int
	nodes   []*server
	front   *server // nginx
	feeders []*feeder
	hoppers []*hopper
	marks   []*marker
	rovers  []*hopper // whose groups change
}

// newCheck reads how long, with how many and by which seed.
func newCheck(t *testing.T, lasts time.Duration, readers int) *check {
	t.Helper()
	c := &check{t: t, seed: uint64(time.Now().UnixNano()) % 1e6, lasts: lasts, readers: readers}
	var errs [3]error
	if v := os.Getenv("TOCSIN_CHECK"); v != "" {
		c.lasts, errs[0] = time.ParseDuration(v)
	}
	if v := os.Getenv("TOCSIN_CHECK_READERS"); v != "" {
		c.readers, errs[1] = strconv.Atoi(v)
	}
	if v := os.Getenv("TOCSIN_CHECK_SEED"); v != "" {
		c.seed, errs[2] = strconv.ParseUint(v, 10, 64)
	}
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	c.rng = rand.New(rand.NewPCG(c.seed, 41))
	t.Cleanup(func() {
		t.Logf("TOCSIN_CHECK_SEED=%d", c.seed)
		for _, s := range c.nodes {
			if t.Failed() {
				t.Logf("%v said:\n%s", s.flags[:2], s.log)
			}
		}
	})
	return c
}

// checkFlags are for all nodes: folding and leases are short, for the worker to have
// work and successors.
var checkFlags = []string{"--fold", "1s", "--lease", "3s"}

func TestCheckerOfAnEmbeddedCluster(t *testing.T) {
	c := newCheck(t, 40*time.Second, 300)
	nodes, faults := wiredCluster(t, c.rng, checkFlags...)
	c.nodes = nodes
	c.run(faults)
}

func TestCheckerOfAnExternalCluster(t *testing.T) {
	c := newCheck(t, 20*time.Second, 300)
	nodes, faults := externalCluster(t, c.rng, checkFlags...)
	c.nodes = nodes
	c.run(faults)
}

// run lets everybody publish and read, strikes, and checks.
func (c *check) run(faults []fault) {
	t := c.t
	var addresses []string
	for _, s := range c.nodes {
		addresses = append(addresses, s.http)
	}
	c.front = &server{t: t, http: strings.TrimPrefix(transporttest.Nginx(t, addresses), "http://"), secret: c.nodes[0].secret}
	c.assign()
	ctx, cancel := context.WithCancel(t.Context())
	publishing, enough := context.WithCancel(ctx)
	var reading, feeding sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	c.addReaders()
	c.addRovers(4)
	c.addFeeders(2 * len(doors))
	for _, h := range c.hoppers {
		reading.Go(func() { h.run(ctx, 3*time.Second) }) // ends with the context
	}
	for _, m := range c.marks {
		reading.Go(func() { m.run(publishing) }) // ends with the context
	}
	for _, r := range c.rovers {
		reading.Go(func() { r.run(ctx, 3*time.Second) }) // ends with the context
	}
	for _, f := range c.feeders {
		feeding.Go(func() { f.run(publishing) }) // ends with the context, or a refusal
	}
	feeding.Go(func() { c.reassign(publishing) }) // ends with the context
	c.strike(faults)
	enough()
	feeding.Wait()
	c.quiet(quietFor)
	l := readLedger(t, c.nodes[c.rng.IntN(len(c.nodes))])
	entries := c.agreed(l)
	settle(t, c.hoppers, entries)
	c.settleRovers(l)
	cancel()
	reading.Wait()
	c.judge(l, entries)
}

// assign gives the devices their groups, and waits until all nodes know of it: alarms
// that a node raises before are held back and moved, and what happened to them until
// then is told to nobody.
func (c *check) assign() {
	var directory strings.Builder
	for i := range checkDevices {
		fmt.Fprintf(&directory, `{"device":"device-%d","groups":["group-%d"]}`+"\n", i, i%4)
	}
	for i := range roamingDevices {
		fmt.Fprintf(&directory, `{"device":"roaming-%d","groups":[%q]}`+"\n", i, roamingGroups[i%2])
	}
	c.front.want(c.front.request("POST", "/v1/directory", c.front.root(), directory.String(), "Content-Type", "application/x-ndjson"), 200)
	c.quiet(200 * time.Millisecond)
}

// addReaders begins the readers: some are in one group, some in several, one in six
// in all; two of three go through nginx, the others to the nodes.
func (c *check) addReaders() {
	var direct []string
	for _, s := range c.nodes {
		direct = append(direct, s.url())
	}
	for i := range c.readers {
		groups := []string{fmt.Sprint("group-", i%4)}
		switch i % 6 {
		case 0:
			groups = []string{"*"}
		case 1:
			groups = append(groups, fmt.Sprint("group-", (i+1)%4))
		}
		h := newHopper(c.front, fmt.Sprint("user-", i), c.seed+uint64(i), allWays, groups...)
		if groups[0] == "*" { // what roams is for others to look at; a page counts it in
			h.ways, h.passes = allWays[:4], roams
		}
		if h.bases = []string{c.front.url()}; i%3 == 0 {
			h.bases = direct
		}
		h.begin(c.t)
		c.hoppers = append(c.hoppers, h)
		if i%5 == 0 {
			c.marks = append(c.marks, &marker{hopper: h, base: c.front.url(), every: time.Second})
		}
	}
}

// addFeeders makes publishers for one door after the other: some at nginx, some at
// the nodes.
func (c *check) addFeeders(n int) {
	var direct []string
	for _, s := range c.nodes {
		direct = append(direct, s.url())
	}
	for i := range n {
		f := &feeder{door: doors[i%len(doors)], bases: []string{c.front.url()}, every: 300 * time.Millisecond,
			rng: rand.New(rand.NewPCG(c.seed, uint64(1000+i)))}
		f.name = fmt.Sprint(f.door, "-", i/len(doors))
		if (i+i/len(doors))%2 == 1 {
			f.bases = direct
		}
		f.token = c.front.token(f.name, "publish")
		c.feeders = append(c.feeders, f)
	}
}

// strike has one fault after the other happen until the time is up, and waits each
// time until all publishers have got further.
func (c *check) strike(faults []fault) {
	faults = slices.DeleteFunc(faults, func(f fault) bool { return !strings.Contains(f.name, os.Getenv("TOCSIN_CHECK_FAULT")) })
	if len(faults) == 0 {
		c.t.Fatal("there is no such fault as TOCSIN_CHECK_FAULT")
	}
	began := time.Now()
	for round := 0; time.Since(began) < c.lasts; round++ {
		order := c.rng.Perm(len(faults))
		for _, i := range order {
			f := faults[i]
			if c.t.Failed() || time.Since(began) >= c.lasts {
				return
			}
			lasts := 1 + time.Duration(c.rng.Int64N(int64(min(f.most, c.lasts/8))))
			c.t.Logf("%6.1f s: %s, for %.1f s", time.Since(began).Seconds(), f.name, lasts.Seconds())
			mend := f.strike()
			pause(c.t.Context(), lasts)
			mend()
			struck := time.Now()
			c.further()
			c.t.Logf("%6.1f s: all publishers got further after %.1f s", time.Since(began).Seconds(), time.Since(struck).Seconds())
		}
	}
}

// further waits until every publisher has had something acknowledged from now on.
func (c *check) further() {
	c.t.Helper()
	var before []int64
	for _, f := range c.feeders {
		before = append(before, f.groups.Load())
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool {
		for i, f := range c.feeders {
			if f.groups.Load() == before[i] {
				return false
			}
		}
		return true
	})
	for i, f := range c.feeders {
		if f.groups.Load() == before[i] {
			c.t.Errorf("%s got nothing acknowledged for %v: %v", f.name, patience, f.odd)
		}
	}
}

// quietFor is how long nothing may be appended any more for the worker, or its
// successor, to have done what was due.
const quietFor = 6 * time.Second

// quiet waits until all nodes have had one head for so long.
func (c *check) quiet(long time.Duration) {
	c.t.Helper()
	var last string
	var since time.Time
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		heads := map[string]bool{}
		for _, s := range c.nodes {
			var stats struct{ Head uint64 }
			s.want(s.request("GET", "/v1/stats", s.root(), ""), 200).json(c.t, &stats)
			heads[fmt.Sprint(stats.Head)] = true
		}
		switch {
		case len(heads) > 1:
			last = ""
		case !heads[last]:
			since = time.Now()
			for last = range heads {
			}
		case time.Since(since) >= long:
			return
		}
		if pause(ctx, 200*time.Millisecond); ctx.Err() != nil {
			c.t.Errorf("the nodes do not come to rest at one head: %v are the last", slices.Collect(maps.Keys(heads)))
			return
		}
	}
}

// agreed is what all nodes tell who reads everything: what the log has for him.
func (c *check) agreed(l *ledger) (entries []entry) {
	c.t.Helper()
	want := l.told()
	for _, s := range c.nodes {
		entries = everything(c.t, s)
		var got []uint64
		for _, e := range entries {
			if !roams(e) {
				got = append(got, e.Seq)
			}
		}
		if !slices.Equal(got, want) {
			c.t.Errorf("%v tells %d entries, the log has %d for readers; not told: %s; told besides: %s",
				s.flags[:2], len(got), len(want), besides(want, got), besides(got, want))
			for _, seq := range want {
				if !slices.Contains(got, seq) {
					c.t.Errorf("not told: %+v", *l.entries[seq])
				}
			}
		}
	}
	return entries
}

// besides are the numbers that are in a and not in b, as ranges of what a has.
func besides(a, b []uint64) string {
	in := map[uint64]bool{}
	for _, n := range b {
		in[n] = true
	}
	var text strings.Builder
	for i := 0; i < len(a); i++ {
		from := i
		for i < len(a) && !in[a[i]] {
			i++
		}
		if i > from {
			fmt.Fprintf(&text, " %d to %d (%d)", a[from], a[i-1], i-from)
		}
	}
	return text.String()
}

// judge checks all that was promised.
func (c *check) judge(l *ledger, entries []entry) {
	t := c.t
	stored, again := 0, 0
	for _, f := range c.feeders {
		stored, again = stored+len(f.receipts), again+f.again
		for _, odd := range f.odd {
			t.Errorf("%s: %s", f.name, odd)
		}
	}
	t.Logf("%d events acknowledged, %d requests sent again, %d entries in the log, %d told", stored, again, len(l.order), len(entries))
	wrong := slices.Concat(l.checkReceipts(c.feeders), l.checkChain(), l.checkRoutes(), c.checkCounters(l), c.checkRovers(l))
	for i, text := range wrong {
		if i == 20 {
			t.Errorf("and %d more", len(wrong)-i)
			break
		}
		t.Error(text)
	}
	checkAll(t, c.hoppers, entries)
}

// checkCounters compares what every node says to every reader with a recount.
func (c *check) checkCounters(l *ledger) (wrong []string) {
	for _, h := range c.hoppers {
		upto := []uint64{0}
		for _, m := range c.marks {
			if m.hopper == h {
				upto = m.candidates()
			}
		}
		for _, s := range c.nodes {
			var got counters
			s.want(s.request("GET", "/v1/inbox", h.token, ""), 200).json(c.t, &got)
			if !slices.ContainsFunc(upto, func(mark uint64) bool { return reflect.DeepEqual(got, l.recount(h.groups, mark)) }) {
				wrong = append(wrong, fmt.Sprintf("%v says %+v to %s (%v, read up to one of %v), the log %+v",
					s.flags, got, h.user, h.groups, upto, l.recount(h.groups, upto[0])))
			}
		}
	}
	return wrong
}
