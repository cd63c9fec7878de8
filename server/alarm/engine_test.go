package alarm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/internal/streamtest"
)

func raise(severity string) alarm.Event {
	return alarm.Event{Device: "d", Type: "t", Severity: severity}
}

func cleared() alarm.Event { return alarm.Event{Device: "d", Type: "t", State: "cleared"} }

func wantStatus(t *testing.T, what string, r alarm.Result, want string) {
	t.Helper()
	if r.Status != want {
		t.Errorf("%s: %s (%v), want %s", what, r.Status, r.Err, want)
	}
}

func TestLifeCycle(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	first := n.one(alarm.Event{Device: "d", Type: "t", Severity: "major", Message: "one", Attrs: map[string]string{"a": "1"}})
	wantStatus(t, "a raise", first, "raised")
	a := n.get(first.ID)
	if !a.Active || a.Acked || a.Occurrence != 1 || a.Rev != 1 || a.Count != 1 || a.Severity != "major" || a.Message != "one" || a.Attrs["a"] != "1" {
		t.Errorf("after a raise: %+v", a)
	}
	n.now = n.now.Add(time.Second)
	again := n.one(raise("minor"))
	wantStatus(t, "a raise while active", again, "repeated")
	a = n.get(first.ID)
	if again.ID != first.ID || a.Count != 2 || a.Severity != "minor" || a.SeverityMax != "major" || a.Rev != 2 || a.Message != "one" || !a.LastRaised.Equal(n.now) || !a.RaisedAt.Equal(noon) {
		t.Errorf("after a repeat: %+v", a)
	}
	wantStatus(t, "a clear", n.one(cleared()), "cleared")
	a = n.get(first.ID)
	if a.Active || a.ClearedAt == nil || a.ClearReason != "reported" {
		t.Errorf("after a clear: %+v", a)
	}
	orphan := n.one(cleared())
	wantStatus(t, "a clear of what is cleared", orphan, "orphan")
	if orphan.Rev != a.Rev || n.get(first.ID).Rev != a.Rev {
		t.Errorf("an orphan changed the revision: %+v", orphan)
	}
	second := n.one(raise("critical"))
	wantStatus(t, "a raise after a clear", second, "raised")
	b := n.get(second.ID)
	if second.ID == first.ID || b.Occurrence != 2 || b.Earlier != 1 || b.Rev != a.Rev+1 || b.Count != 1 || b.Message != "" || len(b.Attrs) != 0 {
		t.Errorf("the second occurrence: %+v", b)
	}
}

func TestSeverity(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	r := n.one(raise("minor"))
	ack := func() {
		t.Helper()
		if _, err := n.engine.Do(t.Context(), alarm.Command{Op: alarm.Acknowledge, User: "u", Groups: []string{"*"}, ID: r.ID}); err != nil {
			t.Fatal(err)
		}
	}
	ack()
	n.one(raise("warning"))
	if a := n.get(r.ID); !a.Acked || a.Severity != "warning" {
		t.Errorf("severity down lost the acknowledgement: %+v", a)
	}
	n.one(raise("critical"))
	if a := n.get(r.ID); a.Acked || a.AckedBy != nil || a.Severity != "critical" || a.SeverityMax != "critical" {
		t.Errorf("severity up kept the acknowledgement: %+v", a)
	}
	odd := n.one(alarm.Event{Device: "d", Type: "odd", Severity: "terrible"})
	if a := n.get(odd.ID); a.Severity != "indeterminate" || a.Attrs["severity"] != "terrible" {
		t.Errorf("an unknown word: %+v", a)
	}
	wantStatus(t, "severity cleared means the state", n.one(alarm.Event{Device: "d", Type: "odd", Severity: "cleared"}), "cleared")
}

func TestMomentaryIsStoredCleared(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	e := raise("warning")
	e.Kind = "momentary"
	first := n.one(e)
	if a := n.get(first.ID); a.Active || a.ClearReason != "momentary" || a.Kind != "momentary" || a.Acked {
		t.Errorf("%+v", a)
	}
	second := n.one(e)
	if a := n.get(second.ID); a.Occurrence != 2 {
		t.Errorf("the second: %+v", a)
	}
}

