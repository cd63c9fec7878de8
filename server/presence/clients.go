package presence

import (
	"cmp"
	"slices"
	"time"
)

// A Client is one connection as Clients tells it.
type Client struct {
	Connection string
	User       string
	Transport  string
	Node       string
	Since      time.Time
	// Subscribed: his inbox is being delivered, up to Position. Both are known only
	// if Placed: another node was asked and has answered.
	Subscribed bool
	Position   uint64
	Placed     bool

	id uint64
}

// Clients lists the connections of this node, of one user or, for "", of all, by
// user, the oldest first.
func (r *Registry) Clients(user string) []Client {
	all := r.clients(user)
	sortClients(all)
	return all
}

func sortClients(all []Client) {
	slices.SortFunc(all, func(a, b Client) int {
		return cmp.Or(cmp.Compare(a.User, b.User), cmp.Compare(a.id, b.id), cmp.Compare(a.Connection, b.Connection))
	})
}

func (r *Registry) clients(user string) (all []Client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	add := func(c *Connection) {
		p := c.place()
		all = append(all, Client{Connection: r.name(c.id), User: c.user, Transport: c.transport, Node: r.o.Node, Since: c.since,
			Subscribed: p.subscribed, Position: p.at, Placed: true, id: c.id})
	}
	r.each(user, add)
	return all
}

// places says how far each of the user's connections is, or of all.
func (r *Registry) places(user string) (all []place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.each(user, func(c *Connection) { all = append(all, c.place()) })
	return all
}

// each needs the lock.
func (r *Registry) each(user string, f func(*Connection)) {
	if user != "" {
		for _, c := range r.of[user] {
			f(c)
		}
		return
	}
	for _, his := range r.of {
		for _, c := range his {
			f(c)
		}
	}
}

// place needs the registry's lock.
func (c *Connection) place() place {
	p := place{id: c.id}
	if c.session != nil {
		p.subscribed = true
		p.at, _ = c.session.position.load()
	}
	return p
}

// seen is when a client was heard of last; under the registry's lock.
func (c *Connection) seen(now time.Time) time.Time {
	if away, since := c.away(); away {
		return since
	}
	return now
}
