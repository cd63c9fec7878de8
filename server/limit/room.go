package limit

import (
	"container/list"
	"net/netip"
	"sync"
)

// share is the part of a room that one address may have.
const share = 5

// A room is where those wait who have not yet done what is expected of them. It is
// never full: who has waited longest goes. So a flood of silent clients makes the
// time short that everybody has, and keeps nobody out who comes to the point.
type room struct {
	mu      sync.Mutex
	waiting list.List // of *guest, the one who has waited longest in front
	of      map[netip.Addr]int
}

// A guest waits in a room.
type guest struct {
	from netip.Addr // not valid: he has no share to keep to
	out  func()     // sends him away; it must not wait
	at   *list.Element
}

// enter lets a guest in. most is how many the room has place for, 0 for any number.
// crowded says that somebody had to go, who has been sent away.
func (r *room) enter(g *guest, most int) (crowded bool) {
	r.mu.Lock()
	g.at = r.waiting.PushBack(g)
	if g.from.IsValid() {
		if r.of == nil {
			r.of = map[netip.Addr]int{}
		}
		r.of[g.from]++
	}
	var goes *guest
	switch {
	case most == 0:
	case g.from.IsValid() && r.of[g.from] > max(1, most/share):
		goes = r.oldest(g.from)
	case r.waiting.Len() > most:
		goes = r.waiting.Front().Value.(*guest)
	}
	if goes != nil {
		r.remove(goes)
	}
	r.mu.Unlock()
	if goes != nil {
		goes.out()
	}
	return goes != nil
}

// oldest is who has waited longest of an address; under the lock. There is one.
func (r *room) oldest(from netip.Addr) *guest {
	for e := r.waiting.Front(); e != nil; e = e.Next() {
		if g := e.Value.(*guest); g.from == from {
			return g
		}
	}
	return nil
}

// leave takes a guest out, who may have gone already.
func (r *room) leave(g *guest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.remove(g)
}

// remove is leave under the lock.
func (r *room) remove(g *guest) {
	if g.at == nil {
		return
	}
	r.waiting.Remove(g.at)
	g.at = nil
	if g.from.IsValid() {
		if r.of[g.from]--; r.of[g.from] == 0 {
			delete(r.of, g.from)
		}
	}
}

// dismiss sends the one away who has waited longest, if anybody is there.
func (r *room) dismiss() bool {
	r.mu.Lock()
	front := r.waiting.Front()
	if front == nil {
		r.mu.Unlock()
		return false
	}
	g := front.Value.(*guest)
	r.remove(g)
	r.mu.Unlock()
	g.out()
	return true
}

// has says whether a guest is there.
func (r *room) has(g *guest) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return g.at != nil
}

func (r *room) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.waiting.Len()
}

// Anonymous notes a socket of which it is not known yet whose it is; out ends it,
// and must not wait. leave is called when that is known, or the socket is over; it
// may be called again.
func (l *Limiter) Anonymous(from netip.Addr, out func()) (leave func()) {
	o := l.o.Load()
	g := &guest{out: out}
	if !within(o.Unlimited, from) {
		g.from = network(from)
	}
	if l.anonymous.enter(g, o.Waiting) {
		l.refused(nameWaiting)
	}
	return func() { l.anonymous.leave(g) }
}
