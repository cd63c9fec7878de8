package presence

import (
	"sync/atomic"
	"time"
)

// A sender tells the other nodes what changes at this one. It belongs to the
// goroutine of Run, but for seq.
type sender struct {
	c        *Cluster
	seq      atomic.Uint64 // of the last changes that were told
	said     time.Time     // when the others last heard of this node
	snapshot time.Time     // when all was last told
	wanted   bool
}

// turn tells what there is to tell.
func (s *sender) turn(now time.Time) {
	if s.changes() {
		s.said = now
	}
	select {
	case <-s.c.wantedHere:
		s.wanted = true
	default:
	}
	if s.wanted && now.Sub(s.snapshot) >= snapshotEvery {
		s.wanted, s.snapshot, s.said = false, now, now
		s.all()
	}
	if now.Sub(s.said) >= beatEvery {
		s.said = now
		s.c.say(&digest{kind: kindBeat})
	}
}

// changes tells what has changed since it was last called; false: nothing has.
func (s *sender) changes() bool {
	r := s.c.o.Registry
	r.mu.Lock()
	changed := r.changed
	r.changed = nil
	r.mu.Unlock()
	told := false
	for len(changed) > 0 {
		n := min(len(changed), maxDigest)
		d := &digest{kind: kindChanges}
		r.mu.Lock()
		for _, c := range changed[:n] {
			c.tellChange(d)
		}
		r.mu.Unlock()
		s.c.considerAll(d.came)
		changed = changed[n:]
		if len(d.came)+len(d.went)+len(d.touched) == 0 {
			continue // it came and went meanwhile
		}
		d.seq = s.seq.Load() + 1
		s.c.say(d)
		s.seq.Store(d.seq)
		told = true
	}
	return told
}

// tellChange puts what has become of the connection into the digest; under the
// registry's lock.
func (c *Connection) tellChange(d *digest) {
	c.noted = false
	switch {
	case c.gone && c.told:
		d.went = append(d.went, c.id)
	case c.gone:
	case c.told:
		d.touched = append(d.touched, c.touch())
	default:
		c.told = true
		d.came = append(d.came, c.arrival())
	}
}

func (c *Connection) touch() touch {
	away, since := c.away()
	return touch{id: c.id, away: away, seen: since}
}

func (c *Connection) arrival() arrival {
	return arrival{id: c.id, user: c.user, transport: c.transport, since: c.since, poll: c.polls != nil, touch: c.touch()}
}

// all tells all that has been told of this node, once more. What is new, or has
// changed since, comes with the next changes.
func (s *sender) all() {
	r := s.c.o.Registry
	r.mu.Lock()
	there := make([]*Connection, 0, r.connections)
	r.each("", func(c *Connection) {
		if c.told {
			there = append(there, c)
		}
	})
	r.mu.Unlock()
	for part := uint64(0); ; part++ {
		n := min(len(there), maxDigest)
		d := &digest{kind: kindSnapshot, part: part, last: n == len(there)}
		r.mu.Lock() // again for each part: others want it, too
		for _, c := range there[:n] {
			d.came = append(d.came, c.arrival())
		}
		r.mu.Unlock()
		s.c.say(d)
		if there = there[n:]; len(there) == 0 {
			return
		}
	}
}
