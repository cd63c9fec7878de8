package alarm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"tocsin/server/inbox"
)

// Limits of a command.
const (
	MaxNoteBytes = 1024
	// MaxCommands is how many one call of DoAll takes.
	MaxCommands = 200
	// MaxShelf is how long an alarm may be shelved at most; DefaultShelf is for
	// those who do not say.
	MaxShelf     = 30 * 24 * time.Hour
	DefaultShelf = time.Hour
)

// An Op is what a user wants done to an alarm.
type Op string

// The operations.
const (
	// Acknowledge notes that the user knows of the alarm. The first one wins: a
	// second changes nothing and returns the first's values. It acknowledges the
	// earlier occurrences too.
	Acknowledge Op = "ack"
	// Unacknowledge takes the acknowledgement back.
	Unacknowledge Op = "unack"
	// Clear forces the condition to be over; the note, which must be given, says
	// why. An alarm that is over stays as it is.
	Clear Op = "clear"
	// Shelve sets the alarm aside until a time, when it comes back by itself; the
	// same time once more changes nothing. Unshelve brings it back at once.
	Shelve   Op = "shelve"
	Unshelve Op = "unshelve"
	// Comment adds the note to the alarm's history.
	Comment Op = "comment"
)

// Ops lists the operations.
var Ops = [...]Op{Acknowledge, Unacknowledge, Clear, Shelve, Unshelve, Comment}

// A Command is what a user wants done to an alarm.
type Command struct {
	Op     Op
	User   string
	Groups []string // besides the directory's
	ID     string   // of the occurrence
	Rev    uint64   // the revision it must be at; 0: any
	Note   string
	Until  time.Time // of Shelve; zero is DefaultShelf from now
}

// check says whether the command is within bounds; the error is a FieldError.
func (c *Command) check(now time.Time) error {
	if len(c.Note) > MaxNoteBytes {
		return inbox.Fieldf("note", "at most %d bytes, not %d", MaxNoteBytes, len(c.Note))
	}
	if err := inbox.CheckText("note", c.Note, 0, MaxNoteBytes); err != nil {
		return err
	}
	switch c.Op {
	case Acknowledge, Unacknowledge, Unshelve:
	case Clear, Comment:
		if strings.TrimSpace(c.Note) == "" {
			return inbox.Fieldf("note", "required: %s", map[Op]string{Clear: "why the alarm is over", Comment: "the comment"}[c.Op])
		}
	case Shelve:
		if c.Until.IsZero() {
			c.Until = now.Add(DefaultShelf)
		}
		c.Until = c.Until.UTC().Truncate(time.Millisecond)
		if !c.Until.After(now) || c.Until.Sub(now) > MaxShelf {
			return inbox.Fieldf("until", "want a time within %d days from now, not %s", MaxShelf/(24*time.Hour), c.Until.Format(time.RFC3339))
		}
	default:
		return inbox.Fieldf("op", "want one of %v, not %.40q", Ops, c.Op)
	}
	return nil
}

// Do does what the command says and returns the alarm as it is then. Whoever
// reads at this node afterwards finds it done. Errors: ErrNotFound, a
// FieldError, a ConflictError, those of the log.
func (e *Engine) Do(ctx context.Context, c Command) (Alarm, error) {
	e.o.View.CatchUp(ctx)
	after, seq, err := e.do(ctx, c)
	if err != nil {
		return Alarm{}, err
	}
	return after, e.o.View.Wait(ctx, seq)
}

// A Done answers one command.
type Done struct {
	Alarm Alarm
	Err   error // as of Do
}

// DoAll does several commands, at most MaxCommands, and answers each in order;
// one that fails stops no other.
func (e *Engine) DoAll(ctx context.Context, commands []Command) ([]Done, error) {
	if len(commands) > MaxCommands {
		return nil, inbox.Fieldf("ids", "at most %d, not %d", MaxCommands, len(commands))
	}
	e.o.View.CatchUp(ctx)
	done := make([]Done, len(commands))
	last := uint64(0)
	for i, c := range commands {
		var seq uint64
		done[i].Alarm, seq, done[i].Err = e.do(ctx, c)
		last = max(last, seq)
	}
	return done, e.o.View.Wait(ctx, last)
}

