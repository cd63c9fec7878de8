package presence

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Look says who is asked about.
type Look struct {
	// Prefix is how the user begins, Transport what he is connected over; empty for
	// any.
	Prefix, Transport string
	// After is the last user of the page before; empty begins with the first.
	After string
	// Limit is at most so many users, at least 1.
	Limit int
}

// A Person is a user who is connected to this node.
type Person struct {
	User string
	// Since is when the oldest of his connections began.
	Since time.Time
	// Seen is when he was heard of last: now, unless he only polls and is not
	// asking.
	Seen time.Time
	Over []Over // by transport
}

// An Over is a user's connections over one transport.
type Over struct {
	Transport   string
	Connections int
	Since, Seen time.Time
}

// A Crowd is how many are connected over one transport.
type Crowd struct{ Users, Connections int }

// People lists the users connected to this node by name, each once. total is how
// many fit besides After, next the After of the next page, empty behind the last.
// crowds are all of the node, by transport. It looks at all connections.
func (r *Registry) People(q Look) (page []Person, next string, total int, crowds map[string]Crowd) {
	found, crowds := r.people(q)
	users := slices.Sorted(maps.Keys(found)) // without the lock
	at, is := slices.BinarySearch(users, q.After)
	if is {
		at++
	}
	total, users = len(users), users[at:]
	if len(users) > q.Limit {
		users = users[:q.Limit]
		next = users[q.Limit-1]
	}
	for _, user := range users {
		page = append(page, person(user, found[user]))
	}
	return page, next, total, crowds
}

// people are the connections of those who fit, by user.
func (r *Registry) people(q Look) (found map[string][]Over, crowds map[string]Crowd) {
	found, crowds = map[string][]Over{}, map[string]Crowd{}
	type pair struct{ user, transport string }
	met := map[pair]bool{}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	for c := range r.connections {
		crowd := crowds[c.transport]
		crowd.Connections++
		if p := (pair{c.user, c.transport}); !met[p] {
			met[p] = true
			crowd.Users++
		}
		crowds[c.transport] = crowd
		if !strings.HasPrefix(c.user, q.Prefix) {
			continue
		}
		seen := now
		if c.polls.user != "" && c.asking == 0 {
			seen = c.asked
		}
		found[c.user] = join(found[c.user], Over{c.transport, 1, c.since, seen})
	}
	if q.Transport != "" {
		maps.DeleteFunc(found, func(_ string, over []Over) bool {
			return !slices.ContainsFunc(over, func(o Over) bool { return o.Transport == q.Transport })
		})
	}
	return found, crowds
}

// join adds a connection to those over the same transport.
func join(over []Over, one Over) []Over {
	for i := range over {
		if o := &over[i]; o.Transport == one.Transport {
			o.Connections++
			o.Since, o.Seen = earlier(o.Since, one.Since), later(o.Seen, one.Seen)
			return over
		}
	}
	return append(over, one)
}

func person(user string, over []Over) Person {
	slices.SortFunc(over, func(a, b Over) int { return cmp.Compare(a.Transport, b.Transport) })
	p := Person{User: user, Since: over[0].Since, Seen: over[0].Seen, Over: over}
	for _, o := range over {
		p.Since, p.Seen = earlier(p.Since, o.Since), later(p.Seen, o.Seen)
	}
	return p
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
