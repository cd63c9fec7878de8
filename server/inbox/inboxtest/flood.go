package inboxtest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// A floodWorld raises alarms years ago, by the devices' clock, and lets the
// server's clock be moved on.
type floodWorld struct {
	t     *testing.T
	w     *Writer
	at    time.Time
	ahead atomic.Int64 // of the server's clock, in nanoseconds
	n     int
}

func newFloodWorld(t *testing.T, log inbox.Log) *floodWorld {
	return &floodWorld{t: t, w: NewWriter(t, log), at: time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)}
}

func (f *floodWorld) view(log inbox.Log) (*inbox.View, func()) {
	return StartView(f.t, log, inbox.ViewOptions{FloodCheck: time.Millisecond, Now: func() time.Time {
		return time.Now().Add(time.Duration(f.ahead.Load()))
	}})
}

// raise stores a new alarm that happened so long after the one before.
func (f *floodWorld) raise(to inbox.Audience, s inbox.Severity, after time.Duration) uint64 {
	f.n++
	f.at = f.at.Add(after)
	e := alarmEntry(fmt.Sprint("d", f.n), to, s, fmt.Sprint(f.n))
	e.At = f.at
	return f.w.Append(e, true)
}

// awaitFlood waits until a reader hears of the flood.
func awaitFlood(t *testing.T, r *inbox.Reader, want inbox.Flood) {
	t.Helper()
	for {
		b, err := next(t, r, 100)
		if err != nil {
			t.Fatalf("the flood %+v was not told: %v", want, err)
		}
		if b.Counts.Flood == want {
			return
		}
	}
}

func floodNow(t *testing.T, v *inbox.View, user string) inbox.Flood {
	t.Helper()
	return Drain(t, Open(t, v, user, inbox.Start{}), 10).Counts.Flood
}

func flood(t *testing.T, log inbox.Log) {
	f := newFloodWorld(t, log)
	a := f.w.Route("a")
	f.w.Member("a", "ann", true)
	v, stop := f.view(log)
	r := Open(t, v, "ann", inbox.Start{})
	Drain(t, r, 10)
	for range 10 {
		Reach(t, v, f.raise(a, inbox.Minor, time.Minute))
	}
	Reach(t, v, f.raise(a, inbox.Minor, time.Minute+time.Millisecond)) // the first is too old now
	before := Drain(t, r, 100)
	if before.Counts.Flood != (inbox.Flood{}) {
		t.Errorf("11 alarms in more than ten minutes: %+v", before.Counts.Flood)
	}
	f.raise(a, inbox.Minor, 0)
	f.raise(a, inbox.Warning, time.Second)
	last := f.raise(a, inbox.Major, -time.Hour) // a step back is no time
	want := inbox.Flood{Since: f.at.Add(time.Hour - time.Second).UnixMilli(), Quiet: 2}
	awaitFlood(t, r, want)
	Reach(t, v, last)
	if got := floodNow(t, v, "ann"); got != want {
		t.Errorf("to a new reader: %+v, want %+v", got, want)
	}
	b, err := Open(t, v, "ann", inbox.Start{Snapshot: true}).Read(t.Context(), 100)
	if text := string(b.Counts.AppendJSON(nil)); err != nil || !strings.HasSuffix(text, `,"flood":{"since":"2021-03-04T05:17:07.001Z","quiet":2}`) {
		t.Errorf("on the wire: %s, %v", text, err)
	}
	if was, err := Open(t, v, "ben", inbox.Start{}).Read(t.Context(), 1); err != nil || b.Version() == was.Version() || strings.Contains(string(was.Counts.AppendJSON(nil)), "flood") {
		t.Errorf("without a flood: %+v, %v", was, err)
	}
	again, _ := f.view(log)
	if got := floodNow(t, again, "ann"); got != want {
		t.Errorf("after a restart: %+v, want %+v", got, want)
	}
	version := b.Version()

	// Nothing comes any more, and the clock goes on.
	f.ahead.Add(int64(11 * time.Minute))
	awaitFlood(t, r, inbox.Flood{})
	if got := floodNow(t, v, "ann"); got != (inbox.Flood{}) {
		t.Errorf("to a new reader after the end: %+v", got)
	}
	if b, err := Open(t, v, "ann", inbox.Start{Snapshot: true}).Read(t.Context(), 100); err != nil || b.Version() == version {
		t.Errorf("the version is as during the flood; %v", err)
	}
	stop()
	v, _ = f.view(log)
	if got := floodNow(t, v, "ann"); got != (inbox.Flood{}) {
		t.Errorf("after the end and a restart: %+v", got)
	}
}