func (e *Engine) do(ctx context.Context, c Command) (after Alarm, seq uint64, err error) {
	if err := c.check(e.now()); err != nil {
		return after, 0, err
	}
	subject, tag, err := e.visible(c.User, c.Groups, c.ID)
	if err != nil {
		return after, 0, err
	}
	if e.o.View.Stale() {
		return after, 0, fmt.Errorf("do %s: %w", c.Op, inbox.ErrStale)
	}
	p, err := e.fromView(ctx, subject)
	if err == nil && addressed(&p, tag, c.Rev) != nil {
		p, err = e.fromLeader(ctx, subject) // who sent it may come from a faster node
	}
	if err != nil {
		return after, 0, err
	}
	_, r, err := e.commit(ctx, subject, "", p, func(p *present) (inbox.Entry, error) {
		if err := addressed(p, tag, c.Rev); err != nil {
			return inbox.Entry{}, err
		}
		next := e.change(p, "", "", c.User)
		next.note = c.Note
		if !next.apply(&c) {
			after = p.body.Alarm
			return e.unchanged(p, next.status, next.now), nil
		}
		if err := e.settle(ctx, p, &next); err != nil {
			return inbox.Entry{}, err
		}
		next.alarm.Rev++
		after = next.alarm
		return e.next(p, &next), nil
	})
	return after, r.Seq, err
}

// apply makes the change what the command says; false: it is so already.
func (c *change) apply(do *Command) (changed bool) {
	a := &c.alarm
	switch do.Op {
	case Acknowledge:
		c.typ, c.status = TypeAcked, StatusAcked
		if changed = !a.Acked; changed {
			a.Acked, a.AckedBy, a.AckedAt, a.AckNote = true, &do.User, &c.now, do.Note
			a.Earlier = 0
			c.timing.watch = 0
		}
	case Unacknowledge:
		c.typ, c.status = TypeUnacked, StatusUnacked
		if changed = a.Acked; changed {
			a.unack()
		}
	case Clear:
		c.typ, c.status = TypeCleared, StatusCleared
		if changed = a.Active; changed {
			a.Active, a.ClearedAt, a.ClearReason = false, &c.now, clearForced
			c.timing.expire = 0
		}
	case Shelve:
		c.typ, c.status = TypeShelved, StatusShelved
		changed = a.ShelvedUntil == nil || !a.ShelvedUntil.Equal(do.Until) || a.ShelvedBy != do.User
		a.ShelvedUntil, a.ShelvedBy = &do.Until, do.User
	case Unshelve:
		c.typ, c.status = TypeUpdated, StatusUnshelved
		if changed = a.ShelvedUntil != nil; changed {
			a.ShelvedUntil, a.ShelvedBy = nil, ""
		}
	case Comment:
		c.typ, c.status = TypeCommented, StatusCommented
		changed = true
		a.Comments++
	}
	return changed
}

func (a *Alarm) unack() { a.Acked, a.AckedBy, a.AckedAt, a.AckNote = false, nil, nil, "" }

// visible splits the id of an alarm in the user's inbox. What he may not see is
// not there.
func (e *Engine) visible(user string, groups []string, id string) (subject, tag string, err error) {
	subject, tag, ok := inbox.ParseID(id)
	if _, _, _, isAlarm := inbox.ParseAlarmSubject(subject); !ok || !isAlarm || !e.o.View.Visible(user, groups, subject) {
		return "", "", ErrNotFound
	}
	return subject, tag, nil
}

// addressed says whether a command for this occurrence and revision applies to
// the present state.
func addressed(p *present, tag string, rev uint64) error {
	switch {
	case !p.has():
		return ErrNotFound
	case p.entry.Tag != tag:
		if p.former(tag) {
			return &ConflictError{Err: ErrSuperseded, Present: p.body.Alarm}
		}
		return ErrNotFound
	case rev != 0 && rev != p.body.Alarm.Rev:
		return &ConflictError{Err: ErrChanged, Present: p.body.Alarm}
	}
	return nil
}

// former says whether the tag is that of an earlier occurrence, as far as its
// number tells.
func (p *present) former(tag string) bool {
	n, _, _ := strings.Cut(tag, ".")
	occurrence, err := strconv.ParseUint(n, 10, 64)
	return err == nil && occurrence > 0 && occurrence < p.body.Alarm.Occurrence
}
