package alarm_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

// told reads the whole history of an occurrence, so many at a time, as one who
// sees everything.
func (n *node) told(id string, limit int) (changes []alarm.Change) {
	n.t.Helper()
	for after := ""; ; {
		page, next, err := n.engine.History(n.t.Context(), "chief", []string{"*"}, id, after, limit)
		if err != nil {
			n.t.Fatalf("history of %s after %q: %v", id, after, err)
		}
		if len(page) > limit {
			n.t.Fatalf("%d changes, want at most %d", len(page), limit)
		}
		changes = append(changes, page...)
		if after = next; next == "" {
			return changes
		}
	}
}

func (n *node) act(c alarm.Command) alarm.Alarm {
	n.t.Helper()
	c.User, c.Groups = "ada", []string{"*"}
	a, err := n.engine.Do(n.t.Context(), c)
	if err != nil {
		n.t.Fatalf("%s: %v", c.Op, err)
	}
	return a
}

func TestHistoryTellsEverythingOfOneOccurrence(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	former := n.one(raise("minor")).ID
	n.one(cleared())
	id := n.one(raise("major")).ID
	n.one(raise("major"))
	n.act(alarm.Command{Op: alarm.Acknowledge, ID: id, Note: "on it"})
	n.act(alarm.Command{Op: alarm.Acknowledge, ID: id, Note: "me too"})
	n.act(alarm.Command{Op: alarm.Comment, ID: id, Note: "needs a part"})
	n.act(alarm.Command{Op: alarm.Shelve, ID: id})
	n.act(alarm.Command{Op: alarm.Unshelve, ID: id})
	n.act(alarm.Command{Op: alarm.Unacknowledge, ID: id})
	n.act(alarm.Command{Op: alarm.Clear, ID: id, Note: "replaced"})
	n.one(cleared())
	n.one(alarm.Event{Device: "d", Type: "t", Severity: "major", Time: noon.Add(-time.Hour)})
	const want = `raised alarm.raised by ingest: ; repeated alarm.updated by ingest: ; acked alarm.acked by ada: on it; ` +
		`acked  by : quiet; commented alarm.commented by ada: needs a part; shelved alarm.shelved by ada: ; ` +
		`unshelved alarm.updated by ada: ; unacked alarm.unacked by ada: ; cleared alarm.cleared by ada: replaced; ` +
		`orphan  by ingest: quiet; late  by ingest: quiet`
	for _, limit := range []int{1, 2, 3, 11, alarm.MaxHistory} {
		var said []string
		seq := uint64(0)
		for _, c := range n.told(id, limit) {
			text := fmt.Sprintf("%s %s by %s: %s", c.Status, c.Type, c.By, c.Note)
			if c.Quiet {
				text += "quiet"
			}
			said = append(said, text)
			var a alarm.Alarm
			if err := json.Unmarshal(c.Alarm, &a); err != nil || a.ID != id || c.Seq <= seq || c.Time.IsZero() {
				t.Errorf("limit %d: %+v: %v", limit, c, err)
			}
			seq = c.Seq
		}
		if got := strings.Join(said, "; "); got != want {
			t.Errorf("limit %d:\n%s, want\n%s", limit, got, want)
		}
	}
	if got := n.told(former, 100); len(got) != 2 || got[0].Status != "raised" || got[1].Status != "cleared" {
		t.Errorf("of the former occurrence: %+v", got)
	}
}

func TestHistoryIsBounded(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	id := n.one(raise("minor")).ID
	var field *alarm.FieldError
	for _, bad := range []struct {
		limit int
		after string
		field string
	}{{0, "", "limit"}, {alarm.MaxHistory + 1, "", "limit"}, {1, "x", "after"}, {1, "0", "after"}, {1, "-1", "after"}} {
		_, _, err := n.engine.History(t.Context(), "chief", []string{"*"}, id, bad.after, bad.limit)
		if !errors.As(err, &field) || field.Field != bad.field {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	for _, id := range []string{"", "none", strings.Replace(id, ".1.", ".9.", 1)} {
		if _, _, err := n.engine.History(t.Context(), "chief", []string{"*"}, id, "", 1); !errors.Is(err, alarm.ErrNotFound) {
			t.Errorf("of %q: %v", id, err)
		}
	}
	if _, _, err := n.engine.History(t.Context(), "eve", nil, id, "", 1); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("of what is not hers: %v", err)
	}
}

func TestAFormerOccurrenceIsAsItWasLast(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	former := n.one(raise("minor")).ID
	n.act(alarm.Command{Op: alarm.Acknowledge, ID: former, Note: "seen"})
	n.one(cleared())
	if a := n.get(former); a.Superseded || strings.Contains(string(a.AppendJSON(nil)), "superseded") {
		t.Errorf("the present one: %+v", a)
	}
	n.one(raise("major"))
	a := n.get(former)
	if !a.Superseded || a.Active || !a.Acked || a.AckNote != "seen" || a.Severity != "minor" || a.Rev != 3 || a.ID != former {
		t.Errorf("the former one: %+v", a)
	}
	if !strings.Contains(string(a.AppendJSON(nil)), `"superseded":true`) {
		t.Errorf("%s", a.AppendJSON(nil))
	}
	for _, id := range []string{strings.Replace(former, ".1.", ".7.", 1), strings.TrimSuffix(former, former[len(former)-1:]) + "_"} {
		if _, err := n.engine.Get(t.Context(), "chief", []string{"*"}, id); !errors.Is(err, alarm.ErrNotFound) {
			t.Errorf("get %q: %v", id, err)
		}
	}
	if _, err := n.engine.Get(t.Context(), "eve", nil, former); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("what is not hers: %v", err)
	}
}
