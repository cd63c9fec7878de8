package inboxtest

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"tocsin/server/inbox"
)

func memberships(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	v, _ := StartView(t, log, inbox.ViewOptions{})
	w.Member("a", "ann", true)
	w.Alarm("da", a, inbox.Major, "in a")
	Reach(t, v, w.Alarm("db", b, inbox.Major, "in b"))
	r := Open(t, v, "ann", inbox.Start{Snapshot: true})
	wantBodies(t, "at first", Drain(t, r, 10).Bodies, "in a")

	w.Member("b", "ann", true)
	b1, err := next(t, r, 10)
	if err != nil {
		t.Fatal(err)
	}
	g := &Got{}
	g.Add(t, b1)
	wantGaps(t, "joining", g.Gaps, inbox.GapMembership)
	wantBodies(t, "joining", g.Bodies, "in a", "in b")
	away := g.Cursor

	w.Member("a", "ann", false)
	b1, err = next(t, r, 10)
	if err != nil {
		t.Fatal(err)
	}
	g = &Got{}
	g.Add(t, b1)
	wantGaps(t, "leaving", g.Gaps, inbox.GapMembership)
	wantBodies(t, "leaving", g.Bodies, "in b")
	Reach(t, v, w.Alarm("da", a, inbox.Critical, "not hers"))
	wantBodies(t, "after leaving", Drain(t, r, 10).Bodies)

	g = Poll(t, v, "ann", inbox.Start{Cursor: away}, 1)
	wantGaps(t, "left while away", g.Gaps, inbox.GapMembership)
	wantBodies(t, "left while away", g.Bodies, "in b")

	// Groups of a token count like the directory's.
	g = Poll(t, v, "ann", inbox.Start{Snapshot: true}, 1, "a")
	wantBodies(t, "with a token's group", g.Bodies, "in b", "not hers")

	// A new route of hers joins without a gap, in its place.
	Drain(t, r, 10)
	both := inbox.Route([]string{"b", "c"})
	w.Append(inbox.Entry{Subject: inbox.RouteSubject(both), Groups: []string{"b", "c"}, Quiet: true}, false)
	w.Alarm("dbc", inbox.RouteAudience(both), inbox.Minor, "in b and c")
	b1, err = next(t, r, 10)
	if err != nil {
		t.Fatal(err)
	}
	g = &Got{}
	g.Add(t, b1)
	wantGaps(t, "a new route", g.Gaps)
	wantBodies(t, "a new route", g.Bodies, "in b and c")
}

// joinedWhileRung: who is rung for and looks, as streams do, hears of what comes to
// the groups that the look found him to have, however soon after it.
func joinedWhileRung(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	v, _ := StartView(t, log, inbox.ViewOptions{})
	r := Open(t, v, "ann", inbox.Start{})
	rung := make(chan struct{}, 1)
	r.OnRing(func() {
		select {
		case rung <- struct{}{}:
		default:
		}
	})
	g := &Got{}
	look := func() {
		t.Helper()
		b, ok := r.Look(10)
		if !ok {
			t.Fatal("memory does not serve")
		}
		g.Add(t, b)
	}
	ring := func() {
		t.Helper()
		select {
		case <-rung:
			look()
		case <-time.After(patience):
			t.Fatal("an entry rang for nobody")
		}
	}
	look()
	Reach(t, v, w.Member("a", "ann", true))
	ring()
	wantGaps(t, "joining", g.Gaps, inbox.GapMembership)
	for len(rung) > 0 { // what the look itself has rung
		ring()
	}
	for i := range 3 {
		Reach(t, v, w.Alarm("da", a, inbox.Major, "in a"))
		for len(g.Bodies) == i {
			ring()
		}
	}
	wantBodies(t, "after joining", g.Bodies, "in a", "in a", "in a")
}

func foreignCursor(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "ann", true)
	w.Member("b", "ben", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	w.Alarm("da", a, inbox.Major, "in a")
	Reach(t, v, w.Alarm("db", b, inbox.Major, "in b"))
	anns := Poll(t, v, "ann", inbox.Start{Cursor: inbox.Earliest}, 10).Cursor
	g := Poll(t, v, "ben", inbox.Start{Cursor: anns}, 10)
	wantGaps(t, "ben with ann's cursor", g.Gaps, inbox.GapMembership)
	wantBodies(t, "ben with ann's cursor", g.Bodies, "in b")
}

