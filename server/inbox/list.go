package inbox

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
)

// The states that a list is asked for.
const (
	ListActive  = "active"  // active or unacknowledged
	ListUnacked = "unacked" // not acknowledged
	ListAll     = "all"     // every alarm that is known
)

// Limits of lists.
const (
	MaxList     = 1000 // alarms on a page
	DefaultList = 100
	MaxListText = 256 // characters of Query.Text

	// A page that filters looks at so many alarms, and reads so many of them from
	// the log, before it says that there is more.
	listLooks = 200_000
	listReads = 1000
)

// ErrListing: the pages of a list no longer fit together: so much has changed
// since the first one, or the user's groups have, or the node has loaded its view
// again. Begin again without Query.After.
var ErrListing = errors.New("the list has changed too much since its first page: begin again")

// A Query says which alarms to list. Its zero value is everything open.
type Query struct {
	// State is ListActive, ListUnacked or ListAll; empty is ListActive.
	State string
	// SeverityMin leaves out what is less severe; 0 leaves out nothing.
	// Indeterminate counts as minor.
	SeverityMin Severity
	// Device and Type, unless empty, are those of the alarms wanted; Group is one
	// that they are routed to. Text is found in device, type, qualifier, message
	// or a value of attrs, whatever the case; at most MaxListText characters.
	Device, Group, Type, Text string
	// After is the Next of the page before; empty for the first page. The rest of
	// the query must be the same on every page.
	After string
	// Limit is how many alarms a page has at most, 1 to MaxList; 0 is DefaultList.
	Limit int
}

// A Listing is one page of a list.
type Listing struct {
	// Bodies are those of the alarms' newest entries, in order.
	Bodies [][]byte
	// Total is how many alarms there are now with this state, severity and group,
	// whatever the other filters.
	Total int
	// Next is the After of the next page, empty at the end. A page may be short, or
	// empty, and have one.
	Next string
	// Cursor is the inbox cursor as of the first page: who reads the stream from
	// it misses nothing that was told since the list was begun.
	Cursor string
}

// List lists the alarms of the user's inbox; groups are those he has besides the
// directory's. What nobody has acknowledged comes first, then what is active, then
// the worst (indeterminate beside minor), then what was raised or escalated last.
//
// Pages stay as the list was when the first one was taken: an alarm that was in it
// then and still matches the query is listed exactly once, at its place of then and
// in its state of now. One that no longer matches is left out; one that came, or
// began to match, since then is not listed, the stream tells it.
//
// Errors: ErrListing; a FieldError on state, severity_min, limit, q or after; those
// of a Source; the context's.
func (v *View) List(ctx context.Context, user string, groups []string, q Query) (Listing, error) {
	t, err := q.check()
	if err != nil {
		return Listing{}, err
	}
	v.CatchUp(ctx)
	if err := v.awaitListed(ctx, t.head); err != nil {
		return Listing{}, err
	}
	w := &walk{v: v, user: user, groups: groups, q: q, t: t, text: strings.ToLower(q.Text)}
	var l Listing
	if l.Total, l.Cursor, err = w.begin(); err != nil {
		return Listing{}, err
	}
	for {
		found, more, err := w.next(ctx, q.Limit+1-len(l.Bodies))
		if err != nil {
			return Listing{}, err
		}
		for i := range found {
			if len(l.Bodies) == q.Limit {
				l.Next = w.shown.String() // of the last one that fits
				return l, nil
			}
			l.Bodies = append(l.Bodies, found[i].body)
			w.shown.at(found[i].key, found[i].subject)
		}
		if !more {
			return l, nil
		}
		if w.looks >= listLooks || w.reads >= listReads {
			l.Next = w.t.String()
			return l, nil
		}
	}
}

// check fills in defaults and reads After.
func (q *Query) check() (t listToken, err error) {
	if q.State == "" {
		q.State = ListActive
	}
	if q.Limit == 0 {
		q.Limit = DefaultList
	}
	switch {
	case !slices.Contains([]string{ListActive, ListUnacked, ListAll}, q.State):
		return t, Fieldf("state", "active, unacked or all, not %q", q.State)
	case q.SeverityMin > Critical:
		return t, Fieldf("severity_min", "critical, major, minor, warning or indeterminate")
	case q.Limit < 1 || q.Limit > MaxList:
		return t, Fieldf("limit", "1 to %d, not %d", MaxList, q.Limit)
	}
	if err := CheckText("q", q.Text, 0, MaxListText); err != nil {
		return t, err
	}
	if q.After == "" {
		return listToken{query: q.hash()}, nil
	}
	if t, err = parseListToken(q.After); err != nil {
		return t, err
	}
	if t.query != q.hash() {
		return t, Fieldf("after", "it belongs to a list with other filters")
	}
	return t, nil
}

// hash tells lists with other filters apart.
func (q *Query) hash() string {
	h := fnv.New32a()
	_, _ = fmt.Fprintf(h, "%s %d %q %q %q %q", q.State, q.SeverityMin, q.Device, q.Group, q.Type, q.Text)
	return strconv.FormatUint(uint64(h.Sum32()), 36)
}

// spans are the stretches of keys that the state and the severity take, in order.
func (q *Query) spans() (list []span) {
	for class := range uint64(4) { // acked, inactive
		if q.State == ListUnacked && class > 1 || q.State == ListActive && class > 2 {
			break
		}
		from := class << 62
		list = append(list, span{from, from + (lowestRank(q.SeverityMin)+1)<<rankShift})
	}
	return list
}

// A span is a stretch of keys, without its end.
type span struct{ from, end uint64 }

func (s span) has(key uint64) bool { return key >= s.from && key < s.end }

// awaitListed waits for the head at which another node began the list.
func (v *View) awaitListed(ctx context.Context, head uint64) error {
	if head <= v.Head() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, staleAfter)
	defer cancel()
	bounds, err := v.log.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("ask for the end of the log: %w", err)
	}
	if head > bounds.Last {
		return ErrListing // the log has lost it
	}
	return v.Wait(ctx, head)
}

// A listToken is where a page ends, in a list that was begun at the head.
type listToken struct {
	epoch   string // of head
	head    uint64
	member  string // hash of the user's groups
	query   string // hash of the filters
	key     uint64 // of the last alarm that was looked at
	subject string // its subject
}

const listTokenVersion = "1"

func (t *listToken) at(key uint64, subject string) { t.key, t.subject = key, subject }

func (t *listToken) String() string {
	return strings.Join([]string{
		listTokenVersion, t.epoch, strconv.FormatUint(t.head, 36), t.member, t.query,
		strconv.FormatUint(t.key, 36), t.subject,
	}, "~")
}

func parseListToken(s string) (t listToken, err error) {
	none := Fieldf("after", "not the next of a list of this server")
	p := strings.Split(s, "~")
	if len(p) != 7 || p[0] != listTokenVersion || !isToken(p[1]) || !isToken(p[3]) {
		return t, none
	}
	t = listToken{epoch: p[1], member: p[3], query: p[4], subject: p[6]}
	var bad error
	if t.head, bad = strconv.ParseUint(p[2], 36, 64); bad != nil || t.head == 0 {
		return t, none
	}
	if t.key, bad = strconv.ParseUint(p[5], 36, 64); bad != nil {
		return t, none
	}
	if _, _, _, ok := ParseAlarmSubject(t.subject); !ok || t.String() != s {
		return t, none
	}
	return t, nil
}
