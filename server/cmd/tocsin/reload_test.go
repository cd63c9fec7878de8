package main

import (
	"slices"
	"strings"
	"testing"
)

// What the sample marks is what a running node takes over.
func TestTheSampleMarksWhatIsReloaded(t *testing.T) {
	marked := map[string]bool{}
	for line := range strings.Lines(sample) {
		if key, value, is := strings.Cut(line, ": "); is && !strings.HasPrefix(line, "#") {
			marked[key] = strings.HasSuffix(strings.TrimSpace(value), "# reload")
		}
	}
	d := defaults()
	n := 0
	for _, s := range d.table() {
		if !s.secret && marked[s.name] != s.reload {
			t.Errorf("%s: the sample says reload: %v, the table %v", s.name, marked[s.name], s.reload)
		}
		if s.reload {
			n++
		}
	}
	if n == 0 {
		t.Error("nothing is reloaded")
	}
}

func TestOnlyWhatMayChangeIsAdopted(t *testing.T) {
	now, next := defaults(), defaults()
	next.LogLevel, next.BatchEvents, next.Data, next.Compat = "warn", 7, "elsewhere", []string{"stomp"}
	changed, waiting := now.adopt(&next)
	if !slices.Equal(changed, []string{"batch-events", "log-level"}) || !slices.Equal(waiting, []string{"data", "compat"}) {
		t.Errorf("changed %v, waiting %v", changed, waiting)
	}
	if now.LogLevel != "warn" || now.BatchEvents != 7 || now.Data != "data" || len(now.Compat) == 1 {
		t.Errorf("%+v", now)
	}
	if changed, waiting = now.adopt(&next); len(changed) != 0 || len(waiting) != 2 {
		t.Errorf("once more: changed %v, waiting %v", changed, waiting)
	}
}
