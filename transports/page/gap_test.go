package page_test

import (
	"fmt"
	"net/url"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports/page"
)

// cursorOf is the cursor in a URL of the page.
func cursorOf(t testing.TB, target string) inbox.Cursor {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	c, err := inbox.ParseCursor(u.Query().Get("cursor"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestEachGapIsToldOnceInPlainWords(t *testing.T) {
	for reason, c := range map[inbox.GapReason]struct {
		window int
		words  string
		marked string // of what happens meanwhile
		// happen brings the gap about, and returns where the browser goes then.
		happen func(w *world, next string) string
	}{
		inbox.GapMembership: {0, "Your groups have changed.", "", func(w *world, next string) string {
			w.groups("ada", "crew", "another")
			return next
		}},
		inbox.GapEpoch: {0, "The server has lost the end of its log.", "", func(w *world, next string) string {
			c := cursorOf(w.t, next)
			c.Seq += 1000 // seen on a server that has forgotten it
			return page.Path + "?cursor=" + c.String()
		}},
		inbox.GapExpired: {0, "You have been away for longer than entries are kept.", "", func(w *world, next string) string {
			for i := range 5 {
				w.ack(w.raise(fmt.Sprint("old", i), "minor").ID)
				w.clear(fmt.Sprint("old", i))
			}
			old := w.view.Head()
			// Epochs and memberships outlive a purge, as the worker sees to.
			writer := inboxtest.NewWriter(w.t, w.log)
			w.groups("ada")
			w.groups("ada", "crew")
			w.publish(alarm.Event{Device: "d1", Type: "t", Severity: "critical"})
			writer.Purge(old)
			w.settle()
			return next
		}},
		inbox.GapCompacted: {4 << 10, "Too much has happened since the last refresh", "d1 updated", func(w *world, next string) string {
			for i := range 40 {
				w.ack(w.raise(fmt.Sprint("old", i), "minor").ID)
				w.clear(fmt.Sprint("old", i))
			}
			w.raise("d1", "critical")
			return next
		}},
	} {
		t.Run(string(reason), func(t *testing.T) {
			w := newWorld(t, c.window)
			w.raise("d1", "minor")
			a := w.get(c.happen(w, w.enter().next()))
			bars := a.bars()
			if len(bars) != 1 || !strings.Contains(bars[0], c.words) || !strings.Contains(bars[0], "("+string(reason)+")") {
				t.Fatalf("bars: %q", bars)
			}
			if !strings.Contains(a.devices(), "d1") || !strings.Contains(a.marked(), c.marked) || c.marked == "" && a.marked() != "" {
				t.Errorf("devices %s, marked %q", a.devices(), a.marked())
			}
			w.raise("d9", "major")
			b := w.get(a.next())
			if len(b.bars()) != 0 || b.marked() != "d9 new" {
				t.Errorf("on the next refresh: bars %q, marked %q", b.bars(), b.marked())
			}
		})
	}
}

func TestACursorThatIsNoneIsNoDeadEnd(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "minor")
	w.enter()
	for _, cursor := range []string{"nonsense", "<script>alert(1)</script>", strings.Repeat("x", 5000), "\x00"} {
		a := w.get(page.Path + "?cursor=" + url.QueryEscape(cursor))
		if bars := a.bars(); len(bars) != 1 || !strings.Contains(bars[0], "named no place") {
			t.Errorf("%.20q: bars %q", cursor, bars)
		}
		if a.devices() != "d1" || a.marked() != "" {
			t.Errorf("%.20q: devices %q, marked %q", cursor, a.devices(), a.marked())
		}
		if b := w.get(a.next()); len(b.bars()) != 0 {
			t.Errorf("%.20q: on the next refresh, bars %q", cursor, b.bars())
		}
	}
	for _, cursor := range []string{"", "latest", "earliest"} {
		if a := w.get(page.Path + "?cursor=" + cursor); len(a.bars()) != 0 || a.devices() != "d1" {
			t.Errorf("%q: bars %q, devices %q", cursor, a.bars(), a.devices())
		}
	}
}
