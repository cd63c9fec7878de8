package inbox

import (
	"cmp"
	"slices"
	"sort"
	"strings"
)

// The order of lists: what nobody has acknowledged first, then what is active,
// then the worst, then what was announced last; ties by subject. All but the
// subject is in one number, the key: five bits of class, and the announcement
// turned round.

const (
	keyAcked    = 1 << 63
	keyInactive = 1 << 62
	rankShift   = 59
	newestFirst = 1<<rankShift - 1
)

// ranks of severities in lists, the worst lowest. What is indeterminate stands
// beside minor, so that it does not hide below what is known to be harmless.
var ranks = [...]uint64{Critical: 0, Major: 1, Minor: 2, Indeterminate: 3, Warning: 4}

// lowestRank is the last rank that a filter for this severity and worse takes.
func lowestRank(s Severity) uint64 {
	switch s {
	case Critical, Major:
		return ranks[s]
	case Minor, Indeterminate:
		return ranks[Indeterminate]
	}
	return ranks[Warning]
}

// listKey is where the record stands in lists; 0 for what is in none.
func (r *record) listKey() uint64 {
	if r.severity == 0 || r.home == nil || r.held {
		return 0
	}
	key := ranks[r.severity]<<rankShift | newestFirst&^r.announced
	if r.acked {
		key |= keyAcked
	}
	if !r.active {
		key |= keyInactive
	}
	return key
}

// A place is one line of an order.
type place struct {
	key uint64
	rec *record
}

func (p place) before(key uint64, subject string) bool {
	return p.key < key || p.key == key && p.rec.subject < subject
}

// chunkPlaces bounds a chunk of an order: what an insertion moves.
const chunkPlaces = 128

// An order keeps the alarms of an audience as lists show them, in chunks that
// are never empty: 16 bytes a line, and what slices keep for growth.
// An insertion and a removal cost two bisections and the move of half a chunk.
type order struct {
	chunks [][]place
	counts []int32 // by class
}

// find is where the first line is that does not stand before the place.
func (o *order) find(key uint64, subject string) (chunk, at int) {
	chunk = sort.Search(len(o.chunks), func(i int) bool { return !o.chunks[i][0].before(key, subject) })
	if chunk == 0 {
		return 0, 0
	}
	c := o.chunks[chunk-1]
	if at = sort.Search(len(c), func(i int) bool { return !c[i].before(key, subject) }); at < len(c) {
		return chunk - 1, at
	}
	return chunk, 0
}

func (o *order) count(p place) {
	if o.counts == nil {
		o.counts = make([]int32, 1<<(64-rankShift))
	}
	o.counts[p.key>>rankShift]++
}

func (o *order) insert(p place) {
	o.count(p)
	i, at := o.find(p.key, p.rec.subject)
	if i < len(o.chunks) && at > 0 && len(o.chunks[i]) == chunkPlaces {
		// Split where it goes: new alarms all go to the same few places, and halves
		// would stay half empty.
		c := o.chunks[i]
		o.chunks = slices.Insert(o.chunks, i+1, slices.Clone(c[at:]))
		clear(c[at:])
		o.chunks[i] = c[:at]
		i, at = i+1, 0
	}
	if at == 0 && i > 0 && (i == len(o.chunks) || len(o.chunks[i-1]) < len(o.chunks[i])) {
		// Between two chunks: into the smaller one.
		i--
		at = len(o.chunks[i])
	}
	if i == len(o.chunks) || len(o.chunks[i]) == chunkPlaces {
		if at > 0 {
			i++
		}
		o.chunks = slices.Insert(o.chunks, i, []place{p})
		return
	}
	o.chunks[i] = slices.Insert(o.chunks[i], at, p)
}

func (o *order) remove(p place) {
	i, at := o.find(p.key, p.rec.subject)
	if i == len(o.chunks) || o.chunks[i][at] != p {
		return
	}
	o.counts[p.key>>rankShift]--
	c := slices.Delete(o.chunks[i], at, at+1)
	switch {
	case len(c) == 0:
		o.chunks = slices.Delete(o.chunks, i, i+1)
		return
	case i+1 < len(o.chunks) && len(c)+len(o.chunks[i+1]) <= chunkPlaces/2:
		c = append(c, o.chunks[i+1]...)
		o.chunks = slices.Delete(o.chunks, i+1, i+2)
	}
	o.chunks[i] = c
}

// build replaces the order by the places, which it sorts and keeps.
func (o *order) build(places []place) {
	slices.SortFunc(places, comparePlaces)
	*o = order{}
	for _, p := range places {
		o.count(p)
	}
	for c := range slices.Chunk(places, chunkPlaces) {
		o.chunks = append(o.chunks, c)
	}
}

func comparePlaces(a, b place) int {
	if a.key != b.key {
		return cmp.Compare(a.key, b.key)
	}
	return strings.Compare(a.rec.subject, b.rec.subject)
}

// A moved is one change of a place: what it was before seq.
type moved struct {
	seq  uint64
	prev uint64 // sequence of the record's change before this one, 0 for none
	key  uint64 // 0: it was in no list
	rec  *record
	home *audience
}

// A trail remembers the newest changes of places in a ring, so that lists can be
// paged as they were when they were begun. It costs 40 bytes a change.
type trail struct {
	from  uint64 // places are known as of this sequence and later
	max   int
	lines []moved
	first int // of lines, the oldest
}

func (t *trail) add(m moved) {
	if len(t.lines) < t.max {
		t.lines = append(t.lines, m)
		return
	}
	t.from = t.lines[t.first].seq
	t.lines[t.first] = m
	t.first = (t.first + 1) % len(t.lines)
}

// at is the i-th change, the oldest first.
func (t *trail) at(i int) *moved {
	if i += t.first; i >= len(t.lines) {
		i -= len(t.lines)
	}
	return &t.lines[i]
}

// after is the index of the first change above the sequence.
func (t *trail) after(seq uint64) int {
	return sort.Search(len(t.lines), func(i int) bool { return t.at(i).seq > seq })
}

// restart forgets everything before the sequence.
func (t *trail) restart(seq uint64) { t.from, t.lines, t.first = seq, nil, 0 }

// reorder brings the orders up to date after the entry at seq made the record of
// old what it is now.
func (s *state) reorder(r, old *record, seq uint64) {
	was, is := old.listKey(), r.listKey()
	if was == is && (was == 0 || old.home == r.home) {
		return
	}
	if was != 0 {
		sites, n := s.sites(old)
		for _, a := range sites[:n] {
			a.list.remove(place{was, r})
		}
	}
	if is != 0 {
		sites, n := s.sites(r)
		for _, a := range sites[:n] {
			a.list.insert(place{is, r})
		}
	}
	s.trail.add(moved{seq: seq, prev: r.listed, key: was, rec: r, home: old.home})
	r.listed = seq
}
