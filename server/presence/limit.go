package presence

import (
	"cmp"
	"slices"
	"time"
)

// settle is after what time a user's streams are counted on all nodes: when those
// that ended meanwhile have been told of, and a node that died is in doubt. Else a
// client that moves to another node would count twice.
const settle = 2 * time.Second

// A waiting is a user whose streams are to be counted.
type waiting struct {
	user string
	at   time.Time
}

// consider has the user's streams counted in a while, if he has some here; under the
// cluster's lock.
func (c *Cluster) consider(user string, now time.Time) {
	if c.streams.Load() == 0 {
		return
	}
	if _, is := c.waiting[user]; is || c.o.Registry.streams(user) == 0 {
		return
	}
	c.waiting[user] = struct{}{}
	c.line = append(c.line, waiting{user, now.Add(settle)})
}

// considerAll considers the users of new connections here who have some elsewhere.
// Those who have none have their streams counted where they begin.
func (c *Cluster) considerAll(came []arrival) {
	now := time.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range came {
		if a := &came[i]; !a.poll && len(c.users[a.user]) > 0 {
			c.consider(a.user, now)
		}
	}
}

// due takes those out whose time has come; under the cluster's lock.
func (c *Cluster) due(now time.Time) (users []string) {
	for len(c.line) > 0 && !now.Before(c.line[0].at) {
		user := c.line[0].user
		delete(c.waiting, user)
		users = append(users, user)
		if c.line = c.line[1:]; len(c.line) == 0 {
			c.line = nil
		}
	}
	return users
}

// enforce ends those of the user's streams here that are too many. Ids say which are
// the oldest, on all nodes alike, so that each ends its own and none has to ask.
func (c *Cluster) enforce(user string, now time.Time) {
	type stream struct {
		id   uint64
		run  string
		here *Connection // nil elsewhere
	}
	var all []stream
	r := c.o.Registry
	r.mu.Lock()
	for _, one := range r.of[user] {
		if one.polls == nil {
			all = append(all, stream{one.id, r.o.Run, one})
		}
	}
	r.mu.Unlock()
	c.mu.RLock()
	for _, one := range c.users[user] {
		if !one.poll && now.Sub(one.peer.heard) <= doubtAfter {
			all = append(all, stream{one.id, one.peer.run, nil})
		}
	}
	c.mu.RUnlock()
	most := int(c.streams.Load())
	if len(all) <= most {
		return
	}
	slices.SortFunc(all, func(a, b stream) int { return cmp.Or(cmp.Compare(b.id, a.id), cmp.Compare(b.run, a.run)) })
	var old []*Connection
	for _, one := range all[most:] {
		if one.here != nil {
			old = append(old, one.here)
		}
	}
	if len(old) > 0 {
		c.supersede(user, old)
	}
}
