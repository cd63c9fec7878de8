package page

import (
	"fmt"
	"testing"

	"tocsin/server/inbox"
)

// A page that leaves something out has not shown it.
func TestAPageHasReachedWhatItShows(t *testing.T) {
	const rows = 2
	made := func(places ...uint64) *listing {
		l := &listing{told: inbox.Reach{From: 30, To: 40}}
		l.rows = map[string]*row{"gone": {at: 39, gone: true}}
		for _, at := range places {
			l.rows[fmt.Sprint(at)] = &row{at: at}
		}
		return l
	}
	followed := func(l *listing, from, passed uint64) *listing {
		l.followed, l.from, l.passed = true, from, passed
		return l
	}
	half := made(10)
	half.told.Partial = true
	for name, test := range map[string]struct {
		l    *listing
		want inbox.Reach
	}{
		"a first page with all that is open":   {made(10, 20), inbox.Reach{From: 40, To: 40, Snapshot: true}},
		"a first page without the oldest":      {made(10, 20, 30), inbox.Reach{From: 40, To: 40}},
		"the next one, complete":               {followed(made(10, 20), 15, 0), inbox.Reach{From: 15, To: 40, Snapshot: true}},
		"the next one, without the oldest":     {followed(made(10, 20, 30), 15, 0), inbox.Reach{From: 15, To: 40}},
		"more came than there is room for":     {followed(made(20, 30, 35), 15, 0), inbox.Reach{From: 20, To: 40}},
		"open ones were passed over":           {followed(made(20, 30), 15, 18), inbox.Reach{From: 18, To: 40}},
		"in the middle of what is to be shown": {half, half.told},
	} {
		got := test.l.reach(rows)
		if got.From != test.want.From || got.To != test.want.To || got.Snapshot != test.want.Snapshot || got.Partial != test.want.Partial {
			t.Errorf("%s: %+v, want %+v", name, got, test.want)
		}
	}
}
