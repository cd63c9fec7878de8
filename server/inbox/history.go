package inbox

import (
	"context"
	"errors"
	"fmt"
)

// errEnough ends a scan whose caller has what he wants.
var errEnough = errors.New("enough")

// History reads the stored entries of one subject and tag, an alarm's occurrence,
// the oldest first, from the sequence on: up to limit of them, quiet ones too. more
// says that there are others after them. What went to audiences that are none of
// the user's now is left out; groups are those he has besides the directory's.
//
// Errors: ErrNotFound when the subject is not in the user's inbox; those of a
// Source; the context's.
func (v *View) History(ctx context.Context, user string, groups []string, subject, tag string, from uint64, limit int) (entries []Entry, more bool, err error) {
	v.CatchUp(ctx)
	if !v.Visible(user, groups, subject) {
		return nil, false, fmt.Errorf("history of %s: %w", subject, ErrNotFound)
	}
	reads := map[Audience]bool{}
	head := v.Head()
	err = v.log.Scan(ctx, Scan{Subject: subject, From: from}, func(m Message) error {
		if m.Seq > head {
			return errEnough
		}
		e, err := Decode(m)
		if err != nil {
			return err
		}
		if _, known := reads[e.Audience]; !known {
			reads[e.Audience] = v.reads(user, groups, e.Audience)
		}
		if e.Tag != tag || !reads[e.Audience] {
			return nil
		}
		if more = len(entries) == limit; more {
			return errEnough
		}
		entries = append(entries, e)
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return nil, false, fmt.Errorf("history of %s: %w", subject, err)
	}
	return entries, more, nil
}

// reads says whether the audience is one of the user's.
func (v *View) reads(user string, groups []string, key Audience) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.membership(user, groups).has(v.s.audiences[key])
}
