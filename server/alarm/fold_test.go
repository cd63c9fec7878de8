package alarm_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// A folding is a node with its worker, in a bubble whose clock is its own.
type folding struct {
	*node
	start time.Time
	rest  func() // ends the worker
}

// inBubble runs the test with a worker whose time passes as the test says.
func inBubble(t *testing.T, o alarm.Options, test func(t *testing.T, f *folding)) {
	synctest.Test(t, func(t *testing.T) {
		o.Now = time.Now
		f := &folding{node: newNodeWith(t, &inbox.MemoryLog{}, o), start: time.Now()}
		f.rest = f.work(t)
		test(t, f)
		f.rest()
	})
}

func (n *node) work(t *testing.T) (rest func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var worker sync.WaitGroup
	worker.Go(func() { n.engine.Work(ctx) }) // ends with rest
	return func() { cancel(); worker.Wait() }
}

// at goes to so many seconds after the start; what is due then has been done.
func (f *folding) at(s float64) {
	f.t.Helper()
	d := time.Until(f.start.Add(time.Duration(s * float64(time.Second))))
	if d < 0 {
		f.t.Fatalf("%v seconds are over", s)
	}
	<-time.After(d)
	synctest.Wait()
}

// wantTold wants these entries to have been shown, each as
// "seconds status count[ chattering][ severity]".
func (f *folding) wantTold(what string, want ...string) {
	f.t.Helper()
	var got []string
	for _, e := range told(f.t, f.log) {
		a := alarmOf(f.t, e)
		s := fmt.Sprintf("%v %s %d", e.Stored.Sub(f.start).Seconds(), e.Status, a.Count)
		if a.Chattering {
			s += " chattering"
		}
		got = append(got, s)
	}
	if g, w := strings.Join(got, ", "), strings.Join(want, ", "); g != w {
		f.t.Errorf("%s: readers were told\n%s, want\n%s", what, g, w)
	}
}

var minute = alarm.Options{Fold: time.Minute}

func TestRule5RepeatsAreToldOnceAFold(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		id := f.one(raise("major")).ID
		for s := 1; s <= 300; s++ { // a repeat a second
			f.at(float64(s) - .5)
			f.one(raise("major"))
			if a := f.get(id); a.Count != uint64(s)+1 || a.Rev <= uint64(s) {
				t.Fatalf("during a fold the alarm is not current: %+v after %d repeats", a, s)
			}
		}
		f.at(1000)
		// The next fold begins with the first repeat after the one before was told.
		f.wantTold("repeats", "0 raised 1", "60 folded 61", "120 folded 121", "180 folded 181", "240 folded 241", "300 folded 301")
		if a := f.get(id); a.Count != 301 {
			t.Errorf("in the end %+v", a)
		}
	})
}

func TestRule5ARepeatAfterTheFoldIsToldAtOnce(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		f.one(raise("major"))
		f.at(60)
		f.one(raise("major"))
		f.at(61)
		f.one(raise("major"))
		f.at(500)
		f.wantTold("repeats", "0 raised 1", "60 repeated 2", "120 folded 3")
	})
}

func TestRule5EscalationIsToldAtOnceDeescalationIsFolded(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		id := f.one(raise("minor")).ID
		f.at(1)
		f.one(raise("critical"))
		f.at(2)
		f.one(raise("warning"))
		if a := f.get(id); a.Severity != "warning" || a.SeverityMax != "critical" {
			t.Errorf("de-escalated: %+v", a)
		}
		_, _, counts := texts(t, f.view, "chief", inbox.Start{}, "*")
		if counts.Active[inbox.Warning] != 1 || counts.Active[inbox.Critical] != 0 {
			t.Errorf("counters during a fold: %+v", counts)
		}
		f.at(500)
		f.wantTold("up and down", "0 raised 1", "1 repeated 2", "61 folded 3")
	})
}

