package page_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"tocsin/server/alarm"
)

// foldedLines are the lines of the page that stand for several rows.
func (a *answer) foldedLines() (said []string) {
	for _, tr := range all(a.root, "tr", "folded") {
		said = append(said, text(all(tr, "summary", "")[0]))
	}
	return said
}

// Rule 6 of the alarm model, as far as the page shows it.
func TestAFloodIsFoldedByGroupAndType(t *testing.T) {
	w := newWorld(t, 0)
	calm := func(a *answer) bool { return len(a.foldedLines()) == 0 && a.one(a.root, "div", "flood") == nil }
	for i := range 4 {
		w.raise(fmt.Sprintf("d%d", i), []string{"minor", "warning", "major", "critical"}[i])
	}
	if a := w.enter(); !calm(a) {
		t.Fatalf("four alarms are no flood: %s", text(a.root))
	}
	for i := range 8 {
		w.raise(fmt.Sprintf("e%d", i), "minor")
	}
	w.publish(alarm.Event{Device: "f", Type: "other", Severity: "warning"})
	a := w.get("/inbox")
	if bar := text(a.one(a.root, "div", "flood")); !strings.Contains(bar, "Flood since 12:00:") {
		t.Errorf("the bar says %q", bar)
	}
	if got := a.foldedLines(); len(got) != 1 || got[0] != "10 ◆ minor t for crew" {
		t.Errorf("folded: %q", got)
	}
	var list []string
	for _, r := range a.rows() {
		list = append(list, r.device)
	}
	slices.Sort(list)
	if got := strings.Join(list, " "); got != "d0 d1 d2 d3 e0 e1 e2 e3 e4 e5 e6 e7 f" {
		t.Errorf("not all are there to be unfolded: %s", got)
	}
	for _, tr := range all(a.root, "tr", "folded") {
		if said := text(tr); strings.Contains(said, "of d2") || strings.Contains(said, "of d3") {
			t.Errorf("critical and major alarms are never folded: %s", said)
		}
	}
	if caption := text(all(a.root, "caption", "")[0]); !strings.HasPrefix(caption, "13 listed") {
		t.Errorf("caption: %s", caption)
	}
}
