package inbox

import (
	"cmp"
	"slices"
)

// A told is one line of an audience's index of subjects: at seq the subject's
// last change was shown, or, with removed, the subject left the audience.
type told struct {
	seq     uint64
	rec     *record
	removed bool
}

// live says whether the line still holds for the audience; the subject may have
// moved on.
func (t told) live(a *audience) bool {
	if !t.removed {
		return t.rec.told == t.seq && t.rec.sits(a)
	}
	for i := range t.rec.left {
		if t.rec.left[i].Seq == t.seq && t.rec.left[i].Audience == a.key {
			return true
		}
	}
	return false
}

// after is where the lines with a sequence above seq begin, in a slice that
// rises by the key.
func after[T any](s []T, seq uint64, key func(T) uint64) int {
	i, _ := slices.BinarySearchFunc(s, seq, func(t T, seq uint64) int {
		if key(t) <= seq {
			return -1
		}
		return 1
	})
	return i
}

func toldSeq(t told) uint64 { return t.seq }

// An index keeps the subjects of an audience by the sequence of their last told
// change. Lines go stale in place when a subject moves on, and are dropped when
// half are.
type index struct {
	lines []told
	stale int
}

func (x *index) add(t told) {
	if n := len(x.lines); n == 0 || x.lines[n-1].seq < t.seq {
		x.lines = append(x.lines, t)
		return
	}
	// A quiet entry of a subject that the view had not met: rare.
	x.lines = slices.Insert(x.lines, after(x.lines, t.seq, toldSeq), t)
}

// dropped notes that a line went stale.
func (x *index) dropped(a *audience) {
	if x.stale++; x.stale > 32 && x.stale > len(x.lines)/2 {
		x.rewrite(a)
	}
}

func (x *index) rewrite(a *audience) {
	kept := make([]told, 0, len(x.lines)-x.stale+16)
	for _, t := range x.lines {
		if t.live(a) {
			kept = append(kept, t)
		}
	}
	x.lines, x.stale = kept, 0
}

// announcements counts the subjects of an audience announced after a mark. It is
// a Fenwick tree over the announcements in their order, so that a count and a
// change cost the logarithm of their number.
type announcements struct {
	seqs  []uint64
	tree  []int32 // tree[i] sums the i & -i announcements up to the i-th, from 1
	total int
}

func (c *announcements) add(seq uint64) {
	c.total++
	if n := len(c.seqs); n == 0 || c.seqs[n-1] < seq {
		c.push(seq)
		return
	}
	// A subject that came from another audience with an old announcement.
	at, found := slices.BinarySearch(c.seqs, seq)
	if found {
		c.change(at, 1)
		return
	}
	c.rebuild(at, seq)
}

// push appends one live announcement.
func (c *announcements) push(seq uint64) {
	if len(c.tree) == 0 {
		c.tree = append(c.tree, 0)
	}
	c.seqs = append(c.seqs, seq)
	i := len(c.seqs)
	sum := int32(1)
	for j := i - 1; j > i-i&-i; j -= j & -j {
		sum += c.tree[j]
	}
	c.tree = append(c.tree, sum)
}

// rebuild drops what is no longer live and inserts one live announcement at the
// place; at < 0 inserts nothing.
func (c *announcements) rebuild(at int, seq uint64) {
	old := *c
	*c = announcements{total: old.total}
	for i, s := range old.seqs {
		if i == at {
			c.push(seq)
		}
		if old.upto(i+1)-old.upto(i) > 0 {
			c.push(s)
		}
	}
	if at == len(old.seqs) {
		c.push(seq)
	}
}

func (c *announcements) remove(seq uint64) {
	at, found := slices.BinarySearch(c.seqs, seq)
	if !found {
		return
	}
	c.total--
	c.change(at, -1)
	if len(c.seqs) > 64 && c.total < len(c.seqs)/2 {
		c.rebuild(-1, 0)
	}
}

func (c *announcements) change(at int, by int32) {
	for i := at + 1; i < len(c.tree); i += i & -i {
		c.tree[i] += by
	}
}

// upto counts the live ones among the first n.
func (c *announcements) upto(n int) int {
	var sum int32
	for ; n > 0; n -= n & -n {
		sum += c.tree[n]
	}
	return int(sum)
}

// after counts the live ones above the sequence.
func (c *announcements) after(seq uint64) int {
	if n := len(c.seqs); n == 0 || c.seqs[n-1] <= seq {
		return 0
	}
	return c.total - c.upto(after(c.seqs, seq, func(s uint64) uint64 { return s }))
}

func sortTold(lines []told) {
	slices.SortFunc(lines, func(a, b told) int { return cmp.Compare(a.seq, b.seq) })
}
