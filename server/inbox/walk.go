package inbox

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// How much is done at a time under the view's read lock.
const (
	walkLooks = 1000   // alarms looked at
	walkTrail = 16_384 // changes of places looked at
)

// A walk goes through the list of a query, as it was at the head of its first
// page, in steps: between them the view is free. What has not changed since then
// stands where it stood, in the orders of the user's audiences; what has is met
// there and skipped, and comes at the place that the trail remembers.
type walk struct {
	v      *View
	user   string
	groups []string
	q      Query
	text   string // lower case

	t     listToken // where the walk stands
	shown listToken // where the page ends

	device, typ string // as they stand in subjects
	spans       []span
	trailed     uint64  // the trail has been looked at up to here
	old         []place // the changed ones at their former places, in order, still to come
	looks       int
	reads       int
}

// A listed is an alarm that matches.
type listed struct {
	key     uint64
	subject string
	seq     uint64
	data    []byte
	body    []byte
}

// begin settles as of when the list is, for a first page, and returns how long it
// is now and its cursor.
func (w *walk) begin() (total int, cursor string, err error) {
	w.v.mu.RLock()
	defer w.v.mu.RUnlock()
	s := w.v.s
	m := s.membership(w.user, w.groups)
	if w.t.head == 0 {
		w.t.head, w.t.epoch, w.t.member = s.head, s.epochAt(s.head), m.hash
	}
	if err := w.check(s, m); err != nil {
		return 0, "", err
	}
	if w.q.Device != "" {
		w.device = prefixAlarm + Escape(w.q.Device) + "."
	}
	if w.q.Type != "" {
		w.typ = Escape(w.q.Type)
	}
	w.shown, w.spans, w.trailed = w.t, w.q.spans(), w.t.head
	for _, a := range s.listed(m, w.q.Group) {
		for class, n := range a.list.counts {
			if w.inSpans(uint64(class) << rankShift) {
				total += int(n)
			}
		}
	}
	return total, Cursor{Epoch: w.t.epoch, Seq: w.t.head, Groups: m.hash}.String(), nil
}

// check says whether the list can still be told as it was.
func (w *walk) check(s *state, m *membership) error {
	end, known := s.epochEnd(w.t.epoch)
	if !known || end > 0 && w.t.head >= end || w.t.head > s.head || w.t.head < s.trail.from || w.t.member != m.hash {
		return ErrListing
	}
	return nil
}

func (w *walk) inSpans(key uint64) bool {
	return slices.ContainsFunc(w.spans, func(s span) bool { return s.has(key) })
}

// listed are the user's audiences that have alarms of the group; all of his for no
// group.
func (s *state) listed(m *membership, group string) (list []*audience) {
	if group == "" {
		m.each(func(a *audience) { list = append(list, a) })
		return list
	}
	for _, name := range s.byGroup[group] {
		if a := s.audiences[RouteAudience(name)]; a != nil && m.has(a) {
			list = append(list, a)
		}
	}
	return list
}

// next takes a step: up to limit alarms that match. more says that the walk is not
// at its end.
func (w *walk) next(ctx context.Context, limit int) (found []listed, more bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, false, err
	}
	if err := w.followTrail(); err != nil {
		return nil, false, err
	}
	most := limit
	if w.text != "" {
		most = max(limit, walkLooks/4) // most will not match
	}
	candidates, more, err := w.step(most)
	if err != nil {
		return nil, false, err
	}
	for i := range candidates {
		c := &candidates[i]
		if len(found) == limit {
			break // the page is full, and ends before the rest
		}
		ok, err := w.finish(ctx, c)
		if err != nil {
			return nil, false, err
		}
		if ok {
			found = append(found, *c)
		}
	}
	return found, more, nil
}

// followTrail takes the changes since the list was begun, but for a few that come
// meanwhile; step takes those.
func (w *walk) followTrail() error {
	n := len(w.old)
	for {
		caughtUp, err := w.lookAtTrail()
		if err != nil {
			return err
		}
		if caughtUp {
			break
		}
	}
	if len(w.old) > n {
		slices.SortFunc(w.old, comparePlaces)
	}
	return nil
}

func (w *walk) lookAtTrail() (caughtUp bool, err error) {
	w.v.mu.RLock()
	defer w.v.mu.RUnlock()
	s := w.v.s
	m := s.membership(w.user, w.groups)
	if err := w.check(s, m); err != nil {
		return false, err
	}
	return w.takeTrail(s, w.sees(s, m), walkTrail), nil
}

// takeTrail takes up to limit changes that came since it was last called, and
// keeps the former places that are still to come.
func (w *walk) takeTrail(s *state, sees func(*audience) bool, limit int) (caughtUp bool) {
	from := s.trail.after(w.trailed)
	end := len(s.trail.lines)
	if from+limit < end {
		end = from + limit
		// The changes of one entry stay together.
		for end < len(s.trail.lines) && s.trail.at(end).seq == s.trail.at(end-1).seq {
			end++
		}
	}
	for i := from; i < end; i++ {
		c := s.trail.at(i)
		w.trailed = c.seq
		if c.prev > w.t.head || c.key == 0 || !w.inSpans(c.key) || !sees(c.home) || !w.named(c.rec.subject) {
			continue
		}
		if p := (place{c.key, c.rec}); w.ahead(p) {
			w.old = append(w.old, p)
		}
	}
	return end == len(s.trail.lines)
}

// ahead says whether the walk has still to come to the place.
func (w *walk) ahead(p place) bool {
	return w.t.subject == "" || p.key > w.t.key || p.key == w.t.key && p.rec.subject > w.t.subject
}

