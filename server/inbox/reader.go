package inbox

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
)

// A Gap tells a reader that he cannot be served as asked, and how it is
// repaired (docs/protocol.md §8).
type Gap struct {
	Reason GapReason
	// From is the cursor that could not be served.
	From string
}

// GapReason says why.
type GapReason string

// The reasons of a gap. After Compacted the newest entry of everything that
// changed since follows; after the others everything open, from the beginning.
const (
	GapExpired    GapReason = "expired"    // the log no longer reaches back so far
	GapEpoch      GapReason = "epoch"      // the log lost what the cursor had seen
	GapMembership GapReason = "membership" // the user's groups have changed
	GapCompacted  GapReason = "compacted"  // single entries have left the window
)

// AppendJSON writes the gap as an object.
func (g *Gap) AppendJSON(b []byte) []byte {
	repair := "snapshot"
	if g.Reason == GapCompacted {
		repair = "newest"
	}
	b = append(b, `{"reason":"`...)
	b = append(b, g.Reason...)
	b = append(b, `","from":`...)
	b = AppendString(b, g.From)
	b = append(b, `,"lost":null,"repair":"`...)
	b = append(b, repair...)
	return append(b, `"}`...)
}

// An Item is one entry as a reader gets it.
type Item struct {
	// At is its place in the reader's inbox: the cursor after it. In a catch-up
	// or a snapshot that is below the entry's own sequence where quiet changes
	// followed.
	At  uint64
	seq uint64
	// body is the entry without its seq; shared, never changed.
	body []byte
}

// AppendJSON writes the entry.
func (i *Item) AppendJSON(b []byte) []byte {
	b = append(b, `{"seq":`...)
	b = strconv.AppendUint(b, i.seq, 10)
	if len(i.body) > 2 {
		b = append(b, ',')
	}
	return append(b, i.body[1:]...)
}

// Seq is the entry's place in the log.
func (i *Item) Seq() uint64 { return i.seq }

// Body is the entry's JSON object without its seq. It is shared, must not be
// changed, and may be kept.
func (i *Item) Body() []byte { return i.body }

// IsNotice says that the entry is a notice, and about no alarm.
func (i *Item) IsNotice() bool { return bytes.HasPrefix(i.body, aNotice) }

// aNotice begins the body of a notice.
var aNotice = []byte(`{"type":"notice"`)

// Size is about how long AppendJSON's text is, in bytes.
func (i *Item) Size() int { return len(i.body) + 16 }

// A Batch is what a reader gets at once. Its Items are valid until the reader's
// next call.
type Batch struct {
	// Gap comes before the items; nil for none.
	Gap   *Gap
	Items []Item
	// Cursor is where the reader stands after the items; without any, it is what
	// the reader came with.
	Cursor string
	// More says that further items are there already.
	More   bool
	Counts Counts // the user's

	at   Cursor
	mark Mark

	to     Cursor   // after all that was found
	cut    bool     // not all of it is in Items
	twin   bool     // Items are those of a twin
	groups []string // of the user; shared, never changed
	oldest Oldest   // of what was found in the window
}

// Version is a short text that changes with the counters and with the user's
// read mark. Most transports have no use for it.
func (b *Batch) Version() string { return version(b.Counts, b.mark) }

// Snapshot says whether the items are part of a snapshot: what is open, as it is.
func (b *Batch) Snapshot() bool { return b.at.Mode == Snapshot }

// CursorAt is the cursor after the i-th item.
func (b *Batch) CursorAt(i int) string {
	if i == len(b.Items)-1 {
		return b.Cursor
	}
	c := b.at
	c.Seq = b.Items[i].At
	return c.String()
}

// AppendCursor writes CursorAt(i); with i = -1, the cursor before the items,
// from which they can be had again.
func (b *Batch) AppendCursor(to []byte, i int) []byte {
	switch {
	case i == len(b.Items)-1:
		return append(to, b.Cursor...)
	case i < 0:
		return b.at.append(to)
	}
	c := b.at
	c.Seq = b.Items[i].At
	return c.append(to)
}

