package inbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// errShifted: the log was purged while it was being loaded; load again.
var errShifted = errors.New("the log was purged during the load")

// load builds a state from the log: the newest message of every subject up to
// the last sequence, then the newest window's worth of history. must is the
// sequence that the tail has to reach before the state is whole: a subject that
// moved on during the load is known only by what it moved on to.
func (v *View) load(ctx context.Context) (s *state, must uint64, err error) {
	s = newState(&v.bells, v.o)
	bounds, err := v.log.Bounds(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	s.purged, s.head, must = bounds.First, bounds.Last, bounds.Last
	if bounds.Last >= bounds.First {
		err = v.log.Scan(ctx, Scan{Newest: true}, func(m Message) error {
			must = max(must, m.Seq)
			if m.Seq > s.head {
				return nil // the tail brings it
			}
			e, err := Decode(m)
			if err != nil {
				return err
			}
			s.loadNewest(&e, m.Data)
			return nil
		})
		if err != nil {
			return nil, 0, fmt.Errorf("load the newest of every subject: %w", err)
		}
	}
	s.build()
	if err := v.loadWindow(ctx, s, bounds); err != nil {
		return nil, 0, err
	}
	after, err := v.log.Bounds(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	if after.First != bounds.First || after.Last < bounds.Last {
		return nil, 0, errShifted
	}
	return s, must, nil
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
	s.loaded = from
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
	if r == nil { // it moved on during the first pass: the tail says what it is now
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

// applyLate takes an entry of the tail before the state is whole: its subject may
// have moved on during the first pass, and what it was before is not known.
func (s *state) applyLate(e *Entry, data []byte) {
	s.apply(e, data)
	if !isItem(e.Subject) {
		return
	}
	prev := e.Prev
	if e.Quiet {
		prev = e.Told
	}
	s.missBefore(e, prev, s.loaded)
}
