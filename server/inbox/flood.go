package inbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// Rule 6 of the alarm model: a flood, per user, begins with more than floodAbove
// new alarms in floodSpan, and ends with fewer than floodBelow.
const (
	floodAbove = 10
	floodBelow = 5
	floodSpan  = 10 * 60 * 1000 // milliseconds
)

// A Flood is a stretch of time in which a user gets more alarms than one can deal
// with; its zero value is none. During it alarms that are minor or warning are
// quiet for him: they make no sound. Nothing is left out of his inbox.
type Flood struct {
	// Since is when the alarm that began it happened, in Unix milliseconds by the
	// clock of Entry.At; 0 for no flood.
	Since int64
	// Quiet is how many new alarms have been quiet since.
	Quiet int
}

// A raise is a new alarm, as floods count them. Times are in Unix milliseconds.
type raise struct {
	seq      uint64
	at       int64 // by the clock that events are ordered by
	stored   int64 // by the server's
	severity Severity
}

func raiseSeq(r raise) uint64 { return r.seq }

// raised says whether a told entry is a new alarm: a raise or an escalation.
func (e *Entry) raised() (r raise, yes bool) {
	if e.Severity == 0 || e.AnnouncedAt() != e.Seq {
		return r, false
	}
	at := e.At
	if at.IsZero() {
		at = e.Stored
	}
	return raise{e.Seq, max(at.UnixMilli(), 0), max(e.Stored.UnixMilli(), 0), e.Severity}, true
}

// remember notes a new alarm of a route.
func (a *audience) remember(r raise) {
	a.raises = append(a.raises, r)
	a.raised = r.seq
}

// A count follows the new alarms of a user, in the log's order. It knows the last
// floodAbove + 1, which is all that the rule asks.
//
// An alarm is as old as the clock of events says, which may be a device's, years
// behind, or run fast in a replay; a step back is taken for no time at all. While
// nothing comes that clock goes on with the server's; and where it stands although
// the server's does not, the server's holds.
type count struct {
	last  [floodAbove + 1]raise // a ring; at is the highest so far
	n     int                   // how many ever
	flood Flood
}

// back is the k-th alarm from the end, the last for 1.
func (c *count) back(k int) *raise { return &c.last[(c.n-k)%len(c.last)] }

func (c *count) add(r raise) {
	if c.n > 0 {
		r.at = max(r.at, c.back(1).at)
	}
	if c.flood.Since != 0 && !within(c.back(floodBelow), &r) {
		c.flood = Flood{}
	}
	c.last[c.n%len(c.last)] = r
	c.n++
	if c.flood.Since == 0 && c.n > floodAbove && within(c.back(floodAbove+1), &r) {
		c.flood.Since = max(r.at, 1)
	}
	if c.flood.Since != 0 && (r.severity == Minor || r.severity == Warning) {
		c.flood.Quiet++
	}
}

// within says whether an alarm is not too old to count when another comes.
func within(r, now *raise) bool {
	return now.at-r.at <= floodSpan && now.stored-r.stored <= floodSpan
}

// present is the flood now, by the server's clock, when nothing has come since the
// last alarm.
func (c *count) present(now int64) Flood {
	if c.flood.Since != 0 {
		last := c.back(1)
		at := &raise{at: last.at + max(now-last.stored, 0), stored: now}
		if !within(c.back(floodBelow), at) {
			return Flood{}
		}
	}
	return c.flood
}

// A tracker is the flood of all users with the same groups. Who looks first after
// an alarm counts it, for all of them.
type tracker struct {
	group string // one of theirs: its bell reaches all of them
	seq   atomic.Uint64
	told  atomic.Pointer[Flood] // nil for none
	used  atomic.Int64          // the tick of the last look; dropped

	mu    sync.Mutex
	count count
	runs  merge[raise] // of advance, for its memory
}

const (
	// dropped marks a tracker that is no longer looked after.
	dropped = -1
	// idleTicks is how long a tracker nobody looks at is kept: a quarter of an
	// hour.
	idleTicks = 15 * 60
)

// use notes that somebody looks; ok is false when the tracker has been dropped.
func (t *tracker) use(tick int64) (ok bool) {
	for {
		was := t.used.Load()
		if was == tick || was == dropped {
			return was == tick
		}
		if t.used.CompareAndSwap(was, tick) {
			return true
		}
	}
}

// advance counts the alarms up to raised, the newest of the membership's; under the
// view's read lock.
func (t *tracker) advance(m *membership, raised uint64, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	from := t.seq.Load()
	if from >= raised {
		return // somebody else was first
	}
	t.runs.key = raiseSeq
	for _, a := range m.routes {
		if a.raised > from {
			t.runs.add(a.raises[after(a.raises, from, raiseSeq):])
		}
	}
	for {
		r, ok := t.runs.next()
		if !ok {
			break
		}
		t.count.add(r)
	}
	clear(t.runs.runs[:cap(t.runs.runs)])
	t.tell(now)
	t.seq.Store(raised) // last: who sees it finds the flood
}

// tell publishes the flood as it is now; ended says that there was one.
func (t *tracker) tell(now int64) (ended bool) {
	f, was := t.count.present(now), t.told.Load()
	switch {
	case f.Since == 0:
		t.told.Store(nil)
		return was != nil
	case was == nil || *was != f:
		t.told.Store(&f)
	}
	return false
}

// floods holds the trackers, by the hash of the groups.
type floods struct {
	now  func() time.Time
	tick atomic.Int64 // how often check has run

	mu    sync.Mutex
	byKey map[string]*tracker
}

// of is the flood of the membership, whose newest alarm is raised; under the view's
// read lock.
func (f *floods) of(m *membership, raised uint64) Flood {
	t := m.tracker.Load()
	if t == nil || !t.use(f.tick.Load()) {
		t = f.get(m)
		m.tracker.Store(t)
	}
	if t.seq.Load() < raised {
		t.advance(m, raised, f.now().UnixMilli())
	}
	if told := t.told.Load(); told != nil {
		return *told
	}
	return Flood{}
}

func (f *floods) get(m *membership) *tracker {
	f.mu.Lock()
	defer f.mu.Unlock()
	t := f.byKey[m.hash]
	if t == nil {
		t = &tracker{group: m.groups[0]}
		if f.byKey == nil {
			f.byKey = map[string]*tracker{}
		}
		f.byKey[m.hash] = t
	}
	t.used.Store(f.tick.Load())
	return t
}

// check finds the floods that have ended because nothing more came, and returns a
// group of each; trackers that nobody uses are dropped.
func (f *floods) check() (ended []string) {
	now := f.now().UnixMilli()
	f.mu.Lock()
	defer f.mu.Unlock()
	tick := f.tick.Add(1)
	for key, t := range f.byKey {
		if t.told.Load() != nil {
			t.mu.Lock()
			if t.tell(now) {
				ended = append(ended, t.group)
			}
			t.mu.Unlock()
			continue
		}
		if used := t.used.Load(); used < tick-idleTicks && t.used.CompareAndSwap(used, dropped) {
			delete(f.byKey, key)
		}
	}
	return ended
}

// checkFloods tells readers of floods that end, until the context does.
func (v *View) checkFloods(ctx context.Context) {
	ticker := time.NewTicker(v.o.FloodCheck)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		v.mu.RLock()
		f := v.s.floods
		v.mu.RUnlock()
		for _, group := range f.check() {
			v.bells.ring(groupBell(group))
		}
	}
}