func floodOfUser(t *testing.T, log inbox.Log) {
	f := newFloodWorld(t, log)
	a, b := f.w.Route("a"), f.w.Route("b")
	f.w.Member("a", "ann", true)
	f.w.Member("b", "ben", true)
	f.w.Member("a", "both", true)
	f.w.Member("b", "both", true)
	f.w.Member("*", "chief", true)
	v, _ := f.view(log)
	for range 6 {
		f.raise(a, inbox.Warning, time.Second)
		f.raise(b, inbox.Critical, time.Second)
	}
	// Repeats, clears, acknowledgements, quiet changes and notices are no alarms.
	for i := range 20 {
		f.w.Append(alarmEntry("d1", a, inbox.Warning, "repeat"), false)
		f.w.Quiet("d3", a, inbox.Warning, "quiet")
		f.w.Notice(inbox.Everyone, fmt.Sprint("n", i), "notice")
	}
	Reach(t, v, f.w.Notice(a, "n", "notice"))
	began := f.at.Add(-time.Second).UnixMilli() // the eleventh
	for user, want := range map[string]inbox.Flood{
		"ann": {}, "ben": {}, "both": {Since: began, Quiet: 1}, "chief": {Since: began, Quiet: 1},
	} {
		if got := floodNow(t, v, user); got != want {
			t.Errorf("%s: %+v, want %+v", user, got, want)
		}
	}
	var last uint64
	for i := range 30 {
		last = f.raise(b, []inbox.Severity{inbox.Critical, inbox.Major, inbox.Indeterminate}[i%3], time.Second)
	}
	Reach(t, v, last)
	for user, quiet := range map[string]int{"ben": 0, "both": 1, "chief": 1} {
		if got := floodNow(t, v, user); got.Since == 0 || got.Quiet != quiet {
			t.Errorf("%s: %+v, want %d quiet", user, got, quiet)
		}
	}
	if got := floodNow(t, v, "ann"); got != (inbox.Flood{}) {
		t.Errorf("ann: %+v", got)
	}
}

// recountFlood is the rule as it is written, over all of a user's alarms.
func recountFlood(alarms []inbox.Entry) (f inbox.Flood) {
	var times []int64
	var now int64
	recent := func() (n int) {
		for _, at := range times {
			if now-at <= 600_000 {
				n++
			}
		}
		return n
	}
	for _, e := range alarms {
		now = max(now, e.At.UnixMilli())
		if recent() < 5 {
			f = inbox.Flood{}
		}
		times = append(times, now)
		if f.Since == 0 && recent() > 10 {
			f.Since = now
		}
		if f.Since != 0 && (e.Severity == inbox.Minor || e.Severity == inbox.Warning) {
			f.Quiet++
		}
	}
	return f
}

func floodRecount(t *testing.T, log inbox.Log) {
	f := newFloodWorld(t, log)
	rng := rand.New(rand.NewPCG(5, 6))
	routes := []inbox.Audience{f.w.Route("a"), f.w.Route("b"), f.w.Route("c")}
	f.w.Member("a", "ann", true)
	f.w.Member("b", "ann", true)
	f.w.Member("c", "ben", true)
	f.w.Member("*", "chief", true)
	v, _ := f.view(log)
	alarms := map[string][]inbox.Entry{}
	floods, mean := 0, time.Minute
	check := func(v *inbox.View) {
		t.Helper()
		for user, list := range alarms {
			want := recountFlood(list)
			if want.Since != 0 {
				floods++
			}
			if got := floodNow(t, v, user); got != want {
				t.Fatalf("%s after %d alarms: %+v, a recount gives %+v", user, len(list), got, want)
			}
		}
	}
	for i := range 600 {
		if i%40 == 0 {
			mean = []time.Duration{20 * time.Second, 50 * time.Second, 4 * time.Minute}[rng.IntN(3)]
		}
		to := rng.IntN(3)
		step := time.Duration(rng.Int64N(int64(2*mean/time.Second))) * time.Second
		if rng.IntN(10) == 0 {
			step = -step
		}
		seq := f.raise(routes[to], inbox.Severity(1+rng.IntN(5)), step)
		e := inbox.Entry{At: f.at, Severity: f.w.newest[inbox.AlarmSubject(fmt.Sprint("d", f.n), "t", "")].Severity}
		for user, has := range map[string]bool{"ann": to < 2, "ben": to == 2, "chief": true} {
			if has {
				alarms[user] = append(alarms[user], e)
			}
		}
		if rng.IntN(4) == 0 {
			Reach(t, v, seq)
			check(v)
		}
		if i%150 == 149 {
			Reach(t, v, seq)
			again, stop := f.view(log)
			check(again)
			stop()
		}
	}
	if floods == 0 {
		t.Error("there was no flood")
	}
}
