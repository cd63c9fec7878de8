package inbox

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// floodNode is a view with a clock that stands and a flood in the group g0.
func floodNode(t *testing.T) (n *benchNode, now *time.Time) {
	n = &benchNode{v: NewView(&MemoryLog{}, ViewOptions{})}
	start := time.UnixMilli(1_790_000_000_000)
	now = &start
	n.v.s.floods.now = func() time.Time { return *now }
	for i := range n.homes {
		group := fmt.Sprint("g", i)
		n.homes[i] = RouteAudience(Route([]string{group}))
		n.apply(&Entry{Subject: RouteSubject(Route([]string{group})), Groups: []string{group}, Quiet: true}, nil)
	}
	for i := range floodAbove + 1 {
		n.raise(i*benchGroups, *now)
	}
	return n, now
}

// raise applies the i-th alarm of the groups as stored at the time.
func (n *benchNode) raise(i int, at time.Time) {
	e := n.alarm(i)
	e.Severity, e.At, e.Stored = Minor, at, at
	n.apply(&e, e.Encode())
}

func (n *benchNode) counts(groups ...string) Counts {
	n.v.mu.RLock()
	defer n.v.mu.RUnlock()
	return n.v.s.counts(n.v.s.membership("anna", groups), Mark{})
}

func TestRule6AFloodEndsWithTheFifthAlarmFromTheEnd(t *testing.T) {
	n, now := floodNode(t)
	f := n.v.s.floods
	want := Flood{Since: now.UnixMilli(), Quiet: 1}
	if got := n.counts("g0").Flood; got != want {
		t.Fatalf("%+v, want %+v", got, want)
	}
	*now = now.Add(floodSpan * time.Millisecond)
	if ended := f.check(); ended != nil || n.counts("g0").Flood != want {
		t.Errorf("ended in %v after just ten minutes", ended)
	}
	*now = now.Add(time.Millisecond)
	if ended := f.check(); len(ended) != 1 || ended[0] != "g0" || n.counts("g0").Flood != (Flood{}) {
		t.Errorf("ended in %v after more than ten minutes", ended)
	}
	if ended := f.check(); ended != nil {
		t.Errorf("ended twice: %v", ended)
	}
	// The next alarm is one of few, although its device's clock has stood still.
	e := n.alarm(77 * benchGroups)
	e.Severity, e.At, e.Stored = Minor, time.UnixMilli(want.Since), *now
	n.apply(&e, e.Encode())
	if got := n.counts("g0").Flood; got != (Flood{}) {
		t.Errorf("one alarm after the end: %+v", got)
	}
}

func TestTrackersOfGroupsNobodyLooksAtAreDropped(t *testing.T) {
	n, now := floodNode(t)
	f := n.v.s.floods
	n.v.mu.RLock()
	open := n.v.s.membership("anna", []string{"g0"})
	n.v.mu.RUnlock()
	look := func() Flood {
		n.v.mu.RLock()
		defer n.v.mu.RUnlock()
		return n.v.s.counts(open, Mark{}).Flood
	}
	during := look()
	for range 3 * idleTicks {
		f.check()
	}
	if len(f.byKey) != 1 {
		t.Fatal("a flood nobody looks at was dropped, and its end will not be told")
	}
	end := now.Add(floodSpan*time.Millisecond + time.Millisecond)
	began := *now
	*now = end
	for range idleTicks + 1 {
		f.check()
	}
	if len(f.byKey) != 0 {
		t.Fatalf("%d trackers are left", len(f.byKey))
	}
	*now = began
	if got := look(); got != during || len(f.byKey) != 1 {
		t.Errorf("to a reader who comes back: %+v, want %+v", got, during)
	}
	for range idleTicks + 10 {
		look()
		f.check()
	}
	if len(f.byKey) != 1 {
		t.Error("a tracker in use was dropped")
	}
}

func TestRule6ManyReadersCountAnAlarmOnce(t *testing.T) {
	n, now := floodNode(t)
	var readers sync.WaitGroup
	const alarms = 200
	for i := range 50 {
		readers.Go(func() { // ends when it has seen the last alarm
			groups := []string{"g0", fmt.Sprint("g", 1+i%3)}
			for n.counts(groups...).Flood.Quiet != alarms+1 {
				runtime.Gosched()
			}
		})
	}
	for i := range alarms {
		n.raise((100+i)*benchGroups, *now)
	}
	readers.Wait()
	for i := range 3 {
		if got := n.counts("g0", fmt.Sprint("g", 1+i)).Flood.Quiet; got != alarms+1 {
			t.Errorf("%d are quiet, want %d", got, alarms+1)
		}
	}
}

func TestAlarmsLeaveWithTheWindow(t *testing.T) {
	n, now := floodNode(t)
	n.v.s.windowMax = 16 << 10
	for i := range 2000 {
		n.raise(1000+i, *now)
	}
	if most := len(n.v.s.window); len(n.v.s.all.raises) > most || most > 100 {
		t.Errorf("%d alarms are remembered beside a window of %d entries", len(n.v.s.all.raises), most)
	}
}
