package alarm

import (
	"context"
	"time"

	"tocsin/server/inbox"
)

// byDirectory is the author of entries that move an alarm.
const byDirectory = "directory"

// moveMisrouted moves open alarms to the route of their device whenever the
// directory has changed, until the context ends.
func (e *Engine) moveMisrouted(ctx context.Context) {
	for ctx.Err() == nil {
		subjects := e.o.View.Misrouted(atOnce)
		if len(subjects) == 0 {
			select {
			case <-e.o.View.MisroutedC():
			case <-ctx.Done():
			}
			continue
		}
		if err := e.move(ctx, subjects); err != nil && ctx.Err() == nil {
			e.o.Logger.Warn("alarms wait to be moved to their device's groups", "alarms", len(subjects), "error", err)
			select {
			case <-time.After(workerPause):
			case <-ctx.Done():
			}
		}
	}
}

// move appends one entry for each alarm, with the new route; the entry keeps
// the old one, whose readers see the alarm removed.
func (e *Engine) move(ctx context.Context, subjects []string) error {
	return e.appendEach(ctx, subjects, func(p *present) (inbox.Entry, error) {
		groups, to, err := e.home(ctx, p.body.Alarm.Device)
		switch {
		case err != nil:
			return inbox.Entry{}, err
		case to == p.entry.Audience && !e.o.View.Held(p.entry.Subject):
			return inbox.Entry{}, errNothingDue
		}
		c := e.change(p, TypeUpdated, StatusMoved, byDirectory)
		c.alarm.Groups, c.to = groups, to
		c.alarm.Rev++
		return e.next(p, &c), nil
	})
}
