package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

func TestRetentionKeepsWhatIsOpenAndTheDirectory(t *testing.T) {
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			p := newPast(t, log(t), monthly, 3)
			before, _, _ := texts(t, p.view, "ann", inbox.Start{Snapshot: true})
			stay, below := p.of(p.open), p.view.Head()
			if _, err := p.view.MarkRead(t.Context(), &p.mark, "chief", []string{"*"}, inbox.Latest, nil); err != nil {
				t.Fatal(err)
			}
			p.now = p.now.Add(month - time.Minute)
			if err := p.engine.Retain(t.Context()); err != nil || p.first() != 1 {
				t.Fatalf("a minute too early: %v, the log begins at %d", err, p.first())
			}
			p.now = p.now.Add(2 * time.Minute)
			if err := p.engine.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if p.first() != below {
				t.Errorf("the log begins at %d, want %d", p.first(), below)
			}
			wantSameViews(t, p)
			if now := p.of(p.open); !reflect.DeepEqual(now, stay) {
				t.Errorf("what stays is\n%+v, was\n%+v", now, stay)
			}
			list, gaps, counts := texts(t, p.view, "ann", inbox.Start{Cursor: p.away})
			if !slices.Equal(gaps, []inbox.GapReason{inbox.GapExpired}) || len(list) != len(before)-1 || counts.Unread != len(p.open) {
				t.Errorf("who was away: %d of %d entries (the notice is gone), gaps %v, %+v", len(list), len(before), gaps, counts)
			}
			if _, _, counts := texts(t, p.view, "chief", inbox.Start{}, "*"); counts.Unread != 0 {
				t.Errorf("what was read is unread: %+v", counts)
			}
			wantForgotten(t, p)
			p.tick() // the shelf's time was over
			if a := p.get(p.open[6]); a.Type != "shelved" || a.ShelvedUntil != nil {
				t.Errorf("the shelved alarm: %+v", a)
			}
		})
	}
}

// wantForgotten goes on with what was purged, as with what never was.
func wantForgotten(t *testing.T, p *past) {
	t.Helper()
	for _, id := range p.closed {
		if _, err := p.engine.Get(t.Context(), "chief", []string{"*"}, id); !errors.Is(err, alarm.ErrNotFound) {
			t.Fatalf("%s is there: %v", id, err)
		}
	}
	r := p.one(event("d", "over1", "raised"))
	if a := p.get(r.ID); r.Status != "raised" || a.Occurrence != 1 || a.Rev != 1 {
		t.Errorf("a raise of what was purged: %+v, %+v", r, a)
	}
	if r := p.one(event("d", "over2", "cleared")); r.Status != "orphan" || r.ID != "" {
		t.Errorf("a clear of what was purged: %+v", r)
	}
	if err := p.dir.PutDevice(t.Context(), "gone", []string{"fleet"}); err != nil {
		t.Errorf("a device that comes back: %v", err)
	}
	if err := p.dir.PutUser(t.Context(), "ben", []string{"fleet"}); err != nil || len(p.dir.User("ben")) != 1 {
		t.Errorf("a user who comes back: %v, %v", p.dir.User("ben"), err)
	}
	if err := p.dir.PutDevice(t.Context(), "d", []string{"other"}); err != nil {
		t.Errorf("a device that was renewed: %v", err)
	}
	if err := p.dir.PutDevice(t.Context(), "d", []string{"fleet"}); err != nil {
		t.Error(err)
	}
}

func TestRetentionLeavesTwiceTheWindow(t *testing.T) {
	for what, r := range map[string]alarm.Retention{
		"by age":  {Age: time.Hour, Window: 40 * time.Minute},
		"by size": {Bytes: 1000, Window: 40 * time.Minute},
	} {
		t.Run(what, func(t *testing.T) {
			var n *node
			now := noon
			n = newNodeWith(t, &inbox.MemoryLog{Now: func() time.Time { return now }}, alarm.Options{Retention: r, Now: func() time.Time { return now }})
			send := func(id string, e alarm.Event) alarm.Result { e.ID = id; return n.one(e) }
			for i := range 20 {
				e := event("d", fmt.Sprint("t", i), "raised")
				e.Kind = "momentary"
				a := send(fmt.Sprint(i), e)
				n.do(alarm.Command{Op: alarm.Acknowledge, ID: a.ID})
			}
			first := func() uint64 { b, _ := n.log.Bounds(t.Context()); return b.First }
			for _, c := range []struct {
				after time.Duration
				gone  bool
			}{{80*time.Minute - time.Millisecond, false}, {80*time.Minute + time.Millisecond, true}} {
				now = noon.Add(c.after)
				if err := n.engine.Retain(t.Context()); err != nil {
					t.Fatal(err)
				}
				if gone := first() > 1; gone != c.gone {
					t.Errorf("after %v the log begins at %d", c.after, first())
				}
				if !c.gone {
					if r := send("3", event("d", "t3", "raised")); !r.Duplicate || r.Status != "raised" {
						t.Errorf("sent again after %v: %+v", c.after, r)
					}
				}
			}
		})
	}
}

