package transports

import (
	"context"
	"sync"
	"time"
)

// A wheel wakes units when their deadline has come. It is coarse: its tick is a
// tenth of a second, or less where pings are that frequent. A unit
// stands in one slot; one whose deadline has been put off moves on when the slot
// comes.
type wheel struct {
	tick  time.Duration
	begin time.Time

	mu     sync.Mutex
	slots  [256][]*unit
	turned int // ticks so far; the slot of the last one is empty
}

func (w *wheel) init(ping time.Duration) {
	w.tick = min(100*time.Millisecond, max(ping/10, time.Millisecond))
	w.begin = time.Now()
}

// slot is where a unit stands that is due so far ahead. What lies beyond a
// whole turn of the wheel comes in between, and moves on.
func (w *wheel) slot(ahead time.Duration) *[]*unit {
	n := min(max(int(ahead/w.tick)+1, 1), len(w.slots)-1)
	return &w.slots[(w.turned+n)%len(w.slots)]
}

func (w *wheel) add(u *unit, ahead time.Duration) {
	w.mu.Lock()
	slot := w.slot(ahead)
	*slot = append(*slot, u)
	w.mu.Unlock()
}

// turn goes around until the context ends.
func (w *wheel) turn(ctx context.Context) {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*unit
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := time.Since(w.begin)
		for w.turned < int(now/w.tick) {
			due = w.step(now, due[:0])
			for _, u := range due {
				u.wake()
			}
			clear(due)
		}
	}
}

// step empties the next slot: who is due leaves the wheel.
func (w *wheel) step(now time.Duration, due []*unit) []*unit {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned++
	slot := &w.slots[w.turned%len(w.slots)]
	for _, u := range *slot {
		switch ahead := time.Duration(u.deadline.Load()) - now; {
		case u.over.Load():
		case ahead <= 0:
			u.parked.Store(false)
			due = append(due, u)
		default:
			at := w.slot(ahead)
			*at = append(*at, u)
		}
	}
	clear(*slot)
	if *slot = (*slot)[:0]; cap(*slot) > 1024 {
		*slot = nil // of a rush
	}
	return due
}
