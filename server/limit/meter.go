package limit

import (
	"hash/maphash"
	"sync"
	"time"
)

// burst is how far a meter may be ahead of the clock, as all of them are: so many
// seconds' worth come at once after a rest.
const burst = 5 * time.Second

// A meter is when all that was taken will be paid for, in nanoseconds of the
// limiter's clock.
type meter int64

// take moves the meter by a cost, unless it is too far ahead: then it says for how
// long it will be.
func (m *meter) take(now, cost int64) (taken bool, wait time.Duration) {
	*m = max(*m, meter(now))
	if ahead := int64(*m) - now - int64(burst); ahead >= 0 {
		return false, time.Duration(ahead)
	}
	*m += meter(cost)
	return true, 0
}

// cost is what n of something cost of which so many a second are allowed.
func cost(n, rate int) int64 { return int64(n) * int64(time.Second) / int64(rate) }

// meters are those of one address or user.
type meters [kinds]meter

// owes says whether any of them is ahead of the clock.
func (m *meters) owes(now int64) bool {
	for _, one := range m {
		if int64(one) > now {
			return true
		}
	}
	return false
}

const (
	shards = 16
	// mostKeys is how many addresses, and how many users, are kept.
	mostKeys = 1 << 16
	// leastSwept is how many a shard has at least before it is swept.
	leastSwept = 64
)

// A book has the meters of many, by address or user.
type book[K comparable] struct {
	seed   maphash.Seed
	shards [shards]shard[K]
}

// A shard is the part of a book that has a lock of its own.
type shard[K comparable] struct {
	mu   sync.Mutex
	of   map[K]meters
	kept int // by the last sweep
}

func newBook[K comparable]() *book[K] {
	b := &book[K]{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].of = map[K]meters{}
	}
	return b
}

func (b *book[K]) shard(key K) *shard[K] {
	return &b.shards[maphash.Comparable(b.seed, key)%shards]
}

func (b *book[K]) take(key K, kind Kind, now, cost int64) (taken bool, wait time.Duration) {
	s := b.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	m, known := s.of[key]
	// Most owe nothing a moment later: twice as many as were kept are too many.
	if !known && len(s.of) >= min(max(2*s.kept, leastSwept), mostKeys/shards) {
		s.sweep(now)
	}
	taken, wait = m[kind].take(now, cost)
	s.of[key] = m
	return taken, wait
}

// give takes back what was taken.
func (b *book[K]) give(key K, kind Kind, cost int64) {
	s := b.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, known := s.of[key]; known {
		m[kind] -= meter(cost)
		s.of[key] = m
	}
}

// sweep forgets who owes nothing, and of the others so many that an eighth is free:
// that much has to come before it is done again. The map is made anew, as one from
// which much is deleted grows all the same.
func (s *shard[K]) sweep(now int64) {
	kept := map[K]meters{}
	for key, m := range s.of {
		if len(kept) >= mostKeys/shards*7/8 {
			break
		}
		if m.owes(now) {
			kept[key] = m
		}
	}
	s.of, s.kept = kept, len(kept)
}

// len is how many are kept.
func (b *book[K]) len() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.of)
		s.mu.Unlock()
	}
	return n
}
