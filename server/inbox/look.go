package inbox

// What a reader finds in the view, under its read lock.

// A found is an item whose body may still have to be read.
type found struct {
	at      uint64
	seq     uint64
	subject string
	body    []byte
	data    []byte
	removed *Left
}

// look takes up to limit items that follow the cursor, which stood at from: there he
// goes back whose items cannot be read; those of a twin are there. wait says that the log's
// leader has to be asked first: the cursor is above the head, or of an epoch
// that this node has not met. asked says that it has been, just now: what it said does
// not hold for what the node loads later.
func (r *Reader) look(limit int, asked bool) (b Batch, from standing, wait bool) {
	r.v.mu.RLock()
	defer r.v.mu.RUnlock()
	s := r.v.s
	if r.gen != r.v.gen {
		r.seen = 0
	}
	r.refresh(s)
	mark := r.v.mark(r.user)
	r.found = r.found[:0]
	if r.shares() {
		if t := r.m.twin.Load(); t != nil && t.fits(r, s, limit) {
			return r.follow(t, s, mark), from, false
		}
	}
	r.begin(s)
	from = r.standing
	if b.Gap, wait = r.check(s, asked); wait {
		return Batch{}, from, true
	}
	if b.at = r.pos; r.pos.Mode == Plain {
		b.More = r.collectWindow(s, limit, &b.oldest)
		b.at.Epoch = r.pos.Epoch
	} else {
		b.More = r.collectTold(s, mark, limit)
	}
	if r.pos != from.pos {
		r.given = ""
	}
	if b.Cursor = r.given; b.Cursor == "" {
		b.Cursor = r.pos.String()
	}
	b.Counts = s.counts(r.m, mark)
	b.mark = mark
	b.to, b.groups = r.pos, r.m.groups
	r.counts, r.counted = b.Counts, true
	return b, from, false
}

// begin gives a reader without a cursor his first one.
func (r *Reader) begin(s *state) {
	if r.begun {
		return
	}
	r.begun = true
	switch {
	case r.start.Cursor == Earliest:
		seq := max(s.purged, 1) - 1
		r.pos = Cursor{Epoch: s.epochAt(seq), Seq: seq, Groups: r.m.hash}
	case r.start.Snapshot:
		r.repair(s, Snapshot)
	default:
		r.pos = Cursor{Epoch: s.epochAt(s.head), Seq: s.head, Groups: r.m.hash}
	}
}

// repair starts a snapshot from the beginning, or a catch-up from the cursor,
// up to the head.
func (r *Reader) repair(s *state, mode Mode) {
	seq := uint64(0)
	if mode == CatchUp {
		seq = r.reached()
	}
	r.pos = Cursor{Epoch: s.epochAt(s.head), Seq: seq, Groups: r.m.hash, Mode: mode, End: s.head}
	r.seen = 0
}

// reached is what a plain reader has looked at.
func (r *Reader) reached() uint64 { return max(r.pos.Seq, r.seen) }

// check finds out whether the cursor can be served as it is, and begins the
// repair where it cannot.
func (r *Reader) check(s *state, asked bool) (gap *Gap, wait bool) {
	var reason GapReason
	end, known := s.epochEnd(r.pos.Epoch)
	top := max(r.pos.Seq, r.pos.End)
	switch {
	case r.pos.Epoch == lostEpoch:
		reason = GapEpoch
	case r.pos.Groups != r.m.hash:
		reason = GapMembership
	case known && end > 0 && top >= end:
		reason = GapEpoch
	case !known || top > s.head:
		if !asked {
			return nil, true
		}
		if reason = GapEpoch; r.pos.Mode == Plain && top+1 < s.purged {
			reason = GapExpired
		}
	case r.pos.Mode == Snapshot:
		return nil, false
	case r.reached()+1 < s.purged: // what is over by now is not there to be told
		reason = GapExpired
	case r.pos.Mode == Plain && r.compacted():
		reason = GapCompacted
	default:
		return nil, false
	}
	gap = &Gap{Reason: reason, From: r.given}
	if gap.From == "" {
		gap.From = r.pos.String()
	}
	if reason == GapCompacted {
		r.repair(s, CatchUp)
	} else {
		r.repair(s, Snapshot)
	}
	return gap, false
}

// compacted says whether something of the user's that the reader has not seen
// has left the window.
func (r *Reader) compacted() (yes bool) {
	reached := r.reached()
	r.m.each(func(a *audience) { yes = yes || a.evicted > reached })
	return yes
}

