package inbox

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
)

// Limits of a Browse.
const (
	DefaultBrowse = 100
	MaxBrowse     = 1000
)

// A Browse says which names of the directory are wanted.
type Browse struct {
	// Prefix is how they begin, Group a group that they have; empty for any.
	Prefix, Group string
	// After is the last name of the page before; empty begins with the first.
	After string
	// Limit is at most so many, at least 1.
	Limit int
}

// A Named is a device or a user with its groups, sorted.
type Named struct {
	Name   string
	Groups []string
}

// Devices lists devices of the directory by name. total is how many fit besides
// After, next the After of the next page, empty behind the last. It looks at all
// devices.
func (v *View) Devices(q Browse) (page []Named, next string, total int) {
	return v.browse(q, func(s *state) iter.Seq[string] { return maps.Keys(s.devices) }, func(s *state, name string) []string {
		return s.devices[name].groups
	})
}

// Users lists the users to whom the directory gives groups, as Devices does.
func (v *View) Users(q Browse) (page []Named, next string, total int) {
	return v.browse(q, func(s *state) iter.Seq[string] { return maps.Keys(s.members) }, (*state).groupsOf)
}

func (v *View) browse(q Browse, names func(*state) iter.Seq[string], groups func(*state, string) []string) (page []Named, next string, total int) {
	found := v.named(q, names, groups)
	slices.Sort(found) // while the view goes on
	total = len(found)
	at, is := slices.BinarySearchFunc(found, q.After, cmp.Compare[string])
	if is {
		at++
	}
	found = found[at:]
	if len(found) > q.Limit {
		found = found[:q.Limit]
		next = found[q.Limit-1]
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	for _, name := range found {
		// What has been deleted meanwhile has no groups.
		if his := groups(v.s, name); len(his) > 0 {
			page = append(page, Named{name, slices.Clone(his)})
		}
	}
	return page, next, total
}

// named are all the names that fit, in no order.
func (v *View) named(q Browse, names func(*state) iter.Seq[string], groups func(*state, string) []string) (found []string) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for name := range names(v.s) {
		if strings.HasPrefix(name, q.Prefix) && (q.Group == "" || slices.Contains(groups(v.s, name), q.Group)) {
			found = append(found, name)
		}
	}
	return found
}