func beyondHead(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	Reach(t, v, w.Alarm("d", a, inbox.Major, "one"))
	c, err := inbox.ParseCursor(Poll(t, v, "ann", inbox.Start{}, 10).Cursor)
	if err != nil {
		t.Fatal(err)
	}
	c.Seq += 1000
	g := Poll(t, v, "ann", inbox.Start{Cursor: c.String()}, 10)
	wantGaps(t, "a cursor beyond the end", g.Gaps, inbox.GapEpoch)
	wantBodies(t, "a cursor beyond the end", g.Bodies, "one")
}

func heldBack(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a, b := w.Route("a"), w.Route("b")
	w.Member("a", "ann", true)
	w.Member("b", "ben", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	w.Device("d", "b")
	Reach(t, v, w.Alarm("d", a, inbox.Major, "by one who did not know"))
	for _, u := range []string{"ann", "ben"} {
		g := Poll(t, v, u, inbox.Start{Cursor: inbox.Earliest}, 10)
		wantBodies(t, u+" before the move", g.Bodies)
		if g.Counts != (inbox.Counts{}) {
			t.Errorf("%s counts %+v before the move", u, g.Counts)
		}
	}
	if got := v.Misrouted(10); len(got) != 1 {
		t.Errorf("misrouted: %v", got)
	}
	Reach(t, v, w.Alarm("d", b, inbox.Major, "moved"))
	wantBodies(t, "ben after the move", Poll(t, v, "ben", inbox.Start{Cursor: inbox.Earliest}, 10).Bodies, "moved")
	if got := v.Misrouted(10); len(got) != 0 {
		t.Errorf("misrouted after the move: %v", got)
	}
}

// counters makes random changes and compares each user's counters, and after a
// restart too, with what a plain recount of the newest entries gives.
func counters(t *testing.T, log inbox.Log) {
	rng := rand.New(rand.NewPCG(1, 2))
	w := NewWriter(t, log)
	audiences := []inbox.Audience{w.Route("a"), w.Route("b"), w.Route("c"), inbox.Everyone, inbox.UserAudience("ann")}
	w.Member("a", "ann", true)
	w.Member("b", "ann", true)
	w.Member("c", "ben", true)
	w.Member("*", "chief", true)
	v, _ := StartView(t, log, small)
	reads := map[string]func(inbox.Audience) bool{
		"ann":   func(a inbox.Audience) bool { return a != audiences[2] },
		"ben":   func(a inbox.Audience) bool { return a == audiences[2] || a == inbox.Everyone },
		"chief": func(a inbox.Audience) bool { return a != audiences[4] },
	}
	marks := map[string]inbox.Mark{}
	recount := func(v *inbox.View) {
		t.Helper()
		for user, has := range reads {
			var want inbox.Counts
			for _, e := range w.newest {
				if !has(e.Audience) || e.Audience == "" {
					continue
				}
				if announced := e.AnnouncedAt(); announced > marks[user].Upto && announced > marks[user].Read[e.Subject] {
					want.Unread++
				}
				if e.Open() {
					want.Active[e.Severity]++
				}
			}
			got := Drain(t, Open(t, v, user, inbox.Start{}), 10).Counts
			got.Flood = inbox.Flood{} // floods have scenarios of their own
			if got != want {
				t.Fatalf("%s counts %+v, a recount gives %+v", user, got, want)
			}
		}
	}
	var last uint64
	for i := range 1500 {
		switch n := rng.IntN(20); {
		case n < 12:
			to := audiences[rng.IntN(3)]
			last = w.Append(alarmEntry(fmt.Sprint("d", rng.IntN(40)), to, inbox.Severity(rng.IntN(6)), "x"), rng.IntN(2) == 0)
		case n < 15:
			last = w.Quiet(fmt.Sprint("q", rng.IntN(10)), audiences[0], inbox.Severity(rng.IntN(6)), "x")
		case n < 17:
			last = w.Notice(audiences[3+rng.IntN(2)], fmt.Sprint("n", rng.IntN(30)), "x")
		default:
			user := []string{"ann", "ben", "chief"}[rng.IntN(3)]
			m := marks[user]
			m.Rev++
			if m.Epoch = w.Epoch; n == 17 {
				m.Upto = max(m.Upto, last-min(last, uint64(rng.IntN(30))))
			} else {
				m.Read = map[string]uint64{}
				for subject, e := range w.newest {
					if len(m.Read) < 5 {
						m.Read[subject] = e.AnnouncedAt()
					}
				}
			}
			marks[user] = m
			v.SetMark(user, m)
		}
		if i%10 == 0 && last > 0 {
			Reach(t, v, last)
			recount(v)
		}
	}
	again, _ := StartView(t, log, small)
	for user, m := range marks {
		again.SetMark(user, m)
	}
	recount(again)
}