func TestSentAgainHasTheFirstOutcome(t *testing.T) {
	log := &inbox.MemoryLog{}
	n := newNode(t, log, false)
	ev := func(id, state string) alarm.Event {
		return alarm.Event{ID: id, Device: "d", Type: "t", Severity: "major", State: state}
	}
	events := []alarm.Event{ev("1", "raised"), ev("2", "raised"), ev("3", "cleared"), ev("4", "cleared"), ev("5", "raised")}
	first := n.publish(events...)
	for i, want := range []string{"raised", "repeated", "cleared", "orphan", "raised"} {
		wantStatus(t, events[i].ID, first[i], want)
	}
	other := newNode(t, log, false) // another node, or the same restarted
	again := other.publish(events[4], events[0], events[1], events[2], events[3])
	for i, r := range again {
		want := first[(i+4)%5]
		want.Duplicate = true
		if r != want {
			t.Errorf("sent again: %+v, want %+v", r, want)
		}
	}
	elsewhere := ev("1", "raised")
	elsewhere.Device = "other"
	if r := n.one(elsewhere); !errors.Is(r.Err, alarm.ErrIDReused) || r.Status != "rejected" {
		t.Errorf("the id on another alarm: %+v", r)
	}
	if r := n.engine.Publish(t.Context(), "somebody else", []alarm.Event{ev("1", "raised")})[0]; r.Duplicate || r.Status != "repeated" {
		t.Errorf("the id of another publisher: %+v", r)
	}
}

// behind is a log that does not find, for once, what was stored last.
type behind struct {
	inbox.Log
	is *atomic.Bool
}

func (l behind) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	if l.is.CompareAndSwap(true, false) {
		return inbox.Message{}, inbox.ErrNotFound
	}
	return l.Log.At(ctx, seq)
}

// A first outcome that whoever is asked does not have yet is to be asked for again.
func TestSentAgainWhileALeaderIsBehind(t *testing.T) {
	var is atomic.Bool
	n := newNode(t, behind{&inbox.MemoryLog{}, &is}, false)
	ev := alarm.Event{ID: "1", Device: "d", Type: "t", Severity: "major"}
	first := n.one(ev)
	is.Store(true)
	if r := n.one(ev); !errors.Is(r.Err, inbox.ErrUnavailable) || is.Load() {
		t.Errorf("while it is behind: %+v", r)
	}
	first.Duplicate = true
	if r := n.one(ev); r != first {
		t.Errorf("sent once more: %+v, want %+v", r, first)
	}
}

func TestBadEventsSpoilNoOthers(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	results := n.publish(raise("major"), alarm.Event{Device: strings.Repeat("x", 65), Type: "t", Severity: "major"}, alarm.Event{Device: "e", Type: "t", Severity: "minor"})
	wantStatus(t, "before", results[0], "raised")
	wantStatus(t, "after", results[2], "raised")
	var field *alarm.FieldError
	if !errors.As(results[1].Err, &field) || field.Field != "device" || !strings.Contains(field.Detail, "64") {
		t.Errorf("the bad one: %+v", results[1])
	}
}

