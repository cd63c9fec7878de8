package inbox

// A Reach is what a batch has delivered once it has been written: the stretch of
// the log that its reader has got from now on.
type Reach struct {
	// From and To bound the stretch: everything of the user's that was told after
	// From, up to To, the newest state standing for what it replaced.
	From, To uint64
	// Snapshot: what was open at To has been delivered too.
	Snapshot bool
	// Partial: a catch-up, or with Snapshot a snapshot, goes on. What it tells
	// counts when it is complete; until then To is From.
	Partial bool
	// Groups are all of the user's as of this batch, sorted. They are shared and
	// must not be changed.
	Groups []string
	// Gap is why the batch could not be served as asked; empty if it could.
	Gap GapReason
	// Oldest is how long the entries of the batch have waited for its end; nothing
	// of catch-ups and snapshots, nor while a part of the batch is still to come.
	Oldest Oldest
}

// Oldest is, by severity, when the log took the oldest of some entries, in Unix
// microseconds; 0 for none. Notices stand at 0.
type Oldest [Critical + 1]int64

// note counts an entry in; entries come in ascending order.
func (o *Oldest) note(w *shown) {
	if o[w.severity] == 0 {
		o[w.severity] = w.stored
	}
}

// Reach is what the first n items of the batch, and its gap, deliver.
func (b *Batch) Reach(n int) Reach {
	r := Reach{From: b.at.Seq, To: b.at.Seq, Groups: b.groups}
	if b.Gap != nil {
		r.Gap = b.Gap.Reason
	}
	whole := n == len(b.Items) && !b.cut
	switch {
	case b.at.Mode == Plain && whole:
		r.To, r.Oldest = max(r.To, b.to.Seq), b.oldest
	case b.at.Mode == Plain && n > 0:
		r.To = b.Items[n-1].At
	case b.at.Mode == Plain:
	case !whole || b.to.Mode != Plain:
		r.Partial, r.Snapshot = true, b.at.Mode == Snapshot
	case b.at.Mode == Snapshot:
		r.From, r.To, r.Snapshot = b.to.Seq, b.to.Seq, true
	default:
		r.To = b.to.Seq
	}
	return r
}

// Cut leaves the first n items in the batch; the others come with the next one.
func (b *Batch) Cut(n int) {
	if n < len(b.Items) {
		b.Cursor = b.CursorAt(n - 1)
		b.Items, b.More, b.cut = b.Items[:n], true, true
	}
}
