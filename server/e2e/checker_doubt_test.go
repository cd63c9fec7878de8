package e2e

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// calm runs publishers and readers on one server that nothing happens to, and
// returns all that the checker looks at.
func calm(t *testing.T) (*check, *ledger, []entry) {
	t.Helper()
	c := newCheck(t, 0, 10)
	s := newServer(t, "--fold", "0")
	c.nodes, c.front = []*server{s}, s
	c.assign()
	c.addReaders()
	c.addFeeders(len(doors))
	ctx, cancel := context.WithCancel(t.Context())
	publishing, enough := context.WithCancel(ctx)
	var reading, feeding sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	for _, h := range c.hoppers {
		h.ways = []string{"sse", "longpoll", "ws"} // a page's marks are not entries that one could take away
		reading.Go(func() { h.run(ctx, time.Second) })
	}
	for _, f := range c.feeders {
		f.every = 20 * time.Millisecond
		feeding.Go(func() { f.run(publishing) })
	}
	waitFor(ctx, nil, func() bool {
		return !slices.ContainsFunc(c.feeders, func(f *feeder) bool { return f.groups.Load() < 10 })
	})
	enough()
	feeding.Wait()
	c.quiet(time.Millisecond)
	l := readLedger(t, s)
	entries := c.agreed(l)
	settle(t, c.hoppers, entries)
	return c, l, entries
}

// The checker is of use only if it finds what is wrong: so everything that it looks at
// is spoilt once.
func TestTheCheckerFindsWhatIsWrong(t *testing.T) {
	c, l, entries := calm(t)
	find := func() (all []string) {
		all = slices.Concat(l.checkReceipts(c.feeders), l.checkChain(), l.checkRoutes(), c.checkCounters(l))
		for _, h := range c.hoppers {
			if err := h.check(entries); err != nil {
				all = append(all, h.user+": "+err.Error())
			}
		}
		return all
	}
	if wrong := find(); len(wrong) > 0 {
		t.Fatalf("where nothing is wrong: %s", strings.Join(wrong, "\n"))
	}
	h, f := c.hoppers[2], c.feeders[1] // who looks at all that he gets
	whole, receipts, order, newest := h.got, f.receipts, l.order, l.newest
	middle := len(whole) / 2
	alarms := slices.DeleteFunc(slices.Clone(order), func(e *inbox.Entry) bool { return e.Rev == 0 })
	victim := alarms[len(alarms)/2]
	last := alarms[len(alarms)-1]
	for what, spoil := range map[string]func() (repair func()){
		"an entry that a reader did not get":     func() func() { h.got = slices.Delete(slices.Clone(whole), middle, middle+1); return nil },
		"the last one":                           func() func() { h.got = whole[:len(whole)-1]; return nil },
		"one that he got twice":                  func() func() { h.got = slices.Insert(slices.Clone(whole), middle, whole[middle]); return nil },
		"two in the wrong order":                 func() func() { h.got = slices.Clone(whole); slices.Reverse(h.got[middle : middle+2]); return nil },
		"a gap that was none":                    func() func() { h.gaps = []string{"epoch"}; return func() { h.gaps = nil } },
		"an event that is not where it was said": func() func() { f.receipts = slices.Clone(receipts); f.receipts[3].Seq++; return nil },
		"an event with another outcome":          func() func() { f.receipts = slices.Clone(receipts); f.receipts[3].Status = "shelved"; return nil },
		"an event that is stored twice":          func() func() { f.receipts = slices.Delete(slices.Clone(receipts), 3, 4); return nil },
		"an event that is not stored": func() func() {
			delete(l.entries, receipts[3].Seq)
			return func() { l.entries[receipts[3].Seq] = order[receipts[3].Seq-1] }
		},
		"a hole in the log":       func() func() { l.order = slices.Delete(slices.Clone(order), 20, 21); return nil },
		"a revision that repeats": func() func() { victim.Rev--; return func() { victim.Rev++ } },
		"a hole in revisions":     func() func() { victim.Rev++; return func() { victim.Rev-- } },
		"a wrong counter": func() func() {
			changed := *l.newest[last.Subject]
			changed.Severity = changed.Severity%5 + 1
			changed.Active = true
			l.newest[last.Subject] = &changed
			return func() { newest[last.Subject] = last }
		},
	} {
		repair := spoil()
		if wrong := find(); len(wrong) == 0 {
			t.Errorf("%s is not found", what)
		}
		if repair != nil {
			repair()
		}
		h.got, f.receipts, l.order = whole, receipts, order
	}
	if wrong := find(); len(wrong) > 0 {
		t.Fatalf("after all was repaired: %s", strings.Join(wrong, "\n"))
	}
}