func TestNotices(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	notify := func(notice alarm.Notice) []alarm.NoticeResult {
		t.Helper()
		r, err := n.engine.Notify(t.Context(), "boss", notice)
		if err != nil {
			t.Fatal(err)
		}
		inboxtest.Reach(t, n.view, r[len(r)-1].Seq)
		return r
	}
	first := notify(alarm.Notice{ID: "1", Users: []string{"ann", "ben", "ann"}, Title: "hello", Data: json.RawMessage(`{"a": "</script>"}`)})
	if len(first) != 2 {
		t.Fatalf("two users: %+v", first)
	}
	for i, r := range notify(alarm.Notice{ID: "1", Users: []string{"ann", "ben"}, Title: "hello"}) {
		if !r.Duplicate || r.Seq != first[i].Seq {
			t.Errorf("again: %+v, first %+v", r, first[i])
		}
	}
	notify(alarm.Notice{Groups: []string{"ops", "night"}, Title: "to groups"})
	notify(alarm.Notice{Everyone: true, Title: "to all"})
	for user, want := range map[string]int{"ann": 3, "ben": 2, "cid": 1} {
		var groups []string
		if user == "ann" {
			groups = []string{"night"}
		}
		g := inboxtest.Poll(t, n.view, user, inbox.Start{Snapshot: true}, 10, groups...)
		if len(g.Bodies) != want || g.Counts.Unread != want {
			t.Errorf("%s has %d notices, %d unread, want %d", user, len(g.Bodies), g.Counts.Unread, want)
		}
	}
	for _, bad := range []alarm.Notice{{Title: "x"}, {Title: "x", Everyone: true, Users: []string{"a"}}, {Everyone: true},
		{Everyone: true, Title: strings.Repeat("x", 257)}, {Everyone: true, Title: "x", Data: json.RawMessage("{")}} {
		var field *alarm.FieldError
		if _, err := n.engine.Notify(t.Context(), "boss", bad); !errors.As(err, &field) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestManyNoticesAtOnce(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	to := func(user, id, title string) alarm.Notice {
		return alarm.Notice{ID: id, Users: []string{user}, Title: title}
	}
	told := n.engine.NotifyAll(t.Context(), "boss", []alarm.Notice{
		to("ann", "", "a"), to("ann", "", ""), to("ann", "7", "b"), to("ben", "", "c"), to("ann", "7", "b again"), to("ann", "", "d"),
	})
	var field *alarm.FieldError
	if len(told) != 6 || !errors.As(told[1].Err, &field) || field.Field != "title" {
		t.Fatalf("%+v", told)
	}
	var last uint64
	for _, i := range []int{0, 2, 3, 5} {
		r := told[i].Results
		if told[i].Err != nil || len(r) != 1 || r[0].Seq <= last || r[0].Duplicate {
			t.Fatalf("notice %d: %+v", i, told[i])
		}
		last = r[0].Seq
	}
	if again := told[4].Results[0]; !again.Duplicate || again.Seq != told[2].Results[0].Seq {
		t.Errorf("the same id: %+v", again)
	}
	inboxtest.Reach(t, n.view, last)
	g := inboxtest.Poll(t, n.view, "ann", inbox.Start{Snapshot: true}, 10)
	if len(g.Bodies) != 3 {
		t.Errorf("ann has %q", g.Bodies)
	}
	if told := n.engine.NotifyAll(t.Context(), "boss", nil); len(told) != 0 {
		t.Errorf("%+v", told)
	}
}

func TestReplayGivesTheStreamsFigures(t *testing.T) {
	for _, s := range streamtest.Streams(t) {
		t.Run(s.Name, func(t *testing.T) {
			n := newNode(t, &inbox.MemoryLog{}, true)
			got := streamtest.Figures{Events: len(s.Lines), Devices: s.Want.Devices, Groups: s.Want.Groups}
			for from := 0; from < len(s.Lines); from += 500 {
				var events []alarm.Event
				for i, l := range s.Lines[from:min(from+500, len(s.Lines))] {
					if err := n.dir.PutDevice(t.Context(), l.Device, []string{l.Group}); err != nil {
						t.Fatal(err)
					}
					events = append(events, alarm.Event{ID: fmt.Sprint(from + i + 1), Device: l.Device, Type: l.Type,
						Severity: l.Severity, State: l.State, Message: l.Message, Time: l.Time})
				}
				for i, r := range n.publish(events...) {
					switch r.Status {
					case alarm.StatusRaised:
						got.Occurrences++
					case alarm.StatusRepeated:
						got.Repeats++
					case alarm.StatusCleared:
						got.Clears++
					case alarm.StatusOrphan:
						got.Orphans++
					default:
						t.Fatalf("line %d: %+v", from+i+1, r)
					}
				}
			}
			got.Active = got.Occurrences - got.Clears
			if got != s.Want {
				t.Errorf("got %+v\nwant %+v", got, s.Want)
			}
			var active int
			g := inboxtest.Drain(t, inboxtest.Open(t, n.view, "chief", inbox.Start{}, "*"), 10)
			for _, c := range g.Counts.Active {
				active += c
			}
			// Nothing is acknowledged, so every alarm ever raised is open.
			if want := len(keys(s.Lines)); active != want {
				t.Errorf("%d open alarms, want %d", active, want)
			}
		})
	}
}

func keys(lines []streamtest.Line) map[string]bool {
	k := map[string]bool{}
	for _, l := range lines {
		if l.State == "raised" {
			k[l.Device+"/"+l.Type] = true
		}
	}
	return k
}

// Who publishes and then reads at the same node finds what he published.
func TestWhoPublishesFindsItAtOnce(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	for i := range 300 {
		r := n.engine.Publish(t.Context(), "p", []alarm.Event{{Device: fmt.Sprint("d", i), Type: "t", Severity: "major"}})[0]
		if _, err := n.engine.Get(t.Context(), "chief", []string{"*"}, r.ID); err != nil {
			t.Fatalf("alarm %d: %v", i, err)
		}
		n.engine.Publish(t.Context(), "p", []alarm.Event{{Device: fmt.Sprint("e", i), Type: "t", Severity: "major"}})
		g := inboxtest.Drain(t, inboxtest.Open(t, n.view, "chief", inbox.Start{}, "*"), 10)
		if want := 2 * (i + 1); g.Counts.Active[inbox.Major] != want {
			t.Fatalf("after alarm %d: %d are counted, want %d", i, g.Counts.Active[inbox.Major], want)
		}
	}
}