func TestRule5ThreeRaisesInAFoldChatter(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		flap := func(from, to, step float64) { // raise, clear, raise, clear …
			e := raise("major")
			for s := from; s <= to; s += step {
				f.at(s)
				f.one(e)
				if e.State = "cleared"; len(entries(t, f.log))%2 == 0 {
					e.State = "raised"
				}
			}
		}
		flap(0, 40, 10) // raised at 0, 20, 40
		f.wantTold("the third raise", "0 raised 1", "10 cleared 1", "20 raised 1", "30 cleared 1", "40 raised 1 chattering")
		flapped := len(told(t, f.log))
		var mark aMark
		if _, err := f.view.MarkRead(t.Context(), &mark, "chief", []string{"*"}, inbox.Latest, nil); err != nil {
			t.Fatal(err)
		}
		f.at(50)
		f.one(cleared())
		f.at(55)
		third := f.one(raise("major"))
		if n := len(told(t, f.log)); n != flapped {
			t.Errorf("chattering, and yet %d more were told", n-flapped)
		}
		_, _, counts := texts(t, f.view, "chief", inbox.Start{}, "*")
		if a := f.get(third.ID); !a.Chattering || !a.Active || a.Occurrence != 4 || counts.Unread != 1 || counts.Active[inbox.Major] != 1 {
			t.Errorf("after a quiet raise: %+v, counters %+v", a, counts)
		}
		f.at(90)
		f.one(cleared())
		f.at(95)
		f.one(raise("major"))
		f.at(1000)
		// Told at the end of each fold; calm a minute after the last raise, at 95, but
		// not before what was folded is told.
		f.wantTold("chattering", "0 raised 1", "10 cleared 1", "20 raised 1", "30 cleared 1", "40 raised 1 chattering",
			"100 folded 1 chattering", "155 folded 1")
		if a := f.get(f.one(raise("major")).ID); a.Chattering {
			t.Errorf("still chattering: %+v", a)
		}
		f.wantTold("the next raise or repeat", "0 raised 1", "10 cleared 1", "20 raised 1", "30 cleared 1", "40 raised 1 chattering",
			"100 folded 1 chattering", "155 folded 1", "1000 repeated 2")
	})
}

func TestRule5AnEscalationIsNeverQuietNotEvenChattering(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		for range 4 {
			f.one(raise("minor"))
			f.one(cleared())
		}
		f.one(raise("critical"))
		f.wantTold("chattering and worse", "0 raised 1", "0 cleared 1", "0 raised 1", "0 cleared 1", "0 raised 1 chattering", "0 raised 1 chattering")
	})
}

func TestRule5FoldingByDeviceTimeWhereThatIsTrusted(t *testing.T) {
	o := minute
	o.TrustDeviceTime = true
	inBubble(t, o, func(t *testing.T, f *folding) {
		recorded := time.Date(2019, 5, 1, 0, 0, 0, 0, time.UTC)
		for i := range 31 { // a repeat each 10 s of the recording, at 50 times the speed
			f.at(float64(i) * .2)
			e := raise("major")
			e.Time = recorded.Add(time.Duration(i) * 10 * time.Second)
			f.one(e)
		}
		// Each minute of the recording takes 1.2 s; there is nothing to fold at its end.
		f.wantTold("at 50 times the speed", "0 raised 1", "1.2 repeated 7", "2.4 repeated 13", "3.6 repeated 19", "4.8 repeated 25", "6 repeated 31")
		f.at(6.2)
		e := raise("major")
		e.Time = recorded.Add(310 * time.Second)
		f.one(e)
		f.at(500) // nothing comes any more, so the rest is told by the server's clock
		f.wantTold("at the end", "0 raised 1", "1.2 repeated 7", "2.4 repeated 13", "3.6 repeated 19", "4.8 repeated 25", "6 repeated 31", "56.2 folded 32")
	})
}

