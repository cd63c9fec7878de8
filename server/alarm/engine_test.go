package alarm_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
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

func TestClearOfWhatWasNeverRaised(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	r := n.one(cleared())
	if wantStatus(t, "the clear", r, "orphan"); r.ID != "" || r.Rev != 0 || r.Seq == 0 {
		t.Errorf("%+v", r)
	}
	wantStatus(t, "a second one", n.one(cleared()), "orphan")
	up := n.one(raise("major"))
	if a := n.get(up.ID); a.Occurrence != 1 || a.Rev != 1 {
		t.Errorf("the first raise after it: %+v", a)
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

func TestLate(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, true)
	at := func(e alarm.Event, s int) alarm.Event {
		e.Time = noon.Add(time.Duration(s) * time.Second)
		return e
	}
	r := n.one(at(raise("major"), 10))
	n.one(at(raise("major"), 20))
	wantStatus(t, "a clear from before the last raise", n.one(at(cleared(), 15)), "late")
	wantStatus(t, "a clear at the last raise", n.one(at(cleared(), 20)), "cleared")
	before := n.get(r.ID)
	wantStatus(t, "a raise from before the clear", n.one(at(raise("critical"), 19)), "late")
	if after := n.get(r.ID); !reflect.DeepEqual(before, after) {
		t.Errorf("a late raise changed the alarm: %+v, before %+v", after, before)
	}
	wantStatus(t, "a raise at the clear", n.one(at(raise("major"), 20)), "raised")
}

func TestDeviceTimeFarOffGivesWay(t *testing.T) {
	for _, off := range []time.Duration{5*time.Minute + time.Millisecond, -7*24*time.Hour - time.Millisecond} {
		n := newNode(t, &inbox.MemoryLog{}, false)
		e := raise("major")
		e.Time = noon.Add(off)
		a := n.get(n.one(e).ID)
		if !a.RaisedAt.Equal(noon) || a.Attrs["device_time"] != e.Time.Format(time.RFC3339Nano) {
			t.Errorf("%v off: raised at %v, attributes %v", off, a.RaisedAt, a.Attrs)
		}
	}
	for _, off := range []time.Duration{5 * time.Minute, -7 * 24 * time.Hour} {
		n := newNode(t, &inbox.MemoryLog{}, false)
		e := raise("major")
		e.Time = noon.Add(off)
		if a := n.get(n.one(e).ID); !a.RaisedAt.Equal(e.Time) || a.Attrs["device_time"] != "" {
			t.Errorf("%v off: raised at %v, attributes %v", off, a.RaisedAt, a.Attrs)
		}
	}
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

func TestAcknowledge(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	one := n.one(raise("major"))
	n.one(cleared())
	two := n.one(raise("major"))
	ack := func(user, id string, rev uint64) (alarm.Alarm, error) {
		return n.engine.Do(t.Context(), alarm.Command{Op: alarm.Acknowledge, User: user, Groups: []string{"unassigned"}, ID: id, Rev: rev, Note: "by " + user})
	}
	var conflict *alarm.ConflictError
	if _, err := ack("ann", one.ID, 0); !errors.Is(err, alarm.ErrSuperseded) || !errors.As(err, &conflict) || conflict.Present.ID != two.ID {
		t.Errorf("a former occurrence: %v", err)
	}
	if _, err := ack("ann", two.ID, two.Rev+1); !errors.Is(err, alarm.ErrChanged) {
		t.Errorf("another revision: %v", err)
	}
	a, err := ack("ann", two.ID, two.Rev)
	if err != nil || !a.Acked || *a.AckedBy != "ann" || a.AckNote != "by ann" || a.Earlier != 0 || a.Rev != two.Rev+1 {
		t.Errorf("the first: %+v, %v", a, err)
	}
	b, err := ack("ben", two.ID, 0)
	if err != nil || *b.AckedBy != "ann" || b.Rev != a.Rev {
		t.Errorf("the second: %+v, %v", b, err)
	}
	for _, id := range []string{"", "x", "no.such._.1.0", two.ID + "0", "all.x"} {
		if _, err := ack("ann", id, 0); !errors.Is(err, alarm.ErrNotFound) {
			t.Errorf("acknowledging %q: %v", id, err)
		}
	}
	if _, err := n.engine.Do(t.Context(), alarm.Command{Op: alarm.Acknowledge, User: "eve", ID: two.ID}); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("by one who does not see it: %v", err)
	}
}

func TestRacingWritersLoseNothing(t *testing.T) {
	log := &inbox.MemoryLog{}
	nodes := []*node{newNode(t, log, false)}
	nodes = append(nodes, newNode(t, log, false))
	const writers, rounds = 8, 50
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := range rounds {
				e := raise("major")
				if (w+i)%3 == 0 {
					e = cleared()
				}
				e.ID = fmt.Sprint(w, "-", i)
				if r := nodes[w%2].engine.Publish(t.Context(), "p", []alarm.Event{e})[0]; r.Err != nil {
					t.Errorf("writer %d: %v", w, r.Err)
				}
			}
		})
	}
	all.Wait()
	rev, events := uint64(0), 0
	_ = log.Scan(t.Context(), inbox.Scan{}, func(m inbox.Message) error {
		if _, _, _, ok := inbox.ParseAlarmSubject(m.Subject); !ok {
			return nil
		}
		e, err := inbox.Decode(m)
		if err != nil {
			return err
		}
		events++
		if want := rev + 1; e.Status == alarm.StatusOrphan {
			if e.Rev != rev {
				t.Errorf("entry %d: an orphan at revision %d after %d", m.Seq, e.Rev, rev)
			}
		} else if e.Rev != want {
			t.Errorf("entry %d: revision %d, want %d", m.Seq, e.Rev, want)
		}
		rev = e.Rev
		return nil
	})
	if events != writers*rounds {
		t.Errorf("%d entries for %d events", events, writers*rounds)
	}
}

