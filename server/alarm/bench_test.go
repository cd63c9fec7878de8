package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/natslog"
)

// BenchmarkRetention purges a log of 200,000 entries on the disk, of which a tenth
// must be appended again: its figures are for a whole round.
func BenchmarkRetention(b *testing.B) {
	const total, open = 200_000, 20_000
	for b.Loop() {
		b.StopTimer()
		l, err := natslog.Open(b.Context(), natslog.Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		n := newNodeWith(b, l, alarm.Options{Retention: alarm.Retention{Age: month}})
		var events []alarm.Event
		for i := range open {
			events = append(events, event("d", fmt.Sprint("open", i), "raised"))
		}
		for i := range total - open - 1 {
			events = append(events, event("d", fmt.Sprint("never", i), "cleared")) // of no state
		}
		for from := 0; from < len(events); from += 5000 {
			n.publish(events[from:min(from+5000, len(events))]...)
		}
		last := n.one(event("d", "last", "raised"))
		inboxtest.Reach(b, n.view, last.Seq)
		n.now = time.Now().Add(2 * month)
		b.StartTimer()
		if err := n.engine.Retain(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if bounds, _ := l.Bounds(b.Context()); bounds.First < total {
			b.Fatalf("the log begins at %d", bounds.First)
		}
		l.Close(b.Context())
		b.StartTimer()
	}
}
