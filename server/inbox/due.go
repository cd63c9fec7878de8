package inbox

import (
	"container/heap"
	"time"
)

// A due is one line of the timetable: when the worker must look at a subject
// again, as its newest entry said.
type due struct {
	at  int64 // Unix milliseconds
	rec *record
}

func (d due) live() bool { return d.rec.due == d.at }

// A timetable is a heap of what is due, the earliest first. Lines go stale when
// their subject moves on; they are dropped when they come to the top, or when
// half are stale.
type timetable struct {
	lines []due
	stale int
}

func (t *timetable) Len() int           { return len(t.lines) }
func (t *timetable) Less(i, j int) bool { return t.lines[i].at < t.lines[j].at }
func (t *timetable) Swap(i, j int)      { t.lines[i], t.lines[j] = t.lines[j], t.lines[i] }
func (t *timetable) Push(x any)         { t.lines = append(t.lines, x.(due)) }
func (t *timetable) Pop() any {
	last := len(t.lines) - 1
	d := t.lines[last]
	t.lines[last] = due{}
	t.lines = t.lines[:last]
	return d
}

// set notes when the record is due, 0 for never.
func (t *timetable) set(r *record, at int64) {
	if r.due == at {
		return
	}
	if r.due != 0 {
		t.stale++
	}
	r.due = at
	if at != 0 {
		heap.Push(t, due{at, r})
	}
	if t.stale > 32 && t.stale > len(t.lines)/2 {
		kept := t.lines[:0]
		for _, d := range t.lines {
			if d.live() {
				kept = append(kept, d)
			}
		}
		clear(t.lines[len(kept):])
		t.lines, t.stale = kept, 0
		heap.Init(t)
	}
}

// first drops stale lines from the top, and returns what is there then.
func (t *timetable) first() (d due, ok bool) {
	for len(t.lines) > 0 && !t.lines[0].live() {
		heap.Pop(t)
		t.stale--
	}
	if len(t.lines) == 0 {
		return due{}, false
	}
	return t.lines[0], true
}

func dueAt(e *Entry) int64 {
	if e.Due.IsZero() {
		return 0
	}
	return e.Due.UnixMilli()
}

// Due lists up to limit subjects whose newest entry says that the worker must
// look at them by now, the earliest first, and when the next one after those is
// due; zero for never. The channel of DueC has something when that may have
// changed to an earlier time. One worker at a time should ask.
func (v *View) Due(now time.Time, limit int) (subjects []string, next time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	t := &v.s.due
	var taken []due
	twice := map[*record]bool{} // a subject that came back to a time has two lines
	for {
		d, ok := t.first()
		if !ok {
			break
		}
		if d.at > now.UnixMilli() || len(taken) == limit {
			next = time.UnixMilli(d.at).UTC()
			break
		}
		heap.Pop(t)
		if !twice[d.rec] {
			twice[d.rec] = true
			taken = append(taken, d)
		}
	}
	for _, d := range taken {
		subjects = append(subjects, d.rec.subject)
		heap.Push(t, d) // until an entry says otherwise
	}
	return subjects, next
}

// DueC has one slot, filled when something has become due earlier than what was
// due first.
func (v *View) DueC() <-chan struct{} { return v.due }

// ringDue tells the worker when an entry is due before everything else.
func (v *View) ringDue(s *state) {
	d, ok := s.due.first()
	if !ok {
		v.rungDue = 0 // the worker sleeps for long
		return
	}
	if d.at == v.rungDue {
		return
	}
	earlier := v.rungDue == 0 || d.at < v.rungDue
	if v.rungDue = d.at; earlier {
		select {
		case v.due <- struct{}{}:
		default:
		}
	}
}
