package inbox

// A twin is what the last reader of a readership found. The others of it, who
// stand mostly at the same place when an entry comes, find the same: they take it
// instead of looking for it in every audience again. It is never changed.
type twin struct {
	head  uint64 // of the view then: whatever is found later is found anew
	from  Cursor // where the reader stood, and what it had looked at
	seen  uint64
	limit int

	items  []Item
	at, to Cursor
	cursor string
	oldest Oldest
	mark   uint64 // Mark.Upto, that the counts are for
	counts Counts
}

// maxTwin is how many items a twin has at most. They are copied once a
// readership and entry, and a reader further behind has few at his place.
const maxTwin = 8

// shares says whether the reader finds the same as others of his readership: he
// goes on from a place, and has no audience of his own.
func (r *Reader) shares() bool {
	return r.begun && r.pos.Mode == Plain && r.m.own == nil
}

// fits says whether the reader finds what the twin found.
func (t *twin) fits(r *Reader, s *state, limit int) bool {
	return t.head == s.head && t.seen == r.seen && t.limit == limit && t.from == r.pos
}

// follow is look, where the twin has been.
func (r *Reader) follow(t *twin, s *state, mark Mark) Batch {
	r.pos, r.seen, r.given = t.to, s.head, ""
	b := Batch{Items: t.items, Cursor: t.cursor, at: t.at, oldest: t.oldest, mark: mark, to: t.to, groups: r.m.groups, twin: true}
	if t.mark == mark.Upto && len(mark.Read) == 0 {
		b.Counts = t.counts
		b.Counts.Stale = s.stale
	} else {
		b.Counts = s.counts(r.m, mark)
	}
	r.counts, r.counted = b.Counts, true
	return b
}

// leave leaves what the reader found for the others of his readership. It was
// found at the head, from the place that the look began from; what a twin gave is
// there already.
func (r *Reader) leave(b *Batch, from *standing, limit int) {
	if n := len(b.Items); n == 0 || b.twin || n > maxTwin || b.More || b.Gap != nil || !r.shares() || len(b.mark.Read) > 0 {
		return
	}
	r.m.twin.Store(&twin{
		head: r.seen, from: from.pos, seen: from.seen, limit: limit,
		items: append([]Item(nil), b.Items...), at: b.at, to: b.to, cursor: b.Cursor, oldest: b.oldest,
		mark: b.mark.Upto, counts: b.Counts,
	})
}
