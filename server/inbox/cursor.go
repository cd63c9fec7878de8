package inbox

import (
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// Reserved cursors.
const (
	// Latest starts after what is stored now.
	Latest = "latest"
	// Earliest starts with the oldest entry that is kept.
	Earliest = "earliest"
)

// MaxCursor is the longest text, in bytes, that ParseCursor looks at.
const MaxCursor = 64

// ErrCursor: a text that is no cursor of this server.
var ErrCursor = errors.New("not a cursor: want earliest, latest, or what an earlier answer gave, 1 to 64 of [A-Za-z0-9._~-]")

// A Cursor is a position in a user's inbox: everything at or below Seq has been
// seen. Clients treat its text as opaque.
type Cursor struct {
	// Epoch names the stretch of the log that Seq lies in.
	Epoch string
	Seq   uint64
	// Groups is GroupsHash of the user's groups when the cursor was made.
	Groups string
	// Mode is what is being served up to End; Plain has no End.
	Mode Mode
	End  uint64
}

// Mode is the filter under which a cursor reads.
type Mode byte

const (
	// Plain: every entry.
	Plain Mode = 0
	// CatchUp: the newest entry of everything that changed, up to End.
	CatchUp Mode = 'c'
	// Snapshot: the newest entry of everything open, up to End.
	Snapshot Mode = 's'
)

// String writes the cursor: epoch.seq.groups, and .mode+end where there is one;
// numbers in base 36.
func (c Cursor) String() string { return string(c.append(make([]byte, 0, MaxCursor))) }

func (c Cursor) append(b []byte) []byte {
	b = append(b, c.Epoch...)
	b = append(b, '.')
	b = strconv.AppendUint(b, c.Seq, 36)
	b = append(b, '.')
	b = append(b, c.Groups...)
	if c.Mode != Plain {
		b = append(b, '.', byte(c.Mode))
		b = strconv.AppendUint(b, c.End, 36)
	}
	return b
}

// ParseCursor reads what String wrote. It does not know the reserved words.
func ParseCursor(s string) (Cursor, error) {
	if s == "" || len(s) > MaxCursor {
		return Cursor{}, ErrCursor
	}
	parts := strings.Split(s, ".")
	if len(parts) != 3 && len(parts) != 4 || !isToken(parts[0]) || !isToken(parts[2]) {
		return Cursor{}, ErrCursor
	}
	c := Cursor{Epoch: parts[0], Groups: parts[2]}
	var err error
	if c.Seq, err = strconv.ParseUint(parts[1], 36, 64); err != nil {
		return Cursor{}, ErrCursor
	}
	if len(parts) == 4 {
		p := parts[3]
		if len(p) < 2 || p[0] != byte(CatchUp) && p[0] != byte(Snapshot) {
			return Cursor{}, ErrCursor
		}
		c.Mode = Mode(p[0])
		if c.End, err = strconv.ParseUint(p[1:], 36, 64); err != nil || c.End < c.Seq {
			return Cursor{}, ErrCursor
		}
	}
	if c.String() != s {
		return Cursor{}, ErrCursor
	}
	return c, nil
}

// isToken says whether s is one or more of [A-Za-z0-9].
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z') {
			return false
		}
	}
	return s != ""
}

// GroupsHash is a short hash of a set of groups; the order does not matter.
func GroupsHash(groups []string) string {
	sorted := slices.Clone(groups)
	slices.Sort(sorted)
	h := fnv.New64a()
	for _, g := range slices.Compact(sorted) {
		h.Write([]byte(g))
		h.Write([]byte{0})
	}
	s := strconv.FormatUint(h.Sum64(), 36)
	if len(s) > 9 {
		s = s[:9]
	}
	return s
}
