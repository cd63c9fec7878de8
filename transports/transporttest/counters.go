package transporttest

import (
	"context"
	"testing"
	"time"

	"tocsin/server/alarm"
)

// quietCounters: what changes without an entry is told by the counters, and a
// client that comes later finds the same.
func quietCounters(t *testing.T, e Env) {
	w := e.World(t, Settings{Fold: time.Hour})
	crew := w.Crew()
	token := crew.Token("", time.Minute)
	f := w.Follow(e.Via, token, "")
	report := func(severity, want string) {
		t.Helper()
		n, _ := w.node()
		r := n.alarms.Publish(t.Context(), "tests", []alarm.Event{{Device: crew.Device, Type: "t", Severity: severity}})[0]
		if r.Status != want {
			t.Fatalf("%s: %+v, want %s", severity, r, want)
		}
	}
	report("critical", alarm.StatusRaised)
	f.counters(1, "critical")
	for _, severity := range []string{"minor", "warning", "indeterminate"} {
		report(severity, alarm.StatusRepeated)
		f.counters(1, severity)
		again := w.Follow(e.Via, token, "")
		again.counters(1, severity)
		again.Cut()
	}
}

// counters reads on until the client is told that there is so much unread, and
// one alarm, of this severity. What else comes is passed over.
func (f *Follower) counters(unread int, severity string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), patience)
	defer cancel()
	if err := f.reader.Counters(ctx, Counters{unread, map[string]int{severity: 1}}); err != nil {
		f.t.Fatalf("%s: want %d unread and one %s: %v", f.via.Name, unread, severity, err)
	}
}