func TestRetentionBySizeTakesTheOldest(t *testing.T) {
	for name, log := range logs {
		t.Run(name, func(t *testing.T) {
			const limit = 200_000
			n := newNodeWith(t, log(t), alarm.Options{Retention: alarm.Retention{Bytes: limit}})
			n.now = time.Now().Add(time.Hour)
			bounds := func() inbox.Bounds { b, _ := n.log.Bounds(t.Context()); return b }
			for i := 0; bounds().Bytes <= limit*5/4; i++ {
				e := event("d", fmt.Sprint("t", i), "raised")
				e.Kind = "momentary"
				n.do(alarm.Command{Op: alarm.Acknowledge, ID: n.one(e).ID})
			}
			was := bounds()
			if err := n.engine.Retain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if b := bounds(); b.Bytes > limit || b.Bytes < limit*9/10 {
				t.Errorf("of %d bytes %d are left, the limit is %d", was.Bytes, b.Bytes, limit)
			}
			was = bounds()
			if err := n.engine.Retain(t.Context()); err != nil || bounds() != was {
				t.Errorf("below the limit: %+v, was %+v, %v", bounds(), was, err)
			}
		})
	}
}

func TestAPurgeThatFreesNothingIsNotMade(t *testing.T) {
	n := newNodeWith(t, &inbox.MemoryLog{}, alarm.Options{Retention: alarm.Retention{Age: time.Hour, Bytes: 1}})
	for i := range 300 {
		n.one(event("d", fmt.Sprint("t", i), "raised"))
	}
	n.now = time.Now().Add(month)
	was, _ := n.log.Bounds(t.Context())
	for range 3 {
		if err := n.engine.Retain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := n.log.Bounds(t.Context()); b != was {
		t.Errorf("everything is open, and yet %+v became %+v", was, b)
	}
}

// A lateLog tells its followers nothing while telling is held.
type lateLog struct {
	inbox.Log
	telling sync.Mutex
}

func (l *lateLog) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	return l.Log.Scan(ctx, s, func(m inbox.Message) error {
		l.telling.Lock()
		defer l.telling.Unlock()
		return each(m)
	})
}

// A reader in the middle of a snapshot, or of a catch-up, comes to an end across a
// purge, whether or not his node knows of it by then, and knows then what is open and
// nothing else.
func TestReadersComeToAnEndAcrossAPurge(t *testing.T) {
	for _, c := range []struct {
		mode string
		late bool // the reader's node hears of the purge after it
		gaps []inbox.GapReason
	}{
		{"snapshot", false, nil},
		{"snapshot", true, nil},
		{"catch-up", false, []inbox.GapReason{inbox.GapCompacted, inbox.GapExpired}},
		{"catch-up", true, []inbox.GapReason{inbox.GapCompacted, inbox.GapExpired}},
	} {
		t.Run(fmt.Sprint(c.mode, ", late ", c.late), func(t *testing.T) {
			p := newPast(t, &inbox.MemoryLog{}, monthly, 50)
			log := &lateLog{Log: p.log}
			narrow, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Window: 4 << 10, Unassigned: []string{"unassigned"}})
			start := inbox.Start{Snapshot: true}
			if c.mode == "catch-up" {
				start = inbox.Start{Cursor: p.away}
			}
			var got inboxtest.Got
			open := map[string]bool{}
			for more := true; more; {
				r := inboxtest.Open(t, narrow, "ann", start)
				b, err := r.Read(t.Context(), 3)
				if err != nil {
					t.Fatal(err)
				}
				if b.Gap != nil && b.Gap.Reason != inbox.GapCompacted {
					clear(open)
				}
				for i := range b.Items {
					text := string(b.Items[i].AppendJSON(nil))
					for _, id := range slices.Concat(p.open, p.closed) {
						if strings.Contains(text, `"`+id+`"`) {
							open[id] = slices.Contains(p.open, id) || strings.Contains(text, `"active":true`)
						}
					}
				}
				got.Add(t, b)
				start, more = inbox.Start{Cursor: b.Cursor}, b.More
				if got.Batches == 3 {
					p.now = p.now.Add(2 * month)
					log.telling.Lock()
					if err := p.engine.Retain(t.Context()); err != nil {
						t.Fatal(err)
					}
					if c.late {
						time.AfterFunc(100*time.Millisecond, log.telling.Unlock)
						continue
					}
					log.telling.Unlock()
					end, err := p.log.Bounds(t.Context())
					if err != nil {
						t.Fatal(err)
					}
					inboxtest.Reach(t, narrow, end.Last)
				}
				if got.Batches > 200 {
					t.Fatal("no end")
				}
			}
			if !slices.Equal(got.Gaps, c.gaps) {
				t.Errorf("gaps %v, want %v", got.Gaps, c.gaps)
			}
			for _, id := range p.open {
				// What is acknowledged and cleared stays for its shelf alone.
				if a := p.get(id); !open[id] && (a.Active || !a.Acked) {
					t.Errorf("%s is open, and the reader does not know", id)
				}
			}
			for _, id := range p.closed {
				if open[id] {
					t.Errorf("%s is over, and the reader does not know", id)
				}
			}
		})
	}
}