func TestAlarmsFollowTheirDevice(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var worker sync.WaitGroup
	worker.Go(func() { n.engine.Work(ctx) })
	defer worker.Wait()
	defer cancel()
	r := n.one(raise("major"))
	ann := inboxtest.Open(t, n.view, "ann", inbox.Start{}, "unassigned")
	ben := inboxtest.Open(t, n.view, "ben", inbox.Start{}, "fleet")
	inboxtest.Drain(t, ann, 10)
	inboxtest.Drain(t, ben, 10)
	if err := n.dir.PutDevice(t.Context(), "d", []string{"fleet"}); err != nil {
		t.Fatal(err)
	}
	wait, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	b, err := ann.Next(wait, 10)
	if err != nil || len(b.Items) != 1 || !strings.Contains(string(b.Items[0].AppendJSON(nil)), `"type":"alarm.removed"`) {
		t.Fatalf("who had it: %+v, %v", b, err)
	}
	b, err = ben.Next(wait, 10)
	if err != nil || len(b.Items) != 1 || !strings.Contains(string(b.Items[0].AppendJSON(nil)), `"type":"alarm.updated"`) {
		t.Fatalf("who has it now: %+v, %v", b, err)
	}
	if _, err := n.engine.Get(t.Context(), "ann", []string{"unassigned"}, r.ID); !errors.Is(err, alarm.ErrNotFound) {
		t.Errorf("who had it still sees it: %v", err)
	}
	if a, err := n.engine.Get(t.Context(), "ben", []string{"fleet"}, r.ID); err != nil || a.Groups[0] != "fleet" || a.Rev != 2 {
		t.Errorf("who has it now: %+v, %v", a, err)
	}
	if err := n.dir.DeleteDevice(t.Context(), "d"); err != nil {
		t.Fatal(err)
	}
	if b, err = ann.Next(wait, 10); err != nil || len(b.Items) != 1 {
		t.Errorf("a device that the directory forgets: %+v, %v", b, err)
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
