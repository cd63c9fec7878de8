package alarm_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
)

var autoClear = map[string]time.Duration{"t": 10 * time.Minute}

func TestRule8AutoClear(t *testing.T) {
	inBubble(t, alarm.Options{AutoClear: autoClear}, func(t *testing.T, f *folding) {
		id := f.one(raise("major")).ID
		other := f.one(event("d", "other", "raised")).ID
		f.at(599)
		f.one(raise("major")) // which begins the time anew
		f.at(700)
		f.do(alarm.Command{Op: alarm.Acknowledge, ID: id}) // which does not
		f.at(1198)
		if a := f.get(id); !a.Active {
			t.Errorf("too early: %+v", a)
		}
		f.at(1199)
		a := f.get(id)
		if a.Active || !a.Acked || a.ClearReason != "expired" || a.ClearedAt == nil || a.ClearedAt.Sub(f.start) != 1199*time.Second {
			t.Errorf("expired: %+v", a)
		}
		f.at(10_000)
		if a := f.get(other); !a.Active {
			t.Errorf("of a type without a time: %+v", a)
		}
		f.wantTold("auto-clear", "0 raised 1", "0 raised 1", "599 repeated 2", "700 acked 2", "1199 expired 2")
		if a := f.get(f.one(raise("major")).ID); a.Occurrence != 2 || !a.Active {
			t.Errorf("raised again: %+v", a)
		}
	})
}

func TestRule8AClearEndsTheTimeOfAutoClear(t *testing.T) {
	inBubble(t, alarm.Options{AutoClear: autoClear}, func(t *testing.T, f *folding) {
		f.one(raise("major"))
		f.one(cleared())
		id := f.one(event("e", "t", "raised")).ID
		f.do(alarm.Command{Op: alarm.Clear, ID: id, Note: "seen to"})
		once := raise("minor")
		once.Device, once.Kind = "f", alarm.KindMomentary
		f.one(once)
		f.at(10_000)
		f.wantTold("cleared", "0 raised 1", "0 cleared 1", "0 raised 1", "0 cleared 1", "0 raised 1")
		for _, e := range entries(t, f.log) {
			if a := alarmOf(t, e); !a.Active && !e.Due.IsZero() {
				t.Errorf("entry %d, of what is over, is due %v", e.Seq, e.Due)
			}
		}
	})
}

func TestRule8AutoClearOutlivesItsNode(t *testing.T) {
	inBubble(t, alarm.Options{AutoClear: autoClear}, func(t *testing.T, f *folding) {
		id := f.one(raise("major")).ID
		f.rest()
		f.at(300)
		again := newNodeWith(t, f.log, alarm.Options{AutoClear: autoClear, Now: time.Now})
		rest := again.work(t)
		f.at(601)
		rest()
		if a := f.get(id); a.Active || a.ClearReason != "expired" || a.ClearedAt.Sub(f.start) != 10*time.Minute {
			t.Errorf("after a restart: %+v", a)
		}
	})
}

func TestRule8AutoClearByDeviceTimeWhereThatIsTrusted(t *testing.T) {
	inBubble(t, alarm.Options{AutoClear: autoClear, TrustDeviceTime: true}, func(t *testing.T, f *folding) {
		e := raise("major")
		e.Time = time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC)
		id := f.one(e).ID
		f.at(599)
		if a := f.get(id); !a.Active {
			t.Errorf("the deadline is the server's: %+v", a)
		}
		f.at(600)
		if a := f.get(id); a.Active || !a.ClearedAt.Equal(e.Time.Add(10*time.Minute)) {
			t.Errorf("expired: %+v", a)
		}
		e.Time = e.Time.Add(10 * time.Minute)
		if r := f.one(e); r.Status != "raised" {
			t.Errorf("raised at that time: %+v", r)
		}
	})
}

func TestRule8AShelfEndsByItself(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		id := f.one(raise("major")).ID
		until := f.start.Add(time.Hour)
		if a := f.do(alarm.Command{Op: alarm.Shelve, ID: id, User: "ann", Until: until}); a.ShelvedUntil == nil || a.ShelvedBy != "ann" {
			t.Errorf("shelved: %+v", a)
		}
		f.one(raise("major")) // folded, and told on its own
		f.at(10)
		f.one(cleared())
		f.at(20)
		id = f.one(raise("major")).ID // a new occurrence stays on the shelf
		f.at(3599)
		rev := f.get(id).Rev
		if a := f.do(alarm.Command{Op: alarm.Shelve, ID: id, User: "ann", Until: until}); a.Rev != rev {
			t.Errorf("shelved once more until then: revision %d after %d", a.Rev, rev)
		}
		if a := f.get(id); a.ShelvedUntil == nil || !a.ShelvedUntil.Equal(until) {
			t.Errorf("too early: %+v", a)
		}
		f.at(3600)
		if a := f.get(id); a.ShelvedUntil != nil || a.ShelvedBy != "" || !a.Active {
			t.Errorf("after the hour: %+v", a)
		}
		f.wantTold("a shelf", "0 raised 1", "0 shelved 1", "10 cleared 2", "20 raised 1", "3600 unshelved 1")
	})
}

func TestRule8ACriticalThatReachedNobodyGoesToTheHook(t *testing.T) {
	var asked, reported atomic.Int32
	var reached, broken atomic.Bool
	o := alarm.Options{
		Reached: func(context.Context, inbox.Entry) (bool, error) { asked.Add(1); return reached.Load(), nil },
		Undelivered: func(_ context.Context, a alarm.Alarm, e inbox.Entry) error {
			if a.Severity != "critical" || e.Severity != inbox.Critical {
				return fmt.Errorf("a %s alarm", a.Severity)
			}
			if broken.Load() {
				return errors.New("the hook is away")
			}
			reported.Add(1)
			return nil
		},
	}
	inBubble(t, o, func(t *testing.T, f *folding) {
		want := func(at float64, wantAsked, wantReported int32) {
			t.Helper()
			if f.at(at); asked.Load() != wantAsked || reported.Load() != wantReported {
				t.Errorf("after %v s: asked %d times, reported %d, want %d and %d", at, asked.Load(), reported.Load(), wantAsked, wantReported)
			}
		}
		critical := event("d", "c1", "raised")
		critical.Severity = "critical"
		f.one(critical)
		f.one(event("d", "major", "raised"))
		acked := critical
		acked.Type = "c2"
		f.do(alarm.Command{Op: alarm.Acknowledge, ID: f.one(acked).ID})
		want(14.9, 0, 0)
		want(15, 1, 1)
		critical.Severity = "minor" // one that gets worse is looked at too
		critical.Type = "c3"
		f.one(critical)
		f.at(20)
		critical.Severity = "critical"
		f.one(critical)
		want(34.9, 1, 1)
		reached.Store(true)
		want(35, 2, 1)
		reached.Store(false)
		broken.Store(true)
		critical.Type = "c4"
		f.one(critical)
		want(50, 3, 1)
		broken.Store(false) // it is called again a second later
		want(51.1, 4, 2)
		want(1000, 4, 2)
		for _, e := range told(t, f.log) {
			if e.Status == alarm.StatusWatched {
				t.Errorf("readers were told that entry %d was looked at", e.Seq)
			}
		}
	})
}
