package presence

import (
	"slices"
	"sync/atomic"

	"tocsin/server/inbox"
)

// A base is where a stretch of delivery without a hole begins. It is replaced,
// never changed.
type base struct {
	from     uint64 // everything told after this has been delivered
	snapshot uint64 // what was open at this sequence has been delivered; 0 for none
	groups   []string
}

// A position is how far a session has been delivered to. One goroutine at a time
// calls add, any may call load.
type position struct {
	base    atomic.Pointer[base]
	at      atomic.Uint64
	repairs bool // a catch-up goes on
}

// add takes what a flush has delivered. It makes something only where a stretch
// begins, which is when a session does, after a gap, and where polls leave a hole.
func (p *position) add(r inbox.Reach) {
	b := p.base.Load()
	if r.Partial {
		if !r.Snapshot && !p.repairs {
			p.repairs = true
			if b == nil {
				p.begin(&base{from: r.From, groups: r.Groups}, r.From)
			}
		}
		return
	}
	repaired := p.repairs
	p.repairs = false
	switch at := p.at.Load(); {
	case r.Snapshot:
		p.begin(&base{from: r.From, snapshot: r.To, groups: r.Groups}, r.To)
	case b == nil, r.From > at && !repaired, !sameGroups(b.groups, r.Groups):
		p.begin(&base{from: r.From, groups: r.Groups}, r.To)
	case r.From < b.from && r.To >= b.from: // another poller of his, who was further behind
		p.begin(&base{from: r.From, snapshot: b.snapshot, groups: b.groups}, max(at, r.To))
	case r.To > at:
		p.at.Store(r.To)
	}
}

// begin changes the base before the place, and load reads them the other way
// round: what it sees in between is never more than is true.
func (p *position) begin(b *base, at uint64) {
	p.base.Store(b)
	p.at.Store(at)
}

// load is the present position; nil before anything was delivered.
func (p *position) load() (at uint64, b *base) {
	at = p.at.Load()
	return at, p.base.Load()
}

func sameGroups(a, b []string) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0] || slices.Equal(a, b))
}

// A stretch is what a session had been delivered at some moment.
type stretch struct {
	from, snapshot, at uint64
}

// A target is what somebody may have got: an entry, and until where snapshots
// had its alarm.
type target struct {
	seq  uint64
	over uint64 // the first sequence at which the alarm was no longer open; 0: it is
}

// has says whether the stretch includes the target.
func (s stretch) has(t target) bool {
	switch {
	case t.seq > s.at:
		return false
	case t.seq > s.from:
		return true
	}
	return s.snapshot >= t.seq && (t.over == 0 || s.snapshot < t.over)
}
