//go:build !race

package inbox

import (
	"runtime/debug"
	"testing"
)

// What a reader does most often costs no memory, or as little as it did when this
// was written: time differs from machine to machine, allocations do not. The race
// detector takes memory of its own, so these run without it.
func TestAllocsOfALook(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pools
	n := newBenchNode(t, 10_000)
	for _, c := range []struct {
		name   string
		groups []string
		behind uint64
		items  int
		most   float64
	}{
		{"nothing, 1 group", []string{"g99"}, 0, 0, 1},
		{"nothing, 3 groups", []string{"g97", "g98", "g99"}, 0, 0, 1},
		{"1 entry, 1 group", []string{"g99"}, 1, 1, 2},
		{"1 entry, 3 groups", []string{"g97", "g98", "g99"}, 1, 1, 2},
	} {
		r := n.reader(t, Start{}, c.groups...)
		from := n.cursor(t, c.behind, c.groups...)
		r.begun = true
		got := testing.AllocsPerRun(1000, func() {
			r.pos, r.seen, r.given = from, 0, ""
			if batch, ok := r.Look(100); !ok || len(batch.Items) != c.items {
				t.Fatalf("%s: %d items, %v", c.name, len(batch.Items), ok)
			}
		})
		if got > c.most {
			t.Errorf("%s: %v allocations, at most %v", c.name, got, c.most)
		}
	}
}

// A short poll is a reader of its own.
func TestAllocsOfAShortPoll(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	n := newBenchNode(t, 10_000)
	cursor := n.cursor(t, 0, "g99").String()
	groups := []string{"g99"}
	const most = 14
	got := testing.AllocsPerRun(1000, func() {
		r, err := n.v.Open("anna", groups, Start{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		if batch, err := r.Read(t.Context(), 100); err != nil || len(batch.Items) != 0 {
			t.Fatalf("%+v, %v", batch, err)
		}
		r.Close()
	})
	if got > most {
		t.Errorf("%v allocations, at most %v", got, most)
	}
}
