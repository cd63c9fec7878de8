package inbox

import (
	"maps"
	"slices"
	"strings"
)

// state is what the log says up to head. The view's goroutine changes it under
// the view's lock; readers look under the read lock.
type state struct {
	bells *bells

	stale   bool // the node has lost touch with the log
	head    uint64
	purged  uint64 // everything below is gone
	epochs  []Epoch
	version uint64 // rises with every change of routes or memberships

	readerships readerships

	records   map[string]*record
	audiences map[Audience]*audience
	all       *audience // every route's entries, for members of AllGroups

	window     []*shown // oldest first
	windowSize int
	windowMax  int
	due        timetable
	trail      trail
	floods     *floods

	devices map[string]device
	routes  map[string]route               // by name
	byGroup map[string][]string            // group → routes
	members map[string]map[string]struct{} // user → groups
	dirSeqs map[string]uint64              // newest sequence of every dir subject

	// unassigned is the route of devices that the directory does not know.
	unassigned string
	openOf     map[string][]*record // open alarms by device
	// misrouted holds the open alarms whose route is not their device's: they
	// wait to be moved.
	misrouted map[*record]struct{}
}

type device struct {
	seq    uint64
	groups []string
	route  string
}

type route struct {
	groups []string
}

// starAudience is the pair of slices of AllGroups; no entry is addressed to it.
const starAudience Audience = "*"

func newState(b *bells, o ViewOptions) *state {
	s := &state{
		bells: b, windowMax: o.Window, trail: trail{max: o.Trail}, floods: &floods{now: o.Now}, unassigned: Route(o.Unassigned),
		records: map[string]*record{}, audiences: map[Audience]*audience{},
		devices: map[string]device{}, routes: map[string]route{}, byGroup: map[string][]string{},
		members: map[string]map[string]struct{}{}, dirSeqs: map[string]uint64{},
		openOf: map[string][]*record{}, misrouted: map[*record]struct{}{},
	}
	s.all = s.audience(starAudience)
	s.audience(Everyone)
	return s
}

// audience returns the state of an audience, made when it is new; nil for
// nobody's.
func (s *state) audience(key Audience) *audience {
	if key == "" {
		return nil
	}
	a := s.audiences[key]
	if a == nil {
		a = &audience{key: key}
		s.audiences[key] = a
		var name string
		if name, a.routed = key.Route(); a.routed {
			s.linkBells(a, s.routes[name].groups)
		}
	}
	return a
}

func (s *state) linkBells(a *audience, groups []string) {
	a.wakes = a.wakes[:0]
	a.wakes = append(a.wakes, s.bells.get(groupBell(AllGroups)))
	for _, g := range groups {
		if g != AllGroups {
			a.wakes = append(a.wakes, s.bells.get(groupBell(g)))
		}
	}
}

// epochAt names the stretch of the log that the sequence lies in.
func (s *state) epochAt(seq uint64) string {
	name := "0"
	for i, p := range s.epochs {
		if i > 0 && p.First > seq {
			break
		}
		name = p.Name
	}
	return name
}

// epochEnd is the first sequence that no longer belongs to the epoch: where the
// next one begins, 0 for none. An epoch that the log does not know was lost with
// the entries written in it, or has been purged; it ends where the first epoch
// with a later name begins.
func (s *state) epochEnd(name string) (end uint64, known bool) {
	for _, p := range s.epochs {
		if p.Name == name {
			known = true
		}
		if p.Name > name {
			return p.First, known
		}
	}
	return 0, known || len(s.epochs) == 0 && name == "0"
}

// markEnd is epochEnd for what was read: where something was lost, what was read
// before that counts on.
func (s *state) markEnd(name string) uint64 {
	for _, p := range s.epochs {
		switch {
		case p.Name <= name:
		case len(p.Lost) > 0:
			return p.Lost[0].First
		default:
			return p.First
		}
	}
	return 0
}

// apply takes the next entry of the log.
func (s *state) apply(e *Entry, data []byte) {
	switch {
	case strings.HasPrefix(e.Subject, prefixAlarm), strings.HasPrefix(e.Subject, prefixNotice):
		s.applyItem(e, data)
	default:
		s.applySystem(e)
	}
	s.head = e.Seq
}

// applySystem takes an entry of the directory or of the system.
func (s *state) applySystem(e *Entry) {
	switch {
	case e.Subject == SubjectEpoch:
		if n := len(s.epochs); n > 0 && s.epochs[n-1].First > e.Seq {
			return // a load may take a step back
		}
		s.epochs = s.epochs[:0]
		for _, p := range e.Epochs {
			if p.First == 0 {
				p.First = e.Seq
			}
			s.epochs = append(s.epochs, p)
		}
	case e.Subject == SubjectPurged:
		s.purge(e.Purged, e.Seq)
	case strings.HasPrefix(e.Subject, prefixDevice):
		s.applyDevice(e)
	case strings.HasPrefix(e.Subject, prefixMember):
		s.applyMember(e)
	case strings.HasPrefix(e.Subject, prefixRoute):
		s.applyRoute(e)
	default:
		return
	}
	if strings.HasPrefix(e.Subject, "dir.") {
		s.dirSeqs[e.Subject] = max(s.dirSeqs[e.Subject], e.Seq)
	}
}

func (s *state) applyDevice(e *Entry) {
	if e.Seq <= s.dirSeqs[e.Subject] {
		return
	}
	t, ok := tokens(e.Subject, prefixDevice, 1)
	if !ok {
		return
	}
	name := t[0]
	if len(e.Groups) == 0 {
		delete(s.devices, name)
	} else {
		s.devices[name] = device{seq: e.Seq, groups: e.Groups, route: Route(e.Groups)}
	}
	for _, r := range s.openOf[name] {
		s.checkRoute(r, name)
	}
}

func (s *state) applyRoute(e *Entry) {
	t, ok := tokens(e.Subject, prefixRoute, 1)
	if !ok {
		return
	}
	name := t[0]
	if _, known := s.routes[name]; known {
		return // a route's groups are in its name and never change
	}
	s.routes[name] = route{groups: e.Groups}
	for _, g := range e.Groups {
		s.byGroup[g] = append(s.byGroup[g], name)
	}
	s.linkBells(s.audience(RouteAudience(name)), e.Groups)
	s.version++
}

func (s *state) applyMember(e *Entry) {
	if e.Seq <= s.dirSeqs[e.Subject] {
		return
	}
	t, ok := tokens(e.Subject, prefixMember, 2)
	if !ok {
		return
	}
	group, user := t[0], t[1]
	s.version++
	if e.Active {
		if s.members[user] == nil {
			s.members[user] = map[string]struct{}{}
		}
		s.members[user][group] = struct{}{}
		return
	}
	delete(s.members[user], group)
	if len(s.members[user]) == 0 {
		delete(s.members, user)
	}
}

// groupsOf lists the user's groups in the directory, sorted.
func (s *state) groupsOf(user string) []string {
	return slices.Sorted(maps.Keys(s.members[user]))
}
