package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errShifted: the log was purged while it was being loaded; load again.
var errShifted = errors.New("the log was purged during the load")

// load builds a state from the log: the newest message of every subject, as of the
// highest sequence that comes, which is the head; then the newest window's worth of
// history up to there.
func (v *View) load(ctx context.Context) (*state, error) {
	s := newState(&v.bells, v.o)
	bounds, err := v.log.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	if head := v.Head(); bounds.Last < head && !bounds.settled() {
		return nil, fmt.Errorf("the log ends at %d and not at %d, says a leader of %s: %w", bounds.Last, head, bounds.Led, ErrStale)
	}
	s.purged, s.head = bounds.First, bounds.Last
	if bounds.Last >= bounds.First {
		err = v.log.Scan(ctx, Scan{Newest: true}, func(m Message) error {
			s.head = max(s.head, m.Seq)
			e, err := Decode(m)
			if err != nil {
				return err
			}
			s.loadNewest(&e, m.Data)
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("load the newest of every subject: %w", err)
		}
	}
	s.build()
	first := bounds.First
	if bounds, err = v.awaitEnd(ctx, s.head); err != nil {
		return nil, err
	}
	if bounds.Last < s.head {
		return nil, fmt.Errorf("the log ends at %d, and had %d: %w", bounds.Last, s.head, ErrStale)
	}
	if err := v.loadWindow(ctx, s, bounds); err != nil {
		return nil, err
	}
	after, err := v.log.Bounds(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	if after.First != first || after.Last < s.head {
		return nil, errShifted
	}
	return s, nil
}

// loadNewest takes one message of the first pass. A subject may come again, also
// a step back.
func (s *state) loadNewest(e *Entry, data []byte) {
	if e.Subject == SubjectPurged {
		s.purged = max(s.purged, e.Purged) // build leaves out what is below
		return
	}
	if !isItem(e.Subject) {
		s.applySystem(e)
		return
	}
	r := s.records[e.Subject]
	if r == nil {
		r = &record{subject: e.Subject}
		s.records[e.Subject] = r
	}
	if r.seq >= e.Seq {
		return
	}
	resolve(e)
	s.fill(r, e)
	r.data = nil
	if r.open() {
		r.data = data
	}
}

// build indexes and counts the records of the first pass, each list in one go.
func (s *state) build() {
	announced := map[*audience][]uint64{}
	places := map[*audience][]place{}
	for subject, r := range s.records {
		if r.seq < s.purged {
			delete(s.records, subject)
			continue
		}
		if r.home != nil {
			r.held = s.isHeld(&Entry{Subject: r.subject, Seq: r.seq, Audience: r.home.key,
				Severity: r.severity, Active: r.active, Acked: r.acked})
		}
		sites, n := s.sites(r)
		for _, a := range sites[:n] {
			if r.told != 0 {
				a.told.lines = append(a.told.lines, told{seq: r.told, rec: r})
			}
			if r.announced != 0 {
				announced[a] = append(announced[a], r.announced)
			}
			if r.open() {
				a.open[r.severity]++
			}
			if key := r.listKey(); key != 0 {
				places[a] = append(places[a], place{key, r})
			}
		}
		for _, l := range r.left {
			a := s.audience(l.Audience)
			a.told.lines = append(a.told.lines, told{seq: l.Seq, rec: r, removed: true})
		}
		s.track(r, false)
	}
	s.forget()
	for _, a := range s.audiences {
		sortTold(a.told.lines)
	}
	for a, list := range places {
		a.list.build(list)
	}
	for a, seqs := range announced {
		slices.Sort(seqs)
		for _, seq := range seqs {
			a.unread.add(seq)
		}
	}
}

// loadWindow reads the newest window's worth of history, and notes for each
// audience what it does not hold.
func (v *View) loadWindow(ctx context.Context, s *state, b Bounds) error {
	from := max(b.First, s.purged)
	if b.Messages > 0 {
		// The mean size of a message says how far back the window may reach;
		// what is too much falls out again.
		mean := b.Bytes/b.Messages + 1
		if n := uint64(v.o.Window) / mean; b.Last-b.First >= n {
			from = max(from, b.Last-n+1)
		}
	}
	for _, a := range s.audiences {
		if i := after(a.told.lines, from-1, toldSeq); i > 0 && from > 0 {
			a.evicted = a.told.lines[i-1].seq
		}
	}
	if b.Last < b.First {
		return nil
	}
	err := v.log.Scan(ctx, Scan{From: from}, func(m Message) error {
		if m.Seq > s.head || !isItem(m.Subject) {
			return nil
		}
		e, err := Decode(m)
		if err != nil {
			return err
		}
		s.loadShown(&e, m.Data, from)
		return nil
	})
	if err != nil {
		return fmt.Errorf("load the window: %w", err)
	}
	return nil
}

// loadShown puts one entry of the history into the window.
func (s *state) loadShown(e *Entry, data []byte, from uint64) {
	resolve(e)
	if e.Quiet || len(e.Body) < 2 || s.isHeld(e) {
		return
	}
	r := s.records[e.Subject]
	if r == nil { // the first pass did not have it: somebody deletes in the log
		r = &record{subject: e.Subject}
		s.records[e.Subject] = r
	}
	if r.seq == e.Seq {
		r.data = data
	}
	s.show(e, r, data)
	s.missBefore(e, e.Prev, from)
}

// missBefore notes that the window, which was loaded from a sequence on, does not
// hold the change of e's subject that readers were told at prev.
func (s *state) missBefore(e *Entry, prev, from uint64) {
	if prev == 0 || prev >= from {
		return
	}
	if a := s.audience(e.Audience); a != nil {
		a.evicted = max(a.evicted, prev)
		if a.routed {
			s.all.evicted = max(s.all.evicted, prev)
		}
	}
	for _, l := range e.Left {
		if l.Seq == e.Seq {
			a := s.audience(l.Audience)
			a.evicted = max(a.evicted, prev)
		}
	}
}
