package inbox

import "slices"

// A membership is what a user's groups give him: the audiences he reads.
type membership struct {
	user   string
	hash   string
	star   bool
	groups []string
	routes []*audience
	own    *audience // nil until the user's first notice
	every  *audience
	set    map[*audience]struct{}

	tracker *tracker // of floods; nil until it is asked for
}

// membership works out the audiences of a user with these groups besides the
// directory's.
func (s *state) membership(user string, groups []string) *membership {
	all := SortGroups(append(s.groupsOf(user), groups...))
	m := &membership{
		user: user, hash: GroupsHash(all), groups: all,
		every: s.audiences[Everyone], set: map[*audience]struct{}{},
	}
	m.star = slices.Contains(all, AllGroups)
	if m.star {
		m.routes = []*audience{s.all}
	} else {
		for _, g := range all {
			for _, name := range s.byGroup[g] {
				a := s.audiences[RouteAudience(name)]
				if _, twice := m.set[a]; a != nil && !twice {
					m.set[a] = struct{}{}
					m.routes = append(m.routes, a)
				}
			}
		}
	}
	m.set[m.every] = struct{}{}
	m.meet(s)
	return m
}

// meet looks for the user's own audience, which comes with his first notice.
func (m *membership) meet(s *state) {
	if m.own == nil {
		if m.own = s.audiences[UserAudience(m.user)]; m.own != nil {
			m.set[m.own] = struct{}{}
		}
	}
}

// has says whether the user reads the audience.
func (m *membership) has(a *audience) bool {
	if a == nil {
		return false
	}
	if m.star && a.routed {
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
	names := make([]string, 0, len(m.groups)+2)
	for _, g := range m.groups {
		names = append(names, groupBell(g))
	}
	return append(names, userBell(m.user), everyoneBell)
}
