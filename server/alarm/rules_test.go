package alarm_test

import (
	"context"
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
)

func TestRule3AClearOfWhatWasNeverRaisedIsAnOrphan(t *testing.T) {
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

func TestRule2LateEventsChangeNothing(t *testing.T) {
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

func TestRule2DeviceTimeFarOffGivesWay(t *testing.T) {
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

func TestRule4TheFirstAcknowledgementWins(t *testing.T) {
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

func TestRule1RacingWritersLoseNothing(t *testing.T) {
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

func TestRule7AlarmsFollowTheirDevice(t *testing.T) {
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

// What is cleared can be acknowledged, and what is acknowledged can be taken back;
// a clear of what is cleared changes nothing.
func TestRule3And4ClearedAlarmsAreAcknowledged(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	id := n.one(raise("major")).ID
	n.one(cleared())
	a := n.do(alarm.Command{Op: alarm.Acknowledge, ID: id, User: "ann"})
	if !a.Acked || a.Active || a.Rev != 3 {
		t.Errorf("acknowledged: %+v", a)
	}
	wantStatus(t, "a second clear", n.one(cleared()), "orphan")
	if now := n.get(id); !reflect.DeepEqual(now, a) {
		t.Errorf("a second clear made %+v of %+v", now, a)
	}
	n.do(alarm.Command{Op: alarm.Acknowledge, ID: id, User: "ben"})
	list := entries(t, n.log)
	for _, e := range list[3:] {
		if !e.Quiet || e.Rev != 3 {
			t.Errorf("an entry that changes nothing: status %s, revision %d, quiet %v", e.Status, e.Rev, e.Quiet)
		}
	}
	if len(list) != 5 {
		t.Errorf("%d entries, want 5", len(list))
	}
	if a = n.do(alarm.Command{Op: alarm.Unacknowledge, ID: id}); a.Acked || a.AckedBy != nil || a.Rev != 4 {
		t.Errorf("taken back: %+v", a)
	}
}

// What is personal is in no entry, what is shared is in all of them.
func TestRule10PersonalStateIsInNoEntry(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	id := n.one(raise("major")).ID
	was, _ := n.log.Bounds(t.Context())
	var mark aMark
	for _, user := range []string{"ann", "ben"} {
		if _, err := n.view.MarkRead(t.Context(), &mark, user, []string{"*"}, "", []string{id}); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := n.log.Bounds(t.Context()); b != was {
		t.Errorf("reading made entries: %+v, was %+v", b, was)
	}
	n.do(alarm.Command{Op: alarm.Acknowledge, ID: id, User: "ann"})
	n.do(alarm.Command{Op: alarm.Shelve, ID: id, User: "ben"})
	n.do(alarm.Command{Op: alarm.Comment, ID: id, Note: "on my way", User: "ann"})
	list := entries(t, n.log)
	last := string(list[len(list)-1].Body)
	for _, shared := range []string{`"acked_by":"ann"`, `"shelved_by":"ben"`, `"comments":1`, `"note":"on my way"`} {
		if !strings.Contains(last, shared) {
			t.Errorf("%s is not in %s", shared, last)
		}
	}
	if strings.Contains(last, "read") {
		t.Errorf("something read is in %s", last)
	}
}

// Who changes an alarm before the worker has moved it moves it himself.
func TestRule7AChangeBeforeTheMoveIsTheMove(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, false)
	id := n.one(raise("major")).ID
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(n.dir.PutDevice(t.Context(), "d", []string{"fleet"}))
	if a := n.do(alarm.Command{Op: alarm.Acknowledge, ID: id}); len(a.Groups) != 1 || a.Groups[0] != "fleet" {
		t.Errorf("acknowledged: %+v", a)
	}
	if list, _, _ := texts(t, n.view, "ann", inbox.Start{Cursor: inbox.Earliest}, "unassigned"); len(list) != 2 || !strings.Contains(list[1], "alarm.removed") {
		t.Errorf("who had it: %v", list)
	}
	if list, _, counts := texts(t, n.view, "ben", inbox.Start{Snapshot: true}, "fleet"); len(list) != 1 || counts.Active[inbox.Major] != 1 {
		t.Errorf("who has it now: %v, %+v", list, counts)
	}
}

// A repeat that would be folded is told at once when it takes the alarm elsewhere, before
// the worker has: else those that it leaves would never hear that it is gone.
func TestRule7ARepeatThatMovesIsToldAtOnce(t *testing.T) {
	n := newNodeWith(t, &inbox.MemoryLog{}, alarm.Options{Fold: time.Minute})
	n.one(raise("major"))
	n.one(raise("major"))
	ann := inboxtest.Open(t, n.view, "ann", inbox.Start{Cursor: inbox.Earliest}, "unassigned")
	read := func() (items []inbox.Item) {
		t.Helper()
		b, err := ann.Read(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		return b.Items
	}
	if items := read(); len(items) != 1 {
		t.Fatalf("the repeat was not folded: %+v", items)
	}
	if err := n.dir.PutDevice(t.Context(), "d", []string{"fleet"}); err != nil {
		t.Fatal(err)
	}
	n.one(raise("major"))
	if items := read(); len(items) != 1 || !strings.Contains(string(items[0].AppendJSON(nil)), `"type":"alarm.removed"`) {
		t.Errorf("who had it: %+v", items)
	}
	if list, _, counts := texts(t, n.view, "ben", inbox.Start{Cursor: inbox.Earliest}, "fleet"); len(list) != 1 || counts.Active[inbox.Major] != 1 {
		t.Errorf("who has it now: %v, %+v", list, counts)
	}
}

// An alarm that was held back because its device had moved comes to light when the
// device is back before the worker came.
func TestRule7ADeviceThatIsBackBeforeTheMove(t *testing.T) {
	n := newNode(t, &inbox.MemoryLog{}, true)
	e := raise("major")
	e.Time = noon
	n.one(e)
	for _, groups := range [][]string{{"fleet"}, {"unassigned"}} {
		if err := n.dir.PutDevice(t.Context(), "d", groups); err != nil {
			t.Fatal(err)
		}
		late := cleared() // which is appended, and changes nothing
		late.Time = noon.Add(-time.Second)
		if groups[0] == "fleet" {
			wantStatus(t, "a clear of long ago", n.one(late), "late")
		}
	}
	if list, _, _ := texts(t, n.view, "ann", inbox.Start{Snapshot: true}, "unassigned"); len(list) != 0 {
		t.Fatalf("the late clear was not held back: %v", list)
	}
	n.tick()
	if list, _, counts := texts(t, n.view, "ann", inbox.Start{Snapshot: true}, "unassigned"); len(list) != 1 || counts.Active[inbox.Major] != 1 {
		t.Errorf("after the move: %v, %+v", list, counts)
	}
	if left := n.view.Misrouted(10); len(left) > 0 {
		t.Errorf("still waiting to be moved: %v", left)
	}
}
