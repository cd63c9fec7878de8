package inbox

import "slices"

// What the directory and the worker ask of a view. Answers are copies, of what
// the log said up to the head.

// Device returns the groups of a device; known is false when the directory does
// not have it and its alarms go to the unassigned groups.
func (v *View) Device(name string) (groups []string, known bool) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	d, known := v.s.devices[name]
	return slices.Clone(d.groups), known
}

// HasRoute says whether the log has an entry for the route.
func (v *View) HasRoute(name string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	_, ok := v.s.routes[name]
	return ok
}

// UserGroups returns the groups that the directory gives the user, sorted.
func (v *View) UserGroups(user string) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.groupsOf(user)
}

// DirectorySeq is the sequence of the newest entry of a dir subject, 0 for none.
func (v *View) DirectorySeq(subject string) uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.dirSeqs[subject]
}

// Misrouted lists up to limit subjects of open alarms that wait to be moved to
// their device's route. The channel of MisroutedC has something once there are
// any.
func (v *View) Misrouted(limit int) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var subjects []string
	for r := range v.s.misrouted {
		if len(subjects) == limit {
			break
		}
		subjects = append(subjects, r.subject)
	}
	slices.Sort(subjects)
	return subjects
}

// MisroutedC has one slot, filled whenever Misrouted may have something.
func (v *View) MisroutedC() <-chan struct{} { return v.misrouted }

// Held says whether an alarm is kept from readers until it has been moved, be it
// to where it is: its device may have come back meanwhile.
func (v *View) Held(subject string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := v.s.records[subject]
	return r != nil && r.held
}

// Visible says whether an item belongs to the inbox of the user with these
// groups besides the directory's.
func (v *View) Visible(user string, groups []string, subject string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := v.s.records[subject]
	if r == nil || r.home == nil || r.held {
		return false
	}
	return v.s.membership(user, groups).has(r.home)
}

// Epoch names the stretch of the log that the sequence lies in.
func (v *View) Epoch(seq uint64) string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.epochAt(seq)
}

// RouteGroups returns the groups of a route, sorted; nil when there is none such.
func (v *View) RouteGroups(name string) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return slices.Clone(v.s.routes[name].groups)
}

// Members lists the users to whom the directory gives one of the groups, sorted.
// It looks at all users.
func (v *View) Members(groups ...string) []string {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var users []string
	for user, his := range v.s.members {
		for _, g := range groups {
			if _, is := his[g]; is {
				users = append(users, user)
				break
			}
		}
	}
	slices.Sort(users)
	return users
}

// HasRead says whether the user's read marks cover what the subject announced
// last.
func (v *View) HasRead(user, subject string) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	r := v.s.records[subject]
	return r != nil && v.mark(user).reads(r)
}

// CountsOf returns the counters of a user with these groups besides the
// directory's.
func (v *View) CountsOf(user string, groups []string) Counts {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.counts(v.s.membership(user, groups), v.mark(user))
}
