package inbox

import (
	"context"
	"maps"
)

// MarkRead marks as read, for the user, everything announced up to the cursor
// (Latest for all there is) and the alarms and notices with these ids, and
// returns his counters. Marks only rise, and are cut to the end of the log; ids that
// are not in his inbox are passed over. What this node has appended before is waited
// for, as is a cursor or a mark from a node that is ahead of this one. Errors: ErrCursor, a FieldError, ErrStale, those of
// Marks and of a Source.
func (v *View) MarkRead(ctx context.Context, marks Marks, user string, groups []string, upto string, ids []string) (Counts, error) {
	if len(ids) > MaxReadIDs {
		return Counts{}, Fieldf("ids", "at most %d, not %d", MaxReadIDs, len(ids))
	}
	v.CatchUp(ctx)
	if c, err := ParseCursor(upto); err == nil {
		if err := v.meet(ctx, c.Epoch, c.Seq); err != nil {
			return Counts{}, err
		}
	}
	seq, epoch, err := v.readUpto(upto)
	if err != nil {
		return Counts{}, err
	}
	read := v.readIDs(user, groups, ids)
	mark, err := marks.Update(ctx, user, func(m Mark) (Mark, error) {
		if err := v.meet(ctx, m.Epoch, m.Upto); err != nil {
			return m, err
		}
		m = v.cut(m)
		m.Rev++
		if seq > m.Upto || m.Epoch == "" {
			m.Upto, m.Epoch = max(seq, m.Upto), epoch
		}
		kept := map[string]uint64{}
		maps.Copy(kept, m.Read)
		for subject, announced := range read {
			kept[subject] = max(kept[subject], announced)
		}
		maps.DeleteFunc(kept, func(_ string, announced uint64) bool { return announced <= m.Upto })
		if len(kept) > MaxReadIDs {
			return m, Fieldf("ids", "at most %d may be read one by one above the mark; move the mark with upto", MaxReadIDs)
		}
		m.Read = kept
		return m, nil
	})
	if err != nil {
		return Counts{}, err
	}
	v.SetMark(user, mark)
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.counts(v.s.membership(user, groups), v.mark(user)), nil
}

// meet waits for a place in the log that this node may not have come to yet.
func (v *View) meet(ctx context.Context, epoch string, seq uint64) error {
	v.mu.RLock()
	end, known := v.s.epochEnd(epoch)
	lost := end > 0 && seq >= end
	met := lost || seq <= v.s.head && (known || epoch == "")
	v.mu.RUnlock()
	if met {
		return nil
	}
	return v.reach(ctx, seq)
}

func (v *View) cut(m Mark) Mark {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.cut(m)
}

// readUpto is the sequence up to which the cursor has read, and its epoch.
func (v *View) readUpto(cursor string) (seq uint64, epoch string, err error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	switch cursor {
	case "", Earliest:
	case Latest:
		seq = v.s.head
	default:
		c, err := ParseCursor(cursor)
		if err != nil {
			return 0, "", err
		}
		seq = min(v.s.cut(Mark{Epoch: c.Epoch, Upto: c.Seq}).Upto, v.s.head)
	}
	return seq, v.s.epochAt(seq), nil
}

// readIDs gives, for the ids in the user's inbox, what each last announced.
func (v *View) readIDs(user string, groups []string, ids []string) map[string]uint64 {
	if len(ids) == 0 {
		return nil
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	m := v.s.membership(user, groups)
	read := make(map[string]uint64, len(ids))
	for _, id := range ids {
		subject, tag, ok := ParseID(id)
		r := v.s.records[subject]
		if ok && r != nil && !r.held && r.tag == tag && m.has(r.home) {
			read[subject] = r.announced
		}
	}
	return read
}
