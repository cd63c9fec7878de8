package alarm

import (
	"context"
	"errors"
	"strconv"
	"time"

	"tocsin/server/inbox"
)

// Limits of one History.
const (
	MaxHistory     = 1000 // entries
	DefaultHistory = 100
)

// Get returns an alarm that the user may see: the present occurrence, or a
// former one as it was last, which is Superseded. Errors: ErrNotFound, those of
// the log.
func (e *Engine) Get(ctx context.Context, user string, groups []string, id string) (Alarm, error) {
	e.o.View.CatchUp(ctx)
	subject, tag, err := e.visible(user, groups, id)
	if err != nil {
		return Alarm{}, err
	}
	p, err := e.fromView(ctx, subject)
	switch {
	case err != nil:
		return Alarm{}, err
	case !p.has():
		return Alarm{}, ErrNotFound
	case p.entry.Tag == tag:
		return p.body.Alarm, nil
	case !p.former(tag):
		return Alarm{}, ErrNotFound
	}
	var last inbox.Entry
	for from, more := uint64(0), true; more; from = last.Seq + 1 {
		var entries []inbox.Entry
		if entries, more, err = e.entries(ctx, user, groups, subject, tag, from, MaxHistory); err != nil {
			return Alarm{}, err
		}
		if len(entries) == 0 {
			break
		}
		last = entries[len(entries)-1]
	}
	if last.Seq == 0 {
		return Alarm{}, ErrNotFound // purged
	}
	b, err := decode(&last)
	b.Alarm.Superseded = true
	return b.Alarm, err
}

// A Change is what happened to one occurrence of an alarm, as its history tells.
type Change struct {
	Seq  uint64
	Time time.Time
	// Type is that of the entry; empty where nothing changed: a late or orphaned
	// report, a second acknowledgement.
	Type   string
	Status string // of the outcome
	By     string // empty where that is not known
	Note   string
	Quiet  bool   // readers were not told of it when it came
	Alarm  []byte // as it was then, as JSON
}

// AppendJSON writes the change as an object.
func (c *Change) AppendJSON(to []byte) []byte {
	b := append(text(to), '{')
	b.number("seq", c.Seq)
	if c.Type != "" {
		b.string("type", c.Type)
	}
	b.time("time", c.Time)
	if c.By != "" {
		b.string("by", c.By)
	}
	if c.Note != "" {
		b.string("note", c.Note)
	}
	b.string("status", c.Status)
	b.bool("quiet", c.Quiet)
	b.key("alarm")
	b = append(b, c.Alarm...)
	return append(b, '}')
}

// History returns what happened to one occurrence that the user may see, oldest
// first, at most limit changes, from 1 to MaxHistory. after is empty for the
// beginning, or the next that the call before returned, which is empty at the
// end. What only keeps the log in order is left out, so that a call may return
// fewer than there is room for, even none. Errors: ErrNotFound, a FieldError,
// those of the log.
func (e *Engine) History(ctx context.Context, user string, groups []string, id, after string, limit int) (changes []Change, next string, err error) {
	if limit < 1 || limit > MaxHistory {
		return nil, "", inbox.Fieldf("limit", "want 1 to %d, not %d", MaxHistory, limit)
	}
	var from uint64
	if after != "" {
		if from, err = strconv.ParseUint(after, 10, 64); err != nil || from == 0 {
			return nil, "", inbox.Fieldf("after", "want the next of an earlier answer, not %.40q", after)
		}
	}
	e.o.View.CatchUp(ctx)
	subject, tag, err := e.visible(user, groups, id)
	if err != nil {
		return nil, "", err
	}
	// A page but the first begins with the last entry of the page before: whether
	// something changed shows in comparison.
	most := limit
	if from > 0 {
		most++
	}
	entries, more, err := e.entries(ctx, user, groups, subject, tag, from, most)
	if err != nil {
		return nil, "", err
	}
	if len(entries) > limit && entries[0].Seq != from { // which was purged since
		entries, more = entries[:limit], true
	}
	if len(entries) == 0 && after == "" {
		return nil, "", ErrNotFound
	}
	rev := uint64(0)
	for i := range entries {
		n := &entries[i]
		if n.Seq != from && n.Status != StatusRenewed && n.Status != StatusWatched {
			c, err := changeOf(n, rev)
			if err != nil {
				return nil, "", err
			}
			changes = append(changes, c)
		}
		rev = n.Rev
	}
	if more {
		next = strconv.FormatUint(entries[len(entries)-1].Seq, 10)
	}
	return changes, next, nil
}

// entries reads the log's entries of one occurrence.
func (e *Engine) entries(ctx context.Context, user string, groups []string, subject, tag string, from uint64, limit int) ([]inbox.Entry, bool, error) {
	entries, more, err := e.o.View.History(ctx, user, groups, subject, tag, from, limit)
	if errors.Is(err, inbox.ErrNotFound) {
		err = ErrNotFound
	}
	return entries, more, err
}

// changeOf reads an entry that follows one of the revision rev, 0 for none.
func changeOf(n *inbox.Entry, rev uint64) (Change, error) {
	b, err := decode(n)
	c := Change{Seq: n.Seq, Status: n.Status, Quiet: n.Quiet, Alarm: Text(n.Body)}
	unasked := n.Status == StatusOrphan || n.Status == StatusLate
	if !unasked && n.Rev != rev {
		c.Time, c.Type, c.By, c.Note = b.Time, b.Type, b.By, b.Note
		return c, err
	}
	// The body is that of the entry before.
	if c.Time = n.Stored; unasked {
		c.By = byIngest
	}
	return c, err
}