// collectWindow takes the entries after a plain cursor. A batch stays within one
// epoch, so that one name serves all of its cursors.
func (r *Reader) collectWindow(s *state, limit int, oldest *Oldest) (more bool) {
	reached := r.reached()
	m := merge[line]{key: lineSeq}
	r.m.each(func(a *audience) {
		// Most audiences have nothing new: their newest line says so.
		if n := len(a.window); n > 0 && a.window[n-1].seq > reached {
			m.add(a.window[after(a.window, reached, lineSeq):])
		}
	})
	var epochEnd uint64
	for {
		l, ok := m.next()
		if !ok {
			break
		}
		if l.removed != nil && r.m.has(l.entry.home) {
			continue // he reads the present audience too
		}
		if n := len(r.found); n == 0 {
			r.pos.Epoch = s.epochAt(l.seq)
			epochEnd, _ = s.epochEnd(r.pos.Epoch)
		} else if n == limit || epochEnd > 0 && l.seq >= epochEnd {
			more = true
			break
		}
		f := found{at: l.seq, seq: l.seq, removed: l.removed}
		if l.removed != nil {
			f.subject = l.entry.rec.subject
		} else {
			f.body = l.entry.body
			oldest.note(l.entry)
		}
		r.found = append(r.found, f)
	}
	if n := len(r.found); n > 0 {
		r.pos.Seq = r.found[n-1].at
	}
	if r.seen = s.head; more {
		r.seen = 0
	}
	return more
}

// collectTold takes the newest entry of what changed after the cursor, up to its
// End; in a snapshot, of what is open.
func (r *Reader) collectTold(s *state, mark Mark, limit int) (more bool) {
	m := merge[told]{key: toldSeq}
	r.m.each(func(a *audience) {
		lines := a.told.lines[after(a.told.lines, r.pos.Seq, toldSeq):]
		m.add(r.live(a, lines, mark, limit+1))
	})
	for {
		t, ok := m.next()
		if !ok {
			break
		}
		if len(r.found) == limit {
			more = true
			break
		}
		f := found{at: t.seq, seq: t.rec.seq, subject: t.rec.subject, data: t.rec.data}
		if t.removed {
			f.seq, f.data, f.removed = t.seq, nil, t.rec.leftAt(t.seq)
		}
		r.found = append(r.found, f)
	}
	if more {
		r.pos.Seq = r.found[len(r.found)-1].at
		return true
	}
	r.pos = Cursor{Epoch: r.pos.Epoch, Seq: r.pos.End, Groups: r.pos.Groups}
	r.seen = 0
	return r.behind()
}

// live copies up to limit lines that hold for the audience and pass the filter
// of the cursor's mode.
func (r *Reader) live(a *audience, lines []told, mark Mark, limit int) []told {
	var kept []told
	for _, t := range lines {
		if t.seq > r.pos.End || len(kept) == limit {
			break
		}
		if t.live(a) && r.wanted(a, t, mark) {
			kept = append(kept, t)
		}
	}
	return kept
}

func (r *Reader) wanted(a *audience, t told, mark Mark) bool {
	switch {
	case t.removed:
		if r.pos.Mode == Snapshot || !t.rec.held && r.m.has(t.rec.home) {
			return false
		}
		// Of several audiences of his that it left, the last one tells him.
		for i := range t.rec.left {
			if l := &t.rec.left[i]; l.Seq > t.seq && r.readsKey(l.Audience) {
				return false
			}
		}
		return true
	case r.pos.Mode == CatchUp:
		return true
	case t.rec.severity == 0:
		return !mark.reads(t.rec)
	}
	return t.rec.open()
}

func (r *Reader) readsKey(key Audience) (yes bool) {
	r.m.each(func(a *audience) { yes = yes || a.key == key })
	return yes
}

// behind says whether something follows a plain cursor.
func (r *Reader) behind() (yes bool) {
	reached := r.reached()
	r.m.each(func(a *audience) {
		n := len(a.window)
		yes = yes || a.evicted > reached || n > 0 && a.window[n-1].seq > reached
	})
	return yes
}

// leftAt is the former audience that the record left with this entry.
func (r *record) leftAt(seq uint64) *Left {
	for i := range r.left {
		if r.left[i].Seq == seq {
			l := r.left[i]
			return &l
		}
	}
	return &Left{Seq: seq}
}