func TestRule5FoldZeroTellsEverything(t *testing.T) {
	inBubble(t, alarm.Options{}, func(t *testing.T, f *folding) {
		for range 5 {
			f.one(raise("major"))
			f.one(raise("major"))
			f.one(cleared())
		}
		if n := len(told(t, f.log)); n != 15 {
			t.Errorf("%d of 15 were told", n)
		}
		for _, e := range entries(t, f.log) {
			if a := alarmOf(t, e); a.Chattering || !e.Due.IsZero() {
				t.Errorf("entry %d: chattering %v, due %v", e.Seq, a.Chattering, e.Due)
			}
		}
	})
}

func TestRule5AnAcknowledgementTellsWhatWasFolded(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		id := f.one(raise("major")).ID
		f.at(10)
		f.one(raise("major"))
		f.at(20)
		f.do(alarm.Command{Op: alarm.Acknowledge, ID: id})
		f.at(500)
		f.wantTold("an acknowledgement", "0 raised 1", "20 acked 2")
	})
}

func TestRule5AClearTellsWhatWasFolded(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		f.one(raise("major"))
		f.at(10)
		f.one(raise("major"))
		f.at(20)
		f.one(cleared())
		f.at(500)
		f.wantTold("a clear", "0 raised 1", "20 cleared 2")
	})
}

func TestRule5AFoldOutlivesItsNode(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		f.one(raise("major"))
		f.one(raise("major"))
		f.rest()
		f.at(30)
		again := newNodeWith(t, f.log, alarm.Options{Fold: time.Minute, Now: time.Now})
		rest := again.work(t)
		f.at(500)
		rest()
		f.wantTold("after a restart", "0 raised 1", "60 folded 2")
	})
	inBubble(t, minute, func(t *testing.T, f *folding) {
		f.one(raise("major"))
		f.one(raise("major"))
		f.rest()
		f.at(100) // nobody works when the fold ends
		again := newNodeWith(t, f.log, alarm.Options{Fold: 0, Now: time.Now})
		rest := again.work(t)
		f.at(500)
		rest()
		f.wantTold("after a long pause, with folding switched off", "0 raised 1", "100 folded 2")
	})
}

func TestRule5TwoWorkersTellOnce(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		other := newNodeWith(t, f.log, alarm.Options{Fold: time.Minute, Now: time.Now})
		rest := other.work(t)
		const alarms = 200
		for i := range alarms {
			for range 3 {
				f.one(event("d", fmt.Sprint("t", i), "raised"))
			}
		}
		f.at(500)
		rest()
		folded := map[string]int{}
		for _, e := range told(t, f.log) {
			if e.Status == alarm.StatusFolded {
				folded[e.Subject]++
			}
		}
		for subject, n := range folded {
			if n != 1 {
				t.Errorf("%s was told %d times", subject, n)
			}
		}
		if len(folded) != alarms {
			t.Errorf("%d of %d were told", len(folded), alarms)
		}
	})
}

// What is folded reaches a waiting reader at the end of the fold, and counters at
// once.
func TestRule5ReadersHearOfTheEndOfAFold(t *testing.T) {
	inBubble(t, minute, func(t *testing.T, f *folding) {
		r := inboxtest.Open(t, f.view, "chief", inbox.Start{}, "*")
		next := func() []inbox.Item {
			b, err := r.Next(t.Context(), 10)
			if err != nil {
				t.Fatal(err)
			}
			return b.Items
		}
		next() // the counters
		f.one(raise("minor"))
		if items := next(); len(items) != 1 {
			t.Fatalf("the raise: %d items", len(items))
		}
		f.at(1)
		f.one(raise("warning"))
		if items := next(); len(items) != 0 || time.Since(f.start) > 2*time.Second {
			t.Errorf("the counters came with %d items after %v", len(items), time.Since(f.start))
		}
		items := next()
		if len(items) != 1 || time.Since(f.start) != time.Minute || !strings.Contains(string(items[0].AppendJSON(nil)), `"count":2`) {
			t.Errorf("the end of the fold came with %d items after %v", len(items), time.Since(f.start))
		}
	})
}
