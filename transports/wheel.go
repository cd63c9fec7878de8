package transports

import (
	"context"
	"sync"
	"time"
)

// A wheel wakes streams when they may have to ping or to end. It is coarse: its
// tick is a tenth of a second, or less where pings are that frequent. A stream
// stands in one slot; one whose deadline has been put off moves on when the slot
// comes.
type wheel struct {
	tick  time.Duration
	begin time.Time

	mu     sync.Mutex
	slots  [256][]*Stream
	turned int // ticks so far; the slot of the last one is empty
}

func (w *wheel) init(ping time.Duration) {
	w.tick = min(100*time.Millisecond, max(ping/10, time.Millisecond))
	w.begin = time.Now()
}

// slot is where a stream stands that is due so far ahead. What lies beyond a
// whole turn of the wheel comes in between, and moves on.
func (w *wheel) slot(ahead time.Duration) *[]*Stream {
	n := min(max(int(ahead/w.tick)+1, 1), len(w.slots)-1)
	return &w.slots[(w.turned+n)%len(w.slots)]
}

func (w *wheel) add(st *Stream, ahead time.Duration) {
	w.mu.Lock()
	slot := w.slot(ahead)
	*slot = append(*slot, st)
	w.mu.Unlock()
}

// turn goes around until the context ends.
func (w *wheel) turn(ctx context.Context) {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*Stream
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := time.Since(w.begin)
		for w.turned < int(now/w.tick) {
			due = w.step(now, due[:0])
			for _, st := range due {
				st.wake()
			}
			clear(due)
		}
	}
}

// step empties the next slot: who is due leaves the wheel.
func (w *wheel) step(now time.Duration, due []*Stream) []*Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.turned++
	slot := &w.slots[w.turned%len(w.slots)]
	for _, st := range *slot {
		switch ahead := time.Duration(st.deadline.Load()) - now; {
		case st.over.Load():
		case ahead <= 0:
			st.parked.Store(false)
			due = append(due, st)
		default:
			at := w.slot(ahead)
			*at = append(*at, st)
		}
	}
	clear(*slot)
	if *slot = (*slot)[:0]; cap(*slot) > 1024 {
		*slot = nil // of a rush
	}
	return due
}
