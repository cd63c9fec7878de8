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

// A Person is a user who is connected.
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
	Nodes       []string // by name; not to be changed
}

// A Crowd is how many are connected over one transport.
type Crowd struct{ Users, Connections int }

// People lists the users connected to this node by name, each once. total is how
// many fit besides After, next the After of the next page, empty behind the last.
// crowds are all of the node, by transport. It looks at all connections.
func (r *Registry) People(q Look) (page []Person, next string, total int, crowds map[string]Crowd) {
	c := newCensus(q)
	r.count(c)
	return c.page()
}

// A census counts connections, by user and by transport.
type census struct {
	q      Look
	found  map[string][]Over // those who fit
	crowds map[string]Crowd  // all
	met    map[visitor]struct{}
}

type visitor struct{ user, transport string }

func newCensus(q Look) *census {
	return &census{q: q, found: map[string][]Over{}, crowds: map[string]Crowd{}, met: map[visitor]struct{}{}}
}

func (c *census) add(user string, one Over) {
	crowd := c.crowds[one.Transport]
	crowd.Connections++
	v := visitor{user, one.Transport}
	if _, met := c.met[v]; !met {
		c.met[v] = struct{}{}
		crowd.Users++
	}
	c.crowds[one.Transport] = crowd
	if strings.HasPrefix(user, c.q.Prefix) {
		c.found[user] = join(c.found[user], one)
	}
}

// count counts this node's connections.
func (r *Registry) count(all *census) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	r.each("", func(c *Connection) { all.add(c.user, Over{c.transport, 1, c.since, c.seen(now), r.here}) })
}

// page is what was asked for.
func (c *census) page() (page []Person, next string, total int, crowds map[string]Crowd) {
	if c.q.Transport != "" {
		maps.DeleteFunc(c.found, func(_ string, over []Over) bool {
			return !slices.ContainsFunc(over, func(o Over) bool { return o.Transport == c.q.Transport })
		})
	}
	users := slices.Sorted(maps.Keys(c.found))
	at, is := slices.BinarySearch(users, c.q.After)
	if is {
		at++
	}
	total, users = len(users), users[at:]
	if len(users) > c.q.Limit {
		users = users[:c.q.Limit]
		next = users[c.q.Limit-1]
	}
	for _, user := range users {
		page = append(page, person(user, c.found[user]))
	}
	return page, next, total, c.crowds
}

// join adds a connection to those over the same transport.
func join(over []Over, one Over) []Over {
	for i := range over {
		if o := &over[i]; o.Transport == one.Transport {
			o.Connections++
			o.Since, o.Seen = earlier(o.Since, one.Since), later(o.Seen, one.Seen)
			o.Nodes = both(o.Nodes, one.Nodes)
			return over
		}
	}
	return append(over, one)
}

// both has the names of both, by name; the lists are shared, so it changes neither.
func both(a, b []string) []string {
	all := a
	for _, name := range b {
		if at, has := slices.BinarySearch(all, name); !has {
			all = slices.Insert(slices.Clone(all), at, name)
		}
	}
	return all
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