// Start says where a reader begins.
type Start struct {
	// Cursor is what an earlier answer gave, Earliest or Latest; empty is Latest.
	Cursor string
	// Snapshot begins with everything open. It is ignored with a cursor that
	// names a place, so that a client may send both again and again.
	Snapshot bool
}

// A Reader reads one user's inbox from a cursor on. It belongs to one goroutine
// at a time; Close it when done.
type Reader struct {
	v     *View
	user  string
	extra []string // groups besides the directory's
	start Start
	standing

	begun    bool
	caughtUp bool // with what this node had appended when the reading began
	counted  bool // counts are what he was told

	gen, version uint64
	m            *membership
	counts       Counts

	w      waiter
	rung   chan struct{} // of Next
	joined string        // the hash of the groups whose bells w hangs on
	items  []Item
	found  []found
}

// A standing is where a reader stands.
type standing struct {
	given string // the text of pos where it came from outside
	pos   Cursor
	seen  uint64 // in Plain mode: everything up to here has been looked at
}

// Open returns a reader of the user's inbox; groups are those he has besides
// the directory's. ErrCursor when the cursor is none.
func (v *View) Open(user string, groups []string, start Start) (*Reader, error) {
	r := &Reader{v: v, user: user, extra: groups, start: start}
	switch start.Cursor {
	case "", Latest, Earliest:
	default:
		c, err := ParseCursor(start.Cursor)
		if err != nil {
			return nil, err
		}
		r.pos, r.given, r.begun = c, start.Cursor, true
	}
	return r, nil
}

// OpenLost returns a reader for one whose cursor is unreadable: his first batch
// is a gap and a snapshot. Streams use it, which have no other way to answer.
func (v *View) OpenLost(user string, groups []string, cursor string) *Reader {
	return &Reader{v: v, user: user, extra: groups, begun: true,
		standing: standing{given: cursor, pos: Cursor{Epoch: lostEpoch}}}
}

// lostEpoch is the epoch of an unreadable cursor; no real one has such a name.
const lostEpoch = "lost"

// Close releases what the reader holds.
func (r *Reader) Close() { r.leaveBells() }

// Read returns what follows the cursor, at most limit items, without waiting for
// more to come. A batch without items and gap is no error. Errors: ErrStale,
// those of a Source, the context's.
func (r *Reader) Read(ctx context.Context, limit int) (Batch, error) {
	if !r.caughtUp {
		r.caughtUp = true
		r.v.CatchUp(ctx)
	}
	for tries := 0; ; tries++ {
		b, from, wait := r.look(limit, false)
		if wait {
			if err := r.v.reach(ctx, max(r.pos.Seq, r.pos.End)); err != nil {
				return Batch{}, err
			}
			b, from, _ = r.look(limit, true)
		}
		r.followBells()
		err := r.fetch(ctx, &b, tries > maxMissing)
		if err == nil {
			r.v.gaps.note(b.Gap)
			return b, nil
		}
		r.standing = from
		switch {
		case !errors.Is(err, ErrNotFound):
			return Batch{}, err
		case tries == maxMissing:
			r.lose()
		default:
			if err := r.v.meetEnd(ctx); err != nil {
				return Batch{}, err
			}
		}
	}
}

// maxMissing is how often a reading looks again because an entry is not in the log:
// mostly it was purged by another node, of whose purge this one did not know yet; then
// what stays stands elsewhere now, and what is gone is told. What is not there after so
// many times is missing.
const maxMissing = 3

// lose has a reader who is owed what is missing told that something is.
func (r *Reader) lose() {
	if r.pos.Mode != Snapshot {
		r.given, r.pos.Epoch = cmp.Or(r.given, r.pos.String()), lostEpoch
	}
}