// sees says whether an audience's alarms belong into the list.
func (w *walk) sees(s *state, m *membership) func(*audience) bool {
	if w.q.Group == "" {
		return m.has
	}
	in := s.listed(m, w.q.Group)
	return func(a *audience) bool { return slices.Contains(in, a) }
}

// named says whether the subject is of the device and the type that are wanted.
func (w *walk) named(subject string) bool {
	if !strings.HasPrefix(subject, w.device) {
		return false
	}
	if w.typ == "" {
		return true
	}
	_, rest, _ := strings.Cut(subject[len(prefixAlarm):], ".")
	typ, _, _ := strings.Cut(rest, ".")
	return typ == w.typ
}

// step looks at the next alarms, and takes up to limit that match by what is in
// memory.
func (w *walk) step(limit int) (found []listed, more bool, err error) {
	w.v.mu.RLock()
	defer w.v.mu.RUnlock()
	s := w.v.s
	m := s.membership(w.user, w.groups)
	if err := w.check(s, m); err != nil {
		return nil, false, err
	}
	sees := w.sees(s, m)
	if n := len(w.old); !w.takeTrail(s, sees, walkTrail) {
		return nil, true, nil
	} else if len(w.old) > n {
		slices.SortFunc(w.old, comparePlaces)
	}
	looks := 0
	for _, span := range w.spans {
		if w.t.subject != "" && w.t.key >= span.end {
			continue
		}
		runs := w.runs(s, m, sees, span)
		for {
			p, old, ok := w.first(&runs, span)
			if !ok {
				break
			}
			if len(found) == limit || looks == walkLooks {
				return found, true, nil
			}
			looks++
			w.looks++
			w.t.at(p.key, p.rec.subject)
			if old {
				w.old = w.old[1:]
			} else if runs[0].skip(); runs[0].chunk != nil {
				heap.Fix(&runs, 0)
			} else {
				heap.Pop(&runs)
			}
			if r := p.rec; (old || r.listed <= w.t.head) && w.matches(r, sees) {
				found = append(found, listed{key: p.key, subject: r.subject, seq: r.seq, data: r.data})
			}
		}
	}
	return found, false, nil
}

// matches judges the record as it is now, by what is in memory.
func (w *walk) matches(r *record, sees func(*audience) bool) bool {
	key := r.listKey()
	return key != 0 && w.inSpans(key) && sees(r.home) && w.named(r.subject)
}

// first is the next place in the span, one of the former ones or of the runs'.
func (w *walk) first(runs *runHeap, span span) (p place, old, ok bool) {
	if len(w.old) > 0 && w.old[0].key < span.end {
		p, old, ok = w.old[0], true, true
	}
	if len(*runs) > 0 {
		if next := (*runs)[0].chunk[0]; next.key < span.end && (!ok || comparePlaces(next, p) < 0) {
			return next, false, true
		}
	}
	return p, old, ok
}

// runs are the orders that the list is merged from, each from where the walk
// stands in the span.
func (w *walk) runs(s *state, m *membership, sees func(*audience) bool, span span) (runs runHeap) {
	key, subject := span.from, ""
	if w.t.subject != "" && w.t.key >= span.from {
		key, subject = w.t.key, w.t.subject
	}
	if w.q.Device != "" && w.q.State != ListAll {
		var list []place
		for _, r := range s.openOf[w.q.Device] {
			p := place{r.listKey(), r}
			if p.key != 0 && span.has(p.key) && w.ahead(p) && sees(r.home) {
				list = append(list, p)
			}
		}
		if len(list) == 0 {
			return nil
		}
		slices.SortFunc(list, comparePlaces)
		return runHeap{{chunk: list}}
	}
	for _, a := range s.listed(m, w.q.Group) {
		i, at := a.list.find(key, subject)
		if i == len(a.list.chunks) {
			continue
		}
		r := run{chunk: a.list.chunks[i][at:], rest: a.list.chunks[i+1:]}
		if subject != "" && !w.ahead(r.chunk[0]) {
			r.skip()
		}
		if r.chunk != nil {
			runs = append(runs, r)
		}
	}
	heap.Init(&runs)
	return runs
}

// finish gets the body of an alarm that matches so far, and judges by that.
func (w *walk) finish(ctx context.Context, c *listed) (ok bool, err error) {
	met := false
	for {
		var err error
		m := Message{Seq: c.seq, Subject: c.subject, Data: c.data}
		if m.Data == nil {
			if w.text != "" {
				w.reads++
			}
			m, err = w.v.log.At(ctx, c.seq)
		}
		switch {
		case errors.Is(err, ErrNotFound):
			// Purged since: it is gone, or has moved on, maybe by another node.
			if w.again(c) {
				continue
			}
			if met {
				return false, nil
			}
			if err := w.v.meetEnd(ctx); err != nil {
				return false, err
			}
			met = true
			continue
		case err != nil:
			return false, fmt.Errorf("read the entry %d: %w", c.seq, err)
		}
		if c.body, err = decodeBody(m); err != nil {
			return false, err
		}
		return w.text == "" || textMatches(c.subject, c.body, w.text), nil
	}
}

// again takes the alarm as it is now; ok is false when it has not moved on or no
// longer matches.
func (w *walk) again(c *listed) (ok bool) {
	w.v.mu.RLock()
	defer w.v.mu.RUnlock()
	s := w.v.s
	r := s.records[c.subject]
	if r == nil || r.seq <= c.seq || !w.matches(r, w.sees(s, s.membership(w.user, w.groups))) {
		return false
	}
	c.seq, c.data = r.seq, r.data
	return true
}
