package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tocsin/server/inbox"
)

// small is a window of a few entries.
var small = inbox.ViewOptions{Window: 4 << 10}

func wantBodies(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantGaps(t *testing.T, what string, got []inbox.GapReason, want ...inbox.GapReason) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: gaps %v, want %v", what, got, want)
	}
}

func registerThenRead(t *testing.T, log inbox.Log) {
	const rounds = 10_000
	w := NewWriter(t, log)
	ops := w.Route("ops")
	v, _ := StartView(t, log, inbox.ViewOptions{})
	Reach(t, v, w.Member("ops", "ann", true))
	r := Open(t, v, "ann", inbox.Start{})
	if g := Drain(t, r, 10); len(g.Bodies) != 0 {
		t.Fatalf("before anything: %v", g.Bodies)
	}
	// The reader asks for the next append while it is being made, so that over
	// the rounds it falls before, between and after his registering and reading.
	asked := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { // ends when asked is closed
		for i := 0; ; i++ {
			if _, ok := <-asked; !ok {
				return
			}
			w.Alarm("d", ops, inbox.Major, fmt.Sprint(i))
		}
	})
	defer writer.Wait()
	defer close(asked)
	counts := 0
	for i := range rounds {
		asked <- struct{}{}
		for {
			b, err := next(t, r, 10)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
			if len(b.Items) == 0 {
				counts++
				continue
			}
			if got := bodyOf(string(b.Items[0].AppendJSON(nil))); got != fmt.Sprint(i) {
				t.Fatalf("round %d brought %s", i, got)
			}
			break
		}
	}
	if counts > 0 {
		t.Errorf("%d batches had counters alone, though entries came with them", counts)
	}
}

func twoAudiences(t *testing.T, log inbox.Log) {
	const n, readers = 2000, 4
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	v, _ := StartView(t, log, inbox.ViewOptions{})
	w.Member("a", "ann", true)
	Reach(t, v, w.Member("b", "ann", true))
	var all sync.WaitGroup
	for k := range readers {
		r := Open(t, v, "ann", inbox.Start{})
		Drain(t, r, 10)
		all.Go(func() {
			for i := 0; i < n; {
				batch, err := next(t, r, 1+k*7)
				if err != nil {
					t.Errorf("reader %d at %d: %v", k, i, err)
					return
				}
				if batch.Gap != nil {
					t.Errorf("reader %d: gap %v", k, *batch.Gap)
				}
				head := v.Head()
				for j := range batch.Items {
					if got := bodyOf(string(batch.Items[j].AppendJSON(nil))); got != fmt.Sprint(i) || batch.Items[j].At > head {
						t.Errorf("reader %d: got %s at %d under the head %d, want %d", k, got, batch.Items[j].At, head, i)
						return
					}
					i++
				}
			}
		})
	}
	for i := range n {
		w.Alarm(fmt.Sprint("d", i%50, i%2), []inbox.Audience{a, b}[i%2], inbox.Minor, fmt.Sprint(i))
	}
	all.Wait()
}

func epochChange(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	ops := w.Route("ops")
	w.Member("ops", "ann", true)
	w.Alarm("d1", ops, inbox.Major, "one")
	v, stop := StartView(t, log, inbox.ViewOptions{})
	old := Drain(t, Open(t, v, "ann", inbox.Start{Cursor: inbox.Earliest}), 10)
	stop()

	w2 := NewWriter(t, log) // a restart
	w2.newest = w.newest
	w2.Alarm("d2", ops, inbox.Major, "two")
	v, _ = StartView(t, log, inbox.ViewOptions{})
	g := Poll(t, v, "ann", inbox.Start{Cursor: old.Cursor}, 10)
	wantGaps(t, "a cursor from before the restart", g.Gaps)
	wantBodies(t, "a cursor from before the restart", g.Bodies, "two")

	c, _ := inbox.ParseCursor(old.Cursor)
	lost := c
	lost.Seq = w2.newest[inbox.AlarmSubject("d2", "t", "")].Seq // seen in the first epoch, then lost with the power
	g = Poll(t, v, "ann", inbox.Start{Cursor: lost.String()}, 10)
	wantGaps(t, "a cursor whose tail was lost", g.Gaps, inbox.GapEpoch)
	wantBodies(t, "a cursor whose tail was lost", g.Bodies, "one", "two")

	c.Epoch = "zzzzzzzzzzzz"
	g = Poll(t, v, "ann", inbox.Start{Cursor: c.String()}, 10)
	wantGaps(t, "a cursor of an unknown epoch", g.Gaps, inbox.GapEpoch)
	wantBodies(t, "a cursor of an unknown epoch", g.Bodies, "one", "two")
}

