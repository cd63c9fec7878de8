//go:build !race

package alarm_test

import (
	"runtime/debug"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// What an event costs before it is appended: the decision, and the entry encoded.
func TestAllocsOfADecision(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pools
	n := newNode(t, &inbox.MemoryLog{}, false)
	n.one(raise("major"))
	for _, c := range []struct {
		name string
		ev   alarm.Event
		most float64
	}{
		{"a raise", alarm.Event{Device: "new", Type: "t", Severity: "major", Message: "92 km/h", Attrs: map[string]string{"speed_kmh": "92"}}, 13},
		{"a repetition", alarm.Event{Device: "d", Type: "t", Severity: "major", Message: "92 km/h"}, 30},
		{"a clear", alarm.Event{Device: "d", Type: "t", State: "cleared"}, 30},
	} {
		if err := c.ev.Check(); err != nil {
			t.Fatal(err)
		}
		if got := testing.AllocsPerRun(1000, func() {
			if err := n.engine.Decide(t.Context(), &c.ev); err != nil {
				t.Fatal(err)
			}
		}); got > c.most {
			t.Errorf("%s: %v allocations, at most %v", c.name, got, c.most)
		}
	}
}
