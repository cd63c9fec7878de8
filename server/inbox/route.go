package inbox

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// AllGroups is the group whose members see every route.
const AllGroups = "*"

// SortGroups returns the groups sorted, each once.
func SortGroups(groups []string) []string {
	sorted := slices.Clone(groups)
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// Route names a set of groups: g-<group> for one, s-<hash> for several, empty
// for none. The order of the groups does not matter.
func Route(groups []string) string {
	groups = SortGroups(groups)
	switch len(groups) {
	case 0:
		return ""
	case 1:
		return "g-" + groups[0]
	}
	h := sha256.New()
	for _, g := range groups {
		h.Write([]byte(g))
		h.Write([]byte{0})
	}
	return "s-" + hex.EncodeToString(h.Sum(nil)[:12])
}