func cursorExpired(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	ops := w.Route("ops")
	w.Member("ops", "ann", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	Reach(t, v, w.Alarm("d1", ops, inbox.Major, "one"))
	away := Drain(t, Open(t, v, "ann", inbox.Start{}), 10)
	here := Open(t, v, "ann", inbox.Start{Cursor: away.Cursor})
	w.Alarm("d2", ops, 0, "over")
	at := w.Alarm("d3", ops, inbox.Major, "three")
	Reach(t, v, at)
	wantBodies(t, "who was there", Drain(t, here, 10).Bodies, "over", "three")
	// What must live on is appended again before the purge.
	for _, e := range w.newest {
		if e.Seq < at && (e.Open() || !isAlarm(e.Subject)) && e.Subject != inbox.SubjectPurged {
			e.Quiet = true
			w.Append(e, false)
		}
	}
	w.Append(inbox.Entry{Subject: inbox.SubjectPurged, Purged: at, Quiet: true}, false)
	w.Log.Purge(t.Context(), at)
	Reach(t, v, w.Alarm("d4", ops, inbox.Minor, "four"))

	g := Drain(t, here, 10)
	wantGaps(t, "who was there all the time", g.Gaps)
	wantBodies(t, "who was there all the time", g.Bodies, "four")
	for _, restarted := range []bool{false, true} {
		if restarted {
			v, _ = StartView(t, log, inbox.ViewOptions{})
		}
		what := fmt.Sprintf("who was away (view restarted: %v)", restarted)
		g = Poll(t, v, "ann", inbox.Start{Cursor: away.Cursor}, 1)
		wantGaps(t, what, g.Gaps, inbox.GapExpired)
		wantBodies(t, what, g.Bodies, "one", "three", "four")
		g = Poll(t, v, "ann", inbox.Start{Cursor: inbox.Earliest}, 10)
		for _, reason := range g.Gaps {
			if reason != inbox.GapCompacted {
				t.Errorf("the earliest there is: gap %s", reason)
			}
		}
	}
}

func isAlarm(subject string) bool {
	_, _, _, ok := inbox.ParseAlarmSubject(subject)
	return ok
}

func toldThenQuiet(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	ops := w.Route("ops")
	w.Member("ops", "ann", true)
	v, _ := StartView(t, log, small)
	Reach(t, v, w.Alarm("d0", ops, inbox.Minor, "seen"))
	away := Drain(t, Open(t, v, "ann", inbox.Start{}), 10)
	w.Alarm("d1", ops, inbox.Major, "told")
	for i := range 5 {
		w.Quiet("d1", ops, inbox.Major, fmt.Sprint("quiet ", i))
	}
	for i := range 100 {
		w.Alarm("filler", ops, inbox.Minor, fmt.Sprint("f", i))
	}
	Reach(t, v, w.Quiet("d1", ops, inbox.Major, "newest"))
	check := func(what string, v *inbox.View) {
		g := Poll(t, v, "ann", inbox.Start{Cursor: away.Cursor}, 1)
		wantGaps(t, what, g.Gaps, inbox.GapCompacted)
		wantBodies(t, what, g.Bodies, "newest", "f99")
		after := Poll(t, v, "ann", inbox.Start{Cursor: g.Cursor}, 10)
		wantBodies(t, what+", after its end", after.Bodies)
	}
	check("from behind the window", v)
	v2, _ := StartView(t, log, small)
	check("from behind the window, after a restart", v2)
}

const many = 3000

// narrow holds the changes that pollMany makes on its way, and little more.
var narrow = inbox.ViewOptions{Window: 16 << 10}

// fillMany raises many alarms, most of them out of a small window.
func fillMany(t *testing.T, w *Writer, v *inbox.View, to inbox.Audience) {
	for i := range many {
		w.Alarm(fmt.Sprint("d", i), to, inbox.Minor, fmt.Sprint(i))
	}
	Reach(t, v, w.newest[inbox.AlarmSubject(fmt.Sprint("d", many-1), "t", "")].Seq)
}

func pollSnapshot(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	ops := w.Route("ops")
	w.Member("ops", "ann", true)
	v, _ := StartView(t, log, narrow)
	fillMany(t, w, v, ops)
	pollMany(t, w, v, ops, inbox.Start{Snapshot: true})
}

func pollCatchUp(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	ops := w.Route("ops")
	v, _ := StartView(t, log, narrow)
	Reach(t, v, w.Member("ops", "ann", true))
	away := Drain(t, Open(t, v, "ann", inbox.Start{}), 10)
	fillMany(t, w, v, ops)
	pollMany(t, w, v, ops, inbox.Start{Cursor: away.Cursor}, inbox.GapCompacted)
}

// pollMany polls through many alarms while one of them, and others, go on
// changing: it comes to an end, and has the last word on each.
func pollMany(t *testing.T, w *Writer, v *inbox.View, to inbox.Audience, start inbox.Start, gaps ...inbox.GapReason) {
	t.Helper()
	g := &Got{}
	for round := 0; ; round++ {
		r := Open(t, v, "ann", start)
		b, err := r.Read(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		g.Add(t, b)
		if start = (inbox.Start{Cursor: b.Cursor}); !b.More {
			break
		}
		if round < 20 {
			w.Alarm("d5", to, inbox.Major, fmt.Sprint("five-", round))
			Reach(t, v, w.Alarm(fmt.Sprint("late", round), to, inbox.Major, fmt.Sprint("late-", round)))
		}
		if round > 200 {
			t.Fatal("no end")
		}
	}
	wantGaps(t, "on the way", g.Gaps, gaps...)
	seen := map[string]int{}
	for _, b := range g.Bodies {
		seen[b]++
	}
	for i := range many {
		if seen[fmt.Sprint(i)] != 1 {
			t.Fatalf("alarm %d came %d times", i, seen[fmt.Sprint(i)])
		}
	}
	for i := range 20 {
		if seen[fmt.Sprint("five-", i)]+seen[fmt.Sprint("late-", i)] != 2 {
			t.Errorf("change %d came %d and %d times", i, seen[fmt.Sprint("five-", i)], seen[fmt.Sprint("late-", i)])
		}
	}
}

func movedBehindWindow(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b, c := w.Route("a"), w.Route("b"), w.Route("c")
	w.Member("a", "onlyA", true)
	w.Member("b", "onlyB", true)
	w.Member("a", "both", true)
	w.Member("b", "both", true)
	w.Member("a", "ac", true)
	w.Member("c", "ac", true)
	w.Member("*", "chief", true)
	v, _ := StartView(t, log, small)
	Reach(t, v, w.Alarm("d", a, inbox.Major, "in a"))
	users := []string{"onlyA", "onlyB", "both", "ac", "chief"}
	away := map[string]string{}
	for _, u := range users {
		away[u] = Drain(t, Open(t, v, u, inbox.Start{}), 10).Cursor
	}
	w.Alarm("d", b, inbox.Major, "moved to b")
	w.Alarm("d", b, inbox.Critical, "changed in b")
	w.Alarm("d", c, inbox.Critical, "moved to c")
	w.Quiet("d", c, inbox.Critical, "quiet in c")
	for i := range 100 {
		w.Alarm("filler", "u.nobody", inbox.Minor, fmt.Sprint(i))
	}
	for _, route := range []inbox.Audience{a, b, c} {
		w.Alarm("end-"+string(route), route, inbox.Minor, "end")
	}
	Reach(t, v, w.Alarm("last", a, inbox.Minor, "last"))
	id := "removed:d.t._.1.0"
	want := map[string][]string{
		"onlyA": {id, "end", "last"},
		"onlyB": {id, "end"},
		"both":  {id, "end", "end", "last"},
		"ac":    {"quiet in c", "end", "end", "last"},
		"chief": {"quiet in c", "end", "end", "end", "last"},
	}
	check := func(what string, v *inbox.View) {
		for _, u := range users {
			g := Poll(t, v, u, inbox.Start{Cursor: away[u]}, 1)
			wantGaps(t, what+u, g.Gaps, inbox.GapCompacted)
			wantBodies(t, what+u, g.Bodies, want[u]...)
		}
		g := Poll(t, v, "onlyA", inbox.Start{Snapshot: true}, 10)
		wantBodies(t, what+"a snapshot", g.Bodies, "end", "last")
	}
	check("", v)
	v2, _ := StartView(t, log, small)
	check("after a restart, ", v2)
}

func movedInWindow(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "onlyA", true)
	w.Member("b", "onlyB", true)
	w.Member("a", "both", true)
	w.Member("b", "both", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	start := w.Member("*", "chief", true)
	Reach(t, v, start)
	users := []string{"onlyA", "onlyB", "both", "chief"}
	readers := map[string]*inbox.Reader{}
	for _, u := range users {
		readers[u] = Open(t, v, u, inbox.Start{})
		Drain(t, readers[u], 10)
	}
	w.Alarm("d", a, inbox.Major, "in a")
	w.Alarm("d", b, inbox.Major, "in b")
	Reach(t, v, w.Alarm("d", a, inbox.Major, "back in a"))
	want := map[string][]string{
		"onlyA": {"in a", "removed:d.t._.1.0", "back in a"},
		"onlyB": {"in b", "removed:d.t._.1.0"},
		"both":  {"in a", "in b", "back in a"},
		"chief": {"in a", "in b", "back in a"},
	}
	for _, u := range users {
		g := Drain(t, readers[u], 1)
		wantGaps(t, u, g.Gaps)
		wantBodies(t, u, g.Bodies, want[u]...)
	}
	if n := readersCount(t, v, "onlyB"); n != 0 {
		t.Errorf("onlyB still counts %d", n)
	}
	if n := readersCount(t, v, "both"); n != 1 {
		t.Errorf("both counts %d, want 1", n)
	}
}

func readersCount(t *testing.T, v *inbox.View, user string) int {
	g := Drain(t, Open(t, v, user, inbox.Start{}), 10)
	sum := 0
	for _, n := range g.Counts.Active {
		sum += n
	}
	return sum
}

func restart(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "ann", true)
	v, stop := StartView(t, log, inbox.ViewOptions{Window: 16 << 10})
	Reach(t, v, w.Member("b", "ben", true))
	var cursors []string
	r := Open(t, v, "ann", inbox.Start{})
	for i := range 200 {
		w.Alarm(fmt.Sprint("d", i%40), []inbox.Audience{a, a, b}[i%3], inbox.Severity(1+i%5), fmt.Sprint(i))
		if i%10 == 0 {
			Reach(t, v, w.Quiet("d1", a, inbox.Minor, "quiet"))
			cursors = append(cursors, Drain(t, r, 100).Cursor)
		}
	}
	Reach(t, v, w.Notice(inbox.UserAudience("ann"), "n", "notice"))
	var before []*Got
	for _, c := range cursors {
		before = append(before, Poll(t, v, "ann", inbox.Start{Cursor: c}, 7))
	}
	stop()
	v, _ = StartView(t, log, inbox.ViewOptions{Window: 16 << 10})
	for i, c := range cursors {
		g := Poll(t, v, "ann", inbox.Start{Cursor: c}, 7)
		// At the very edge of the window the restarted node may hold a little less.
		if !slices.Equal(g.Bodies, before[i].Bodies) && slices.Equal(g.Gaps, before[i].Gaps) {
			t.Errorf("from %s: %v (%v), before the restart %v (%v)", c, g.Bodies, g.Gaps, before[i].Bodies, before[i].Gaps)
		}
		// The flood began before this small window does.
		g.Counts.Flood, before[i].Counts.Flood = inbox.Flood{}, inbox.Flood{}
		if g.Counts != before[i].Counts {
			t.Errorf("counters %+v, before the restart %+v", g.Counts, before[i].Counts)
		}
	}
	last := len(cursors) - 1
	if g := Poll(t, v, "ann", inbox.Start{Cursor: cursors[last]}, 7); len(g.Gaps) > 0 || len(g.Bodies) == 0 {
		t.Errorf("a recent cursor after the restart: %v, gaps %v", g.Bodies, g.Gaps)
	}
}

// repeating gives messages of a newest scan again, and older ones of the same
// subject after newer ones.
type repeating struct{ inbox.Log }

func (l repeating) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	if !s.Newest {
		return l.Log.Scan(ctx, s, each)
	}
	var all []inbox.Message
	if err := l.Log.Scan(ctx, inbox.Scan{}, func(m inbox.Message) error {
		all = append(all, m)
		return nil
	}); err != nil {
		return err
	}
	for i := range all {
		for _, m := range []inbox.Message{all[len(all)-1-i], all[i]} {
			if err := each(m); err != nil {
				return err
			}
		}
	}
	return nil
}

