package inboxtest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"tocsin/server/inbox"
)

// A lister is a user, with what a plain recount needs to know of him.
type lister struct {
	user string
	sees []inbox.Audience
}

// recounted lists the writer's alarms as a query must, from the newest entries.
func (w *Writer) recounted(who lister, q inbox.Query, group inbox.Audience) (list []inbox.Entry) {
	for _, e := range w.newest {
		if wanted(&e, who, q, group) {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b inbox.Entry) int {
		yes := func(b bool) int { return map[bool]int{true: 1}[b] }
		return cmp.Or(
			yes(a.Acked)-yes(b.Acked), yes(b.Active)-yes(a.Active),
			weight(b.Severity)-weight(a.Severity),
			-cmp.Compare(a.AnnouncedAt(), b.AnnouncedAt()), cmp.Compare(a.Subject, b.Subject))
	})
	return list
}

// weight sorts indeterminate between minor and warning.
func weight(s inbox.Severity) int {
	if s == inbox.Indeterminate {
		return int(inbox.Minor)*2 - 1
	}
	return int(s) * 2
}

func wanted(e *inbox.Entry, who lister, q inbox.Query, group inbox.Audience) bool {
	least := q.SeverityMin
	if least == inbox.Minor {
		least = inbox.Indeterminate
	}
	device, typ, _, ok := inbox.ParseAlarmSubject(e.Subject)
	switch {
	case !ok || e.Severity == 0 || !slices.Contains(who.sees, e.Audience) || group != "" && e.Audience != group,
		q.State == inbox.ListUnacked && e.Acked,
		(q.State == inbox.ListActive || q.State == "") && !e.Open(),
		least != 0 && weight(e.Severity) < weight(least),
		q.Device != "" && q.Device != device, q.Type != "" && q.Type != typ,
		!strings.Contains(string(e.Body), q.Text): // the model's bodies have nothing else in them
		return false
	}
	return true
}

func bodiesOf(list []inbox.Entry) (bodies []string) {
	for i := range list {
		bodies = append(bodies, string(list[i].Body))
	}
	return bodies
}

// listPages reads all pages of a list; between is called between them.
func listPages(t *testing.T, v *inbox.View, user string, q inbox.Query, between func()) (bodies []string) {
	t.Helper()
	for page := 0; ; page++ {
		l, err := v.List(t.Context(), user, nil, q)
		if err != nil {
			t.Fatalf("page %d of %+v: %v", page, q, err)
		}
		for _, b := range l.Bodies {
			bodies = append(bodies, string(b))
		}
		if q.After = l.Next; q.After == "" {
			return bodies
		}
		if page > 100_000 {
			t.Fatal("the list has no end")
		}
		if between != nil {
			between()
		}
	}
}

// A listWorld has random alarms in two groups.
type listWorld struct {
	w         *Writer
	rng       *rand.Rand
	audiences []inbox.Audience
	listers   []lister
	n         int
}

func newListWorld(t *testing.T, log inbox.Log) *listWorld {
	w := NewWriter(t, log)
	a, b, c := w.Route("a"), w.Route("b"), w.Route("c")
	w.Member("a", "ann", true)
	w.Member("b", "ann", true)
	w.Member("c", "ben", true)
	w.Member("*", "chief", true)
	return &listWorld{
		w: w, rng: rand.New(rand.NewPCG(3, 4)), audiences: []inbox.Audience{a, b, c},
		listers: []lister{{"ann", []inbox.Audience{a, b}}, {"ben", []inbox.Audience{c}}, {"chief", []inbox.Audience{a, b, c}}},
	}
}

// change appends a random change of one of 60 alarms.
func (l *listWorld) change() uint64 {
	l.n++
	device := fmt.Sprint("d", l.rng.IntN(60))
	typ := []string{"t", "fuel.low"}[l.rng.IntN(2)]
	e := inbox.Entry{
		Subject: inbox.AlarmSubject(device, typ, ""), Audience: l.audiences[l.rng.IntN(3)], Tag: "1.0",
		Severity: inbox.Severity(1 + l.rng.IntN(5)), Active: l.rng.IntN(3) > 0, Acked: l.rng.IntN(3) == 0,
		Quiet: l.rng.IntN(4) == 0, Body: fmt.Appendf(nil, `{"alarm":{"message":"No. %d"}}`, l.n),
	}
	if prev, ok := l.w.newest[e.Subject]; ok && l.rng.IntN(8) > 0 {
		e.Audience = prev.Audience // most do not move
	}
	return l.w.Append(e, !e.Quiet && l.rng.IntN(3) == 0)
}

func (l *listWorld) query() (lister, inbox.Query, inbox.Audience) {
	q := inbox.Query{
		State:       []string{"", inbox.ListActive, inbox.ListUnacked, inbox.ListAll}[l.rng.IntN(4)],
		SeverityMin: []inbox.Severity{0, 0, inbox.Warning, inbox.Minor, inbox.Major, inbox.Critical}[l.rng.IntN(6)],
		Limit:       1 + l.rng.IntN(12),
	}
	var group inbox.Audience
	switch l.rng.IntN(6) {
	case 0:
		q.Group = []string{"a", "b", "c"}[l.rng.IntN(3)]
		group = inbox.RouteAudience(inbox.Route([]string{q.Group}))
	case 1:
		q.Device = fmt.Sprint("d", l.rng.IntN(60))
	case 2:
		q.Type = "fuel.low"
	case 3:
		q.Text = fmt.Sprint("No. ", 1+l.rng.IntN(9))
	}
	return l.listers[l.rng.IntN(len(l.listers))], q, group
}

