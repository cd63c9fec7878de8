package notices

import (
	"sync"
	"time"
)

// How often one user may send, over all of his connections to this node.
const (
	rate  = 10 // a second
	burst = 50 // at once

	// maxRates bounds how many users are remembered beyond those who have just sent.
	maxRates = 10_000
)

// rates say who may send. The zero value is ready; it may be used by many goroutines
// at once.
type rates struct {
	mu    sync.Mutex
	users map[string]bucket
}

// A bucket is what one user may send at once.
type bucket struct {
	left float64
	at   time.Time
}

// filled is the bucket as it is by now.
func (b bucket) filled(now time.Time) bucket {
	return bucket{min(burst, b.left+rate*now.Sub(b.at).Seconds()), now}
}

// take says whether the user may send now.
func (r *rates) take(user string, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, known := r.users[user]
	if !known {
		r.sweep(now)
		b = bucket{burst, now}
	}
	b = b.filled(now)
	ok := b.left >= 1
	if ok {
		b.left--
	}
	r.users[user] = b
	return ok
}

// sweep forgets those whose bucket is full again, when there are many.
func (r *rates) sweep(now time.Time) {
	if r.users == nil {
		r.users = map[string]bucket{}
	}
	if len(r.users) < maxRates {
		return
	}
	for user, b := range r.users {
		if b.filled(now).left >= burst {
			delete(r.users, user)
		}
	}
}
