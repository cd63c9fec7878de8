package page

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// How a page reads: step entries at once, and of what follows the cursor at most
// stepsSince times as many; the rest comes with the next refresh, soon.
const (
	step       = 1000
	stepsSince = 20
)

// A listing is what a page tells.
type listing struct {
	rows   map[string]*row // by identity
	cursor string          // after all of it
	counts inbox.Counts
	gap    *inbox.Gap
	// lost: the cursor was none.
	lost bool
	// first: there was no cursor to come back to, so nothing is marked.
	first bool
	// more: there is more to mark, which the next refresh brings.
	more bool
	// told is what was read last of the inbox, followed that everything after from
	// was read, and passed the place of the last open item that was left out.
	told         inbox.Reach
	followed     bool
	from, passed uint64
}

// A row is an alarm or a notice in its newest state.
type row struct {
	entry
	at   uint64 // its place in the inbox
	mark mark   // what became of it since the cursor
	gone bool   // no longer the user's
}

// list reads what is open, and then what follows the cursor, so that the listing
// is complete up to the cursor that it ends with.
func (o *Options) list(ctx context.Context, c transports.Client, cursor string) (*listing, error) {
	l := &listing{rows: map[string]*row{}, first: !transports.IsPlace(cursor)}
	if err := l.readOpen(ctx, o, c); err != nil || l.first {
		return l, err
	}
	err := l.readSince(ctx, o, c, cursor)
	if errors.Is(err, inbox.ErrCursor) {
		l.lost, l.first, err = true, true, nil
	}
	return l, err
}

// readOpen takes the newest of what is open. All of it is passed, for the order
// of an inbox is ascending, but only what may be shown is decoded.
func (l *listing) readOpen(ctx context.Context, o *Options, c transports.Client) error {
	s := transports.Session{Expires: c.Expires}
	var err error
	if s.Reader, err = o.View.Open(c.User, c.Groups, inbox.Start{Snapshot: true}); err != nil {
		return err
	}
	defer s.Reader.Close()
	var newest []found
	for {
		p, err := transports.Once(ctx, s, step, o.Limits)
		if err != nil {
			return err
		}
		for i := max(0, len(p.Items)-o.Rows); i < len(p.Items); i++ {
			newest = append(newest, found{p.Items[i].At, p.Items[i].AppendJSON(nil)})
		}
		if n := len(newest) - o.Rows; n > 0 {
			l.passed = newest[n-1].at
		} else if n := len(p.Items) - o.Rows; n > 0 {
			l.passed = p.Items[n-1].At
		}
		newest = slices.Clone(newest[max(0, len(newest)-o.Rows):])
		l.cursor, l.counts, l.told = p.Cursor, p.Counts, p.Reach(len(p.Items))
		// What follows the snapshot may never end; it is for readSince, if at all.
		if at, err := inbox.ParseCursor(p.Cursor); !p.More || err == nil && at.Mode == inbox.Plain {
			break
		}
	}
	for _, f := range newest {
		if err := l.apply(f, false); err != nil {
			return err
		}
	}
	if o.Delivered != nil && l.first && len(newest) > 0 {
		o.Delivered(len(newest))
	}
	return nil
}

// readSince takes what follows the cursor, and marks it.
func (l *listing) readSince(ctx context.Context, o *Options, c transports.Client, cursor string) error {
	s := transports.Session{Expires: c.Expires, Delivered: o.Delivered, Place: cursor}
	var err error
	if s.Reader, err = o.View.Open(c.User, c.Groups, inbox.Start{Cursor: cursor}); err != nil {
		return err
	}
	defer s.Reader.Close()
	for i := range stepsSince {
		p, err := transports.Once(ctx, s, step, o.Limits)
		if err != nil {
			return err
		}
		if r := p.Reach(len(p.Items)); i == 0 {
			l.followed, l.from = true, r.From
		}
		if p.Gap != nil {
			l.gap = p.Gap
			l.followed = l.followed && p.Gap.Reason == inbox.GapCompacted
		}
		// After a gap that starts over everything is told again: nothing is new.
		marked := l.gap == nil || l.gap.Reason == inbox.GapCompacted
		for j := range p.Items {
			if err := l.apply(found{p.Items[j].At, p.Items[j].AppendJSON(nil)}, marked); err != nil {
				return err
			}
		}
		l.cursor, l.counts, l.more, l.told = p.Cursor, p.Counts, p.More, p.Reach(len(p.Items))
		if !p.More {
			break
		}
	}
	return nil
}

// A found is an entry's text and its place.
type found struct {
	at   uint64
	text []byte
}

// apply puts an entry into the listing. A state that is older than the row's
// changes only its mark.
func (l *listing) apply(f found, marked bool) error {
	e, err := decode(f.text)
	if err != nil {
		return err
	}
	key := e.identity()
	if key == "" {
		return nil // of a later version
	}
	typ := e.Type
	r := l.rows[key]
	switch {
	case r == nil:
		r = &row{}
		l.rows[key] = r
	case e.rev() < r.rev():
		e = r.entry
	}
	r.gone = e.Type == typeRemoved
	r.entry, r.at = e, max(r.at, f.at)
	if marked && r.mark != markNew {
		r.mark = markOf(typ)
	}
	return nil
}

// reach is what a page of so many rows has shown: what followed the cursor, and
// what is open. What did not fit, and what came before it, was not shown.
func (l *listing) reach(rows int) inbox.Reach {
	r := l.told
	if r.Partial {
		return r
	}
	r.From, r.Snapshot = r.To, true
	if l.followed {
		r.From = min(l.from, r.To)
	}
	var places []uint64
	for _, row := range l.rows {
		if !row.gone {
			places = append(places, row.at)
		}
	}
	hidden := l.passed
	if len(places) > rows {
		slices.Sort(places)
		hidden = max(hidden, places[len(places)-rows-1])
	}
	if hidden > 0 {
		r.Snapshot = false
		if r.From = r.To; l.followed {
			r.From = min(max(l.from, hidden), r.To)
		}
	}
	return r
}

// newest are the rows to show: those told last, the latest raised first.
func (l *listing) newest(most int) []*row {
	var rows []*row
	for _, r := range l.rows {
		if !r.gone {
			rows = append(rows, r)
		}
	}
	slices.SortFunc(rows, func(a, b *row) int { return cmp.Compare(b.at, a.at) })
	rows = rows[:min(len(rows), most)]
	slices.SortStableFunc(rows, func(a, b *row) int { return b.came().Compare(a.came()) })
	return rows
}