// Look is Read as far as memory serves: ok is false where the log would have to
// be asked, and then Read is called for.
func (r *Reader) Look(limit int) (b Batch, ok bool) {
	r.joinBells() // first, so that what comes between is heard
	if !r.caughtUp {
		if r.v.Head() < r.v.appended.Load() {
			return Batch{}, false
		}
		r.caughtUp = true
	}
	b, from, wait := r.look(limit, false)
	if wait {
		return Batch{}, false
	}
	r.followBells()
	for i := range r.found {
		if f := &r.found[i]; f.body == nil && f.data == nil && f.removed == nil {
			r.standing = from
			return Batch{}, false
		}
	}
	if err := r.fetch(context.Background(), &b, false); err != nil {
		r.standing = from
		return Batch{}, false
	}
	r.v.gaps.note(b.Gap)
	r.leave(&b, &from, limit)
	return b, true
}

// Next waits until there is something to tell: items, a gap, or counters that
// changed since the last batch. Errors are those of Read.
func (r *Reader) Next(ctx context.Context, limit int) (Batch, error) {
	for {
		counts, counted := r.counts, r.counted
		r.joinBells() // first, so that what comes between is heard
		b, err := r.Read(ctx, limit)
		if err != nil || b.Gap != nil || len(b.Items) > 0 || !counted || b.Counts != counts {
			return b, err
		}
		select {
		case <-r.rung:
		case <-ctx.Done():
			return b, ctx.Err()
		}
	}
}

// refresh brings the membership up to date; under the view's read lock.
func (r *Reader) refresh(s *state) {
	if r.m == nil || r.gen != r.v.gen || r.version != s.version {
		r.m, r.gen, r.version = s.membership(r.user, r.extra), r.v.gen, s.version
	}
	r.m.meet(s)
}

// Cursor is where the reader stands, including what it looked at and found to
// be nobody's of his.
func (r *Reader) Cursor() string {
	c := r.pos
	if c.Mode == Plain && r.seen > c.Seq {
		c.Seq = r.seen
		c.Epoch = r.v.Epoch(c.Seq)
	}
	return c.String()
}

// fetch reads the bodies that are not in memory, and writes those of removals. One that
// is not there is ErrNotFound, or left out.
func (r *Reader) fetch(ctx context.Context, b *Batch, leaveOut bool) error {
	if b.twin {
		return nil // they are there
	}
	r.items = r.items[:0]
	for i := range r.found {
		f := &r.found[i]
		item := Item{At: f.at, seq: f.seq, body: f.body}
		switch {
		case f.body != nil:
		case f.removed != nil:
			item.body = removedBody(f.subject, f.removed)
		default:
			body, err := r.body(ctx, f)
			if leaveOut && errors.Is(err, ErrNotFound) {
				r.v.o.Logger.Error("an entry is missing in the log", "sequence", f.seq, "subject", f.subject)
				continue
			}
			if err != nil {
				return err
			}
			item.body = body
		}
		r.items = append(r.items, item)
	}
	clear(r.found)
	b.Items = r.items
	return nil
}

func (r *Reader) body(ctx context.Context, f *found) ([]byte, error) {
	m := Message{Seq: f.seq, Subject: f.subject, Data: f.data}
	if f.data == nil {
		var err error
		if m, err = r.v.log.At(ctx, f.seq); err != nil {
			return nil, fmt.Errorf("read the entry %d: %w", f.seq, err)
		}
	}
	return decodeBody(m)
}

// removedBody is the entry that a former audience gets: what it knew, and
// nothing that came after.
func removedBody(subject string, l *Left) []byte {
	b := []byte(`{"type":"alarm.removed","time":"`)
	b = l.Time.UTC().AppendFormat(b, TimeFormat)
	b = append(b, `","by":"directory","alarm":{"id":`...)
	b = strconv.AppendQuote(b, itemID(subject, l.Tag)) // tokens need no escapes
	b = append(b, `,"rev":`...)
	b = strconv.AppendUint(b, l.Rev, 10)
	device, typ, qualifier, _ := ParseAlarmSubject(subject)
	for _, f := range [...][2]string{{"device", device}, {"type", typ}, {"qualifier", qualifier}} {
		b = append(b, `,"`...)
		b = append(b, f[0]...)
		b = append(b, `":`...)
		b = AppendString(b, f[1])
	}
	return append(b, `}}`...)
}

// TimeFormat is how times stand on the wire: RFC 3339 in UTC with milliseconds.
const TimeFormat = "2006-01-02T15:04:05.000Z"
