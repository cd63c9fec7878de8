package e2e

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// check compares what came with what should have, entry for entry.
func (h *hopper) check(all []entry) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var errs []error
	var want []entry
	for _, e := range all {
		if h.sees(e) {
			want = append(want, e)
		}
	}
	got := h.got
	if h.passes != nil {
		want, got = slices.DeleteFunc(want, h.passes), slices.DeleteFunc(slices.Clone(got), h.passes)
	}
	left, err := match(want, got)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("entry %d, and %d more of %d, are missing", left[0].Seq, len(left)-1, len(want))
	}
	errs = append(errs, err)
	if len(h.gaps) > 0 {
		errs = append(errs, fmt.Errorf("gaps: %v", h.gaps))
	}
	for _, odd := range h.odd {
		errs = append(errs, errors.New(odd))
	}
	return errors.Join(errs...)
}

// checkAll checks the hoppers, who have stopped, and says how they travelled.
func checkAll(t *testing.T, hoppers []*hopper, all []entry) {
	t.Helper()
	hops := map[string]int{}
	for _, h := range hoppers {
		if err := h.check(all); err != nil {
			t.Errorf("%s (%v): %v", h.user, h.groups, err)
		}
		for way, n := range h.hops {
			hops[way] += n
		}
	}
	t.Logf("%d entries, stays by transport: %v", len(all), hops)
}

// match takes off want what came, and says where the two part.
func match(want, got []entry) (left []entry, err error) {
	for i, g := range got {
		if g.page != nil {
			shown := map[string]bool{}
			for ; len(want) > 0 && want[0].Seq <= g.page.upto; want = want[1:] {
				shown[want[0].Alarm.Device+"/"+want[0].Alarm.Type] = true
			}
			if len(shown) != g.page.marks {
				return want, fmt.Errorf("the page up to %d, the %dth reading, marks %d alarms, want %d", g.page.upto, i+1, g.page.marks, len(shown))
			}
			continue
		}
		switch {
		case len(want) == 0:
			return nil, fmt.Errorf("entry %d, the %dth reading, is too many", g.Seq, i+1)
		case g.Seq != want[0].Seq || g.Alarm.ID != want[0].Alarm.ID || g.Alarm.Rev != want[0].Alarm.Rev:
			return want, fmt.Errorf("the %dth reading is %d, want %d", i+1, g.Seq, want[0].Seq)
		}
		want = want[1:]
	}
	return want, nil
}

// everything reads the whole log's entries as one who sees all of them.
func everything(t *testing.T, s *server) []entry {
	t.Helper()
	h := newHopper(s, "recorder", 1, nil, "*")
	h.cursor = "earliest"
	for {
		more, err := h.poll(t.Context(), url.Values{"cursor": {h.cursor}, "limit": {"1000"}})
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
	}
	if len(h.gaps) > 0 || len(h.odd) > 0 {
		t.Fatalf("reading everything: gaps %v, %v", h.gaps, h.odd)
	}
	return h.got
}

// settle waits until every hopper has as many entries as it should, or the time
// is up; check says what is wrong.
func settle(t *testing.T, hoppers []*hopper, all []entry) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		ready := true
		for _, h := range hoppers {
			last := uint64(0)
			for _, e := range all {
				if h.sees(e) {
					last = e.Seq
				}
			}
			c, err := inbox.ParseCursor(h.place())
			ready = ready && err == nil && c.Mode == inbox.Plain && c.Seq >= last
		}
		if ready {
			return
		}
		pause(t.Context(), 50*time.Millisecond)
	}
}