// Cursors from before a restart stay valid when sys.epoch has been renewed.
func TestEpochsAreRenewed(t *testing.T) {
	log := &inbox.MemoryLog{}
	p := newPast(t, log, monthly, 3)
	head := inboxtest.Drain(t, inboxtest.Open(t, p.view, "ann", inbox.Start{}), 10).Cursor
	again := newNodeWith(t, log, monthly)
	again.now = p.now.Add(2 * month)
	inboxtest.Reach(t, again.view, again.one(event("d", "new", "raised")).Seq)
	if err := again.engine.Retain(t.Context()); err != nil {
		t.Fatal(err)
	}
	third := newNodeWith(t, log, monthly)
	if list, gaps, _ := texts(t, third.view, "ann", inbox.Start{Cursor: p.away}); !slices.Equal(gaps, []inbox.GapReason{inbox.GapExpired}) || len(list) != len(p.open) {
		t.Errorf("a purged cursor: %v, %d entries of %d", gaps, len(list), len(p.open))
	}
	// The cut is below the newest entry, which a cursor at the former head is too.
	if _, gaps, _ := texts(t, third.view, "ann", inbox.Start{Cursor: head}); len(gaps) > 1 || len(gaps) == 1 && gaps[0] != inbox.GapExpired {
		t.Errorf("a cursor of the first epoch: %v", gaps)
	}
	now := inboxtest.Drain(t, inboxtest.Open(t, again.view, "ann", inbox.Start{}), 10).Cursor
	if _, gaps, _ := texts(t, third.view, "ann", inbox.Start{Cursor: now}); len(gaps) > 0 {
		t.Errorf("a cursor of the second epoch: %v", gaps)
	}
}

// Two months of a worker's life: what is over goes as it ages, what is open stays,
// and the log does not grow.
func TestTheWorkerKeepsTheLogWithinItsRetention(t *testing.T) {
	o := alarm.Options{Retention: alarm.Retention{Age: 10 * 24 * time.Hour, Window: 10 * time.Minute, Every: time.Hour}}
	inBubble(t, o, func(t *testing.T, f *folding) {
		const hour, day = 3600, 24 * 3600
		id := f.one(event("d", "open", "raised")).ID
		for d := range 60 {
			f.at(float64(d*day) + 1)
			for i := range 20 {
				f.do(alarm.Command{Op: alarm.Acknowledge, ID: f.one(event("d", fmt.Sprint("t", d, "-", i), "raised")).ID})
				f.one(event("d", fmt.Sprint("t", d, "-", i), "cleared"))
			}
			f.at(float64(d*day) + 2*hour)
			b, err := f.log.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Three entries an alarm, of eleven days at most, and what is renewed.
			if b.Messages > 11*60+30 || d < 10 && b.Messages < uint64(d)*60 {
				t.Fatalf("day %d: %d messages", d, b.Messages)
			}
		}
		if a := f.get(id); !a.Active || a.Rev != 1 || !a.RaisedAt.Equal(f.start) {
			t.Errorf("what is open has become %+v", a)
		}
		if f.view.Purged() < 60*40 {
			t.Errorf("purged below %d only", f.view.Purged())
		}
	})
}

// A hollowLog lacks a message that was there once.
type hollowLog struct {
	inbox.Log
	asked   []uint64 // in this order
	missing uint64
}

func (l *hollowLog) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	l.asked = append(l.asked, seq)
	if seq == l.missing {
		return inbox.Message{}, fmt.Errorf("message %d: %w", seq, inbox.ErrNotFound)
	}
	return l.Log.At(ctx, seq)
}

// Who is owed what the log has lost while a node serves is told so, and gets everything
// that is open.
func TestReadersAreToldThatAnEntryIsMissing(t *testing.T) {
	p := newPast(t, &inbox.MemoryLog{}, monthly, 50)
	log := &hollowLog{Log: p.log}
	narrow, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Window: 4 << 10, Unassigned: []string{"unassigned"}})
	open, _, _ := texts(t, narrow, "ann", inbox.Start{Snapshot: true})
	start := inbox.Start{Cursor: p.away}
	if _, gaps, _ := texts(t, narrow, "ann", start); !slices.Equal(gaps, []inbox.GapReason{inbox.GapCompacted}) {
		t.Errorf("of a whole log: gaps %v", gaps)
	}
	log.missing = log.asked[len(log.asked)/2]
	list, gaps, _ := texts(t, narrow, "ann", start)
	if !slices.Equal(gaps, []inbox.GapReason{inbox.GapCompacted, inbox.GapEpoch}) {
		t.Errorf("without %d: gaps %v", log.missing, gaps)
	}
	if n := len(list) - len(open); n < 0 || !slices.Equal(list[n:], open) {
		t.Errorf("the end is no snapshot of what is open: %d of %d", len(list), len(open))
	}
}
