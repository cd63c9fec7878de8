package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// soakTime, when it is set, is for how long the soak goes on, such as 30m.
const soakTime = "TOCSIN_SOAK"

// What a soak goes through, again and again. Who comes back is who was there
// before, so that what is kept for each user and device has been kept already when
// the soak is measured for the first time.
const (
	soakUsers   = 36 // all there are
	soakCrowd   = 12 // those of one turn
	soakDevices = 64
	soakGroups  = 4
	soakSlow    = 4 // who do not read
)

// A soak is one server under the same load for a long time.
type soak struct {
	t    *testing.T
	s    *server
	rng  *rand.Rand
	long time.Duration // of a turn
	turn int

	entries, published, kicked int
	hops                       map[string]int
}

// A server that is connected to, flooded, read, acknowledged, kicked and left by
// everybody over every transport, for as long as one likes, has no more goroutines,
// files and memory at rest than it had when it had seen everybody once; and each
// reader got exactly what he should.
func TestSoakLeavesNothingBehind(t *testing.T) {
	t.Parallel() // it leaves most of the machine to others, and takes longest: its file is among the first
	whole, turn := 3*time.Minute, 5*time.Second
	if text := os.Getenv(soakTime); text != "" {
		var err error
		if whole, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakTime, err)
		}
		turn = max(turn, min(20*time.Second, whole/20))
	}
	k := newSoak(t, turn)
	k.visitAll()
	k.run()
	base := k.measure()
	t.Logf("after %d turns:  %v", k.turn, base)
	between := whole / 5
	last, next := base, time.Now().Add(between)
	for end := time.Now().Add(whole); time.Now().Before(end) && !t.Failed(); {
		k.run()
		if time.Now().After(next) && whole > 2*time.Minute {
			last, next = k.measure(), time.Now().Add(between)
			t.Logf("after %d turns: %v", k.turn, last)
		}
	}
	// What the log has read for a purge, which comes once a minute, it lets go again.
	for range 3 {
		if last = k.measure(); len(last.beyond(base)) == 0 {
			break
		}
	}
	t.Logf("after %d turns: %v; %d entries, %d events published, %d kicked, stays by transport: %v",
		k.turn, last, k.entries, k.published, k.kicked, k.hops)
	for _, what := range last.beyond(base) {
		t.Error(what)
	}
	if k.entries < 100 || k.kicked == 0 || len(k.hops) < 5 {
		t.Error("there was little to endure")
	}
}

func newSoak(t *testing.T, turn time.Duration) *soak {
	s := newServer(t, "--window", "1MiB", "--dedupe-window", "5s", "--retention-bytes", "4MiB", "--fold", "1s", "--write-timeout", "2s",
		"--evidence", "1m", "--poll-interval-busy", "1s", "--poll-interval-idle", "1s", "--mqtt", "127.0.0.1:0",
		"--compat-publish-from", "127.0.0.0/8", "--drain", "0s")
	k := &soak{t: t, s: s, rng: rand.New(rand.NewPCG(9, 4)), long: turn, hops: map[string]int{}}
	var lines strings.Builder
	for i := range soakDevices {
		fmt.Fprintf(&lines, "{\"device\":\"device-%d\",\"groups\":[\"g%d\"]}\n", i, i%soakGroups)
	}
	for i := range roamingDevices {
		fmt.Fprintf(&lines, "{\"device\":\"roaming-%d\",\"groups\":[\"g0\",\"g1\"]}\n", i)
	}
	s.want(s.request("POST", "/v1/directory", s.root(), lines.String(), "Content-Type", "application/x-ndjson"), 200)
	return k
}

// groupOf is the one that the user reads; every sixth reads all.
func groupOf(user int) string {
	if user%6 == 5 {
		return "*"
	}
	return fmt.Sprint("g", user%soakGroups)
}

// visitAll lets every alarm and every user be there once.
func (k *soak) visitAll() {
	k.t.Helper()
	var lines []string
	for d := range soakDevices {
		for typ := range checkTypes {
			lines = append(lines, fmt.Sprintf(`{"device":"device-%d","type":"t%d","severity":"minor"}`, d, typ))
		}
	}
	k.s.want(k.s.request("POST", "/v1/alarms", k.s.root(), array(lines)), 202)
	for u := range soakUsers {
		token := k.s.token(fmt.Sprint("user-", u), "inbox", groupOf(u))
		k.s.want(k.s.request("POST", "/v1/inbox/read", token, `{"upto":"latest"}`), 200)
		k.s.want(k.s.request("GET", "/inbox", token, ""), 200)
	}
}

// run is one turn: the next of the users come, the next devices alarm, and then
// everybody goes.
func (k *soak) run() {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.t.Context())
	defer cancel()
	var reading, rest sync.WaitGroup
	recorder := newHopper(k.s, "recorder", 1, []string{"sse"}, "*")
	recorder.begin(k.t)
	hoppers := []*hopper{recorder}
	for i := range soakCrowd {
		u := (k.turn*soakCrowd + i) % soakUsers
		h := newHopper(k.s, fmt.Sprint("user-", u), k.rng.Uint64(), []string{"ws", "sse", "longpoll", "poll", "page"}, groupOf(u))
		if i == 0 {
			h.ways = []string{"page"}
		}
		h.begin(k.t)
		hoppers = append(hoppers, h)
	}
	begun := make([]uint64, len(hoppers))
	for i, h := range hoppers {
		at, err := inbox.ParseCursor(h.cursor)
		if err != nil {
			k.t.Fatal(err)
		}
		begun[i] = at.Seq
		stay := 1500 * time.Millisecond
		if h == recorder {
			stay = time.Hour
		}
		reading.Go(func() { h.run(ctx, stay) }) // ends with the turn
	}
	loading, stop := context.WithTimeout(ctx, k.long)
	defer stop()
	feeders := k.feed(loading, &rest)
	k.disturb(loading, &rest, hoppers[1:])
	members := k.connectMembers(ctx, &reading)
	rest.Wait()
	stop()
	k.settle(hoppers)
	cancel()
	reading.Wait()
	k.judge(hoppers, begun, feeders, members)
	k.turn++
}