func loadRepeats(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "ann", true)
	w.Member("b", "ann", true)
	w.Member("b", "ann", false)
	for i := range 60 {
		w.Alarm(fmt.Sprint("d", i%7), []inbox.Audience{a, b}[i/30], inbox.Severity(i%6), fmt.Sprint(i))
	}
	plain, _ := StartView(t, log, inbox.ViewOptions{})
	odd, _ := StartView(t, repeating{log}, inbox.ViewOptions{})
	for _, start := range []inbox.Start{{Snapshot: true}, {Cursor: inbox.Earliest}} {
		want, got := Poll(t, plain, "ann", start, 9), Poll(t, odd, "ann", start, 9)
		wantBodies(t, fmt.Sprintf("%+v", start), got.Bodies, want.Bodies...)
		if got.Counts != want.Counts {
			t.Errorf("counters %+v, want %+v", got.Counts, want.Counts)
		}
	}
}

// purging purges once, in the middle of the first newest scan.
type purging struct {
	inbox.Log
	once *sync.Once
	do   func()
}

func (l purging) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	return l.Log.Scan(ctx, s, func(m inbox.Message) error {
		if s.Newest && m.Seq > 3 {
			l.once.Do(l.do)
		}
		return each(m)
	})
}

func loadPurge(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	for i := range 50 {
		w.Alarm(fmt.Sprint("d", i), a, inbox.Minor, fmt.Sprint(i))
	}
	old := w.newest
	v, _ := StartView(t, purging{log, new(sync.Once), func() {
		below := old[inbox.AlarmSubject("d49", "t", "")].Seq + 1
		for _, e := range old {
			e.Quiet = true
			w.Append(e, false)
		}
		w.Purge(below)
	}}, inbox.ViewOptions{})
	g := Poll(t, v, "ann", inbox.Start{Snapshot: true}, 9)
	if len(g.Bodies) != 50 {
		t.Errorf("%d alarms after a purge during the load, want 50: %v", len(g.Bodies), g.Bodies)
	}
	if g.Counts.Active[inbox.Minor] != 50 {
		t.Errorf("counters: %+v", g.Counts)
	}
}

func neverReads(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	v, _ := StartView(t, log, small)
	Reach(t, v, w.Member("a", "ann", true))
	idle := Open(t, v, "ann", inbox.Start{})
	Drain(t, idle, 10)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := idle.Next(ctx, 10); !errors.Is(err, context.Canceled) { // it hangs on its bells now
		t.Fatal(err)
	}
	busy := Open(t, v, "ann", inbox.Start{})
	Drain(t, busy, 10)
	var got []string
	for i := range 500 {
		Reach(t, v, w.Alarm(fmt.Sprint("d", i%20), a, inbox.Major, fmt.Sprint(i)))
		g := Drain(t, busy, 10)
		if len(g.Gaps) > 0 {
			t.Fatalf("the busy reader: %v", g.Gaps)
		}
		got = append(got, g.Bodies...)
	}
	if len(got) != 500 {
		t.Errorf("the busy reader got %d of 500", len(got))
	}
	g := Drain(t, idle, 100)
	wantGaps(t, "the idle one, at last", g.Gaps, inbox.GapCompacted)
	if len(g.Bodies) != 20 || g.Bodies[19] != "499" {
		t.Errorf("the idle one, at last: %v", g.Bodies)
	}
}