// listRecount compares whole lists with a recount, before and after a restart.
func listRecount(t *testing.T, log inbox.Log) {
	l := newListWorld(t, log)
	v, _ := StartView(t, log, small)
	check := func(v *inbox.View) {
		t.Helper()
		who, q, group := l.query()
		want := l.w.recounted(who, q, group)
		if got := listPages(t, v, who.user, q, nil); !slices.Equal(got, bodiesOf(want)) {
			t.Fatalf("%s lists %+v: %v, a recount gives %v", who.user, q, got, bodiesOf(want))
		}
		q.Device, q.Type, q.Text = "", "", ""
		page, err := v.List(t.Context(), who.user, nil, q)
		if err != nil || page.Total != len(l.w.recounted(who, q, group)) {
			t.Fatalf("%s is told a total of %d for %+v, want %d; %v", who.user, page.Total, q, len(l.w.recounted(who, q, group)), err)
		}
	}
	for range 150 {
		for range 3 {
			l.change()
		}
		Reach(t, v, l.change())
		check(v)
	}
	again, _ := StartView(t, log, small)
	for range 50 {
		check(again)
	}
	Reach(t, again, l.change())
	for range 20 {
		check(again)
	}
}

// listStable pages through lists while alarms change between the pages: each page
// is what follows in the list as it was at first, of what matches by now.
func listStable(t *testing.T, log inbox.Log) {
	l := newListWorld(t, log)
	v, _ := StartView(t, log, small)
	for range 120 {
		l.change()
	}
	for range 25 {
		Reach(t, v, l.change())
		who, q, group := l.query()
		first := l.w.recounted(who, q, group) // only their order counts from now on
		for {
			var want []string
			rest := len(first)
			for i, e := range first {
				if now := l.w.newest[e.Subject]; wanted(&now, who, q, group) {
					if len(want) == q.Limit {
						rest = i
						break
					}
					want = append(want, string(now.Body))
				}
			}
			page, err := v.List(t.Context(), who.user, nil, q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, b := range page.Bodies {
				got = append(got, string(b))
			}
			if !slices.Equal(got, want) || (page.Next != "") != (rest < len(first)) {
				t.Fatalf("%s lists %+v: %v, next %q, want %v and %d more", who.user, q, got, page.Next, want, len(first)-rest)
			}
			if q.After, first = page.Next, first[rest:]; q.After == "" {
				break
			}
			for range l.rng.IntN(12) {
				Reach(t, v, l.change())
			}
		}
	}
}

// listCursor reads the stream from a list's cursor: what the list does not show as
// of now comes there.
func listCursor(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	for i := range 5 {
		Reach(t, v, w.Alarm(fmt.Sprint("d", i), a, inbox.Major, fmt.Sprint(i)))
	}
	q := inbox.Query{Limit: 2}
	first, err := v.List(t.Context(), "ann", nil, q)
	if err != nil {
		t.Fatal(err)
	}
	w.Alarm("d4", a, inbox.Critical, "worse")
	Reach(t, v, w.Alarm("new", a, inbox.Major, "new"))
	q.After = first.Next
	second, err := v.List(t.Context(), "ann", nil, q)
	if err != nil || second.Cursor != first.Cursor {
		t.Errorf("the second page has the cursor %q, the first %q; %v", second.Cursor, first.Cursor, err)
	}
	g := Poll(t, v, "ann", inbox.Start{Cursor: first.Cursor}, 10)
	wantGaps(t, "from the list's cursor", g.Gaps)
	wantBodies(t, "from the list's cursor", g.Bodies, "worse", "new")
}

// listConcurrent pages while alarms change at any moment: what does not change is
// listed once, in order, and nothing is listed twice.
func listConcurrent(t *testing.T, log inbox.Log) {
	l := newListWorld(t, log)
	v, _ := StartView(t, log, inbox.ViewOptions{})
	const still = 2500
	var want []string
	var last uint64
	for i := range still {
		e := alarmEntry(fmt.Sprint("still", i), l.audiences[i%3], inbox.Major, fmt.Sprint("still ", i))
		last = l.w.Append(e, true)
		want = append(want, fmt.Sprint("still ", i))
	}
	slices.Reverse(want)
	Reach(t, v, last)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { // ends when stop is closed
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				l.change()
			}
		}
	}()
	for _, q := range []inbox.Query{{Limit: 700}, {Limit: 1000, State: inbox.ListAll}, {Limit: 300, Text: "STILL"}, {Limit: 999, Type: "t"}} {
		var got []string
		seen := map[string]bool{}
		for _, b := range listPages(t, v, "chief", q, nil) {
			if seen[b] {
				t.Errorf("%+v: %s came twice", q, b)
			}
			seen[b] = true
			if strings.Contains(b, "still") {
				got = append(got, bodyOf(b))
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%+v: of %d that do not change %d came, or in another order", q, len(want), len(got))
		}
	}
	close(stop)
	<-stopped
}
