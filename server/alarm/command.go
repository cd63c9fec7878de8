package alarm

import (
	"context"
	"strconv"
	"strings"

	"tocsin/server/inbox"
)

// MaxNoteBytes bounds the note of an acknowledgement.
const MaxNoteBytes = 1024

// StatusAcked is the outcome of an acknowledgement, inside its entry.
const StatusAcked = "acked"

// A Command is what a user wants done to an alarm.
type Command struct {
	User   string
	Groups []string // besides the directory's
	ID     string   // of the occurrence
	Rev    uint64   // the revision it must be at; 0: any
	Note   string
}

// Get returns an alarm that the user may see. ErrNotFound also where the id
// names a former occurrence.
func (e *Engine) Get(ctx context.Context, user string, groups []string, id string) (Alarm, error) {
	e.o.View.CatchUp(ctx)
	subject, tag, err := e.visible(user, groups, id)
	if err != nil {
		return Alarm{}, err
	}
	p, err := e.fromView(ctx, subject)
	if err != nil {
		return Alarm{}, err
	}
	if !p.has() || p.entry.Tag != tag {
		return Alarm{}, ErrNotFound
	}
	return p.body.Alarm, nil
}

// visible splits the id of an alarm in the user's inbox. What he may not see is
// not there.
func (e *Engine) visible(user string, groups []string, id string) (subject, tag string, err error) {
	subject, tag, ok := inbox.ParseID(id)
	if _, _, _, isAlarm := inbox.ParseAlarmSubject(subject); !ok || !isAlarm || !e.o.View.Visible(user, groups, subject) {
		return "", "", ErrNotFound
	}
	return subject, tag, nil
}

// Acknowledge notes that the user knows of the alarm. The first one wins: a
// second changes nothing and returns the first's values. It acknowledges the
// earlier occurrences too. Errors: ErrNotFound, a FieldError, a ConflictError,
// those of the log.
func (e *Engine) Acknowledge(ctx context.Context, c Command) (Alarm, error) {
	if len(c.Note) > MaxNoteBytes {
		return Alarm{}, inbox.Fieldf("note", "at most %d bytes, not %d", MaxNoteBytes, len(c.Note))
	}
	e.o.View.CatchUp(ctx)
	subject, tag, err := e.visible(c.User, c.Groups, c.ID)
	if err != nil {
		return Alarm{}, err
	}
	p, err := e.fromView(ctx, subject)
	if err != nil {
		return Alarm{}, err
	}
	var after Alarm
	_, r, err := e.commit(ctx, subject, "", p, func(p *present) (inbox.Entry, error) {
		if err := e.addressed(p, tag, c.Rev); err != nil {
			return inbox.Entry{}, err
		}
		now := e.now()
		after = p.body.Alarm
		if after.Acked {
			return e.unchanged(p, StatusAcked, now), nil
		}
		after.Rev++
		after.Acked, after.AckedBy, after.AckedAt, after.AckNote = true, &c.User, &now, c.Note
		after.Earlier = 0
		return e.next(p, &after, p.entry.Audience, TypeAcked, StatusAcked, c.User, now, false), nil
	})
	if err != nil {
		return Alarm{}, err
	}
	return after, e.o.View.Wait(ctx, r.Seq)
}

// addressed says whether a command for this occurrence and revision applies to
// the present state.
func (e *Engine) addressed(p *present, tag string, rev uint64) error {
	switch {
	case !p.has():
		return ErrNotFound
	case p.entry.Tag != tag:
		n, _, _ := strings.Cut(tag, ".")
		if occurrence, err := strconv.ParseUint(n, 10, 64); err == nil && occurrence > 0 && occurrence < p.body.Alarm.Occurrence {
			return &ConflictError{Err: ErrSuperseded, Present: p.body.Alarm}
		}
		return ErrNotFound
	case rev != 0 && rev != p.body.Alarm.Rev:
		return &ConflictError{Err: ErrChanged, Present: p.body.Alarm}
	}
	return nil
}