// feed has events published through all doors.
func (k *soak) feed(ctx context.Context, all *sync.WaitGroup) (feeders []*feeder) {
	token := k.s.token("feeder", "publish", "*")
	for i, door := range doors {
		f := &feeder{name: fmt.Sprintf("f%d-%d", k.turn, i), door: door, token: token, bases: []string{k.s.url()},
			rng: rand.New(rand.NewPCG(uint64(k.turn), uint64(i))), every: 200 * time.Millisecond,
			from: k.turn * checkDevices % soakDevices}
		feeders = append(feeders, f)
		all.Go(func() { f.run(ctx) }) // ends with the load
	}
	return feeders
}

// settle waits until nobody publishes any more, in folds neither, and everybody has
// what there is.
func (k *soak) settle(hoppers []*hopper) {
	k.t.Helper()
	bound, cancel := context.WithTimeout(k.t.Context(), patience)
	defer cancel()
	var head, seen uint64
	for since := time.Now(); bound.Err() == nil && time.Since(since) < 1500*time.Millisecond; pause(bound, 100*time.Millisecond) {
		var stats struct{ Head uint64 }
		k.s.want(k.s.request("GET", "/v1/stats", k.s.root(), ""), 200).json(k.t, &stats)
		if head = stats.Head; head != seen {
			seen, since = head, time.Now()
		}
	}
	all := hoppers[0].copied()
	settle(k.t, hoppers, all)
}

// copied is what has come so far.
func (h *hopper) copied() []entry {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.got)
}

// judge compares what everybody got with what the recorder got, which stayed; and
// what that got with what was acknowledged to publishers.
func (k *soak) judge(hoppers []*hopper, begun []uint64, feeders []*feeder, members []*member) {
	k.t.Helper()
	all := hoppers[0].copied()
	k.entries += len(all)
	told := map[uint64]bool{}
	for i, e := range all {
		if told[e.Seq] = true; i > 0 && e.Seq <= all[i-1].Seq {
			k.t.Errorf("turn %d: entry %d comes after %d", k.turn, e.Seq, all[i-1].Seq)
		}
	}
	for i, h := range hoppers {
		after := slices.DeleteFunc(slices.Clone(all), func(e entry) bool { return e.Seq <= begun[i] })
		if err := h.check(after); err != nil {
			k.t.Errorf("turn %d: %s (%v): %v", k.turn, h.user, h.groups, err)
		}
		for way, n := range h.hops {
			k.hops[way] += n
		}
	}
	raised := 0
	for _, f := range feeders {
		k.published += len(f.receipts)
		for _, odd := range f.odd {
			k.t.Errorf("turn %d: %s: %s", k.turn, f.name, odd)
		}
		for _, r := range f.receipts {
			if r.Status == "raised" && told[r.Seq] {
				raised++
			}
		}
	}
	if raised == 0 {
		k.t.Errorf("turn %d: nobody was told of an alarm that was acknowledged to its publisher", k.turn)
	}
	for _, m := range members {
		m.mu.Lock()
		// A place that was kept for him since he was here last may have been purged, or be
		// so far behind that he is told the newest of each alarm.
		odd := slices.DeleteFunc(m.odd, func(line string) bool {
			return strings.Contains(line, string(inbox.GapExpired)) || strings.Contains(line, string(inbox.GapCompacted))
		})
		if len(odd) > 0 || len(m.got) == 0 {
			k.t.Errorf("turn %d: %s of %s heard %d times, %q", k.turn, m.name, m.user, len(m.got), odd)
		}
		m.mu.Unlock()
	}
}

// connectMembers brings a client of each of the older protocols. What exactly they
// are told is tested elsewhere; here they come and go.
func (k *soak) connectMembers(ctx context.Context, all *sync.WaitGroup) (members []*member) {
	k.t.Helper()
	w := &words{all: map[string]string{}}
	for i, d := range fiveDialects {
		user := fmt.Sprint("member-", (k.turn+i)%soakCrowd) // whom nobody kicks
		m := &member{dialect: d, base: k.s.url(), user: user, token: k.s.token(user, "inbox", "*"), words: w, had: map[string]string{}}
		if err := m.connect(ctx); err != nil {
			k.t.Fatal(err)
		}
		members = append(members, m)
		all.Go(func() { m.run(ctx) }) // ends with the turn
	}
	return members
}

// status asks for something and wants one of some answers.
func (k *soak) status(ctx context.Context, method, path, token, body string, fine ...int) string {
	a, err := request(ctx, method, k.s.url()+path, token, body)
	if err == nil && !slices.Contains(fine, a.status) {
		k.t.Errorf("turn %d: %s %s: %d %s", k.turn, method, path, a.status, a.body)
	}
	if err != nil || a.status != http.StatusOK {
		return ""
	}
	return a.body
}
