package inbox

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// A membership is what a user's groups give him: the audiences he reads.
type membership struct {
	*readership
	user string
	own  *audience // nil until the user's first notice
}

// A readership is what all users with the same groups have in common. It is
// shared between them and never changed.
type readership struct {
	hash   string
	star   bool
	groups []string
	bells  []string // names of the bells of the groups
	routes []*audience
	every  *audience
	set    map[*audience]struct{}

	tracker atomic.Pointer[tracker] // of floods; nil until it is asked for
	twin    atomic.Pointer[twin]    // nil until something was found
}

// maxReaderships is how many readerships are remembered at most.
const maxReaderships = 1 << 14

// readerships remembers those that somebody has asked for since routes or
// memberships changed last. Its own lock serves those who look, who have the
// view's read lock.
type readerships struct {
	mu      sync.Mutex
	version uint64
	of      map[string]*readership // by the groups
}

// membership works out the audiences of a user with these groups besides the
// directory's.
func (s *state) membership(user string, groups []string) *membership {
	all := SortGroups(append(s.groupsOf(user), groups...))
	key := strings.Join(all, "\x00")
	c := &s.readerships
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil || c.version != s.version || len(c.of) >= maxReaderships {
		c.of, c.version = map[string]*readership{}, s.version
	}
	r := c.of[key]
	if r == nil {
		r = s.readership(all)
		c.of[key] = r
	}
	m := &membership{readership: r, user: user}
	m.meet(s)
	return m
}

func (s *state) readership(groups []string) *readership {
	r := &readership{
		hash: GroupsHash(groups), groups: groups, star: slices.Contains(groups, AllGroups),
		every: s.audiences[Everyone], set: map[*audience]struct{}{},
	}
	for _, g := range groups {
		r.bells = append(r.bells, groupBell(g))
	}
	if r.star {
		r.routes = []*audience{s.all}
	} else {
		for _, g := range groups {
			for _, name := range s.byGroup[g] {
				a := s.audiences[RouteAudience(name)]
				if _, twice := r.set[a]; a != nil && !twice {
					r.set[a] = struct{}{}
					r.routes = append(r.routes, a)
				}
			}
		}
	}
	r.set[r.every] = struct{}{}
	return r
}

// meet looks for the user's own audience, which comes with his first notice.
func (m *membership) meet(s *state) {
	if m.own == nil {
		m.own = s.audiences[UserAudience(m.user)]
	}
}

// has says whether the user reads the audience.
func (m *membership) has(a *audience) bool {
	if a == nil {
		return false
	}
	if m.star && a.routed || a == m.own {
		return true
	}
	_, ok := m.set[a]
	return ok
}

// each calls f for every audience of the user.
func (m *membership) each(f func(*audience)) {
	for _, a := range m.routes {
		f(a)
	}
	f(m.every)
	if m.own != nil {
		f(m.own)
	}
}

// bellNames are the bells that ring for the user's entries.
func (m *membership) bellNames() []string {
	return append(append(make([]string, 0, len(m.bells)+2), m.bells...), userBell(m.user), everyoneBell)
}
