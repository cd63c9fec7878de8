package alarm

import (
	"context"
	"errors"
	"time"

	"tocsin/server/inbox"
)

// movesAtOnce is how many alarms are moved with appends under way together.
const movesAtOnce = 500

// byDirectory is the author of entries that move an alarm.
const byDirectory = "directory"

// MoveMisrouted moves open alarms to the route of their device whenever the
// directory has changed, until the context ends. One node does it at a time
// (under a lease); two do no harm.
func (e *Engine) MoveMisrouted(ctx context.Context) {
	for ctx.Err() == nil {
		subjects := e.o.View.Misrouted(movesAtOnce)
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
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		}
	}
}

// move appends one entry for each alarm, with the new route; the entry keeps
// the old one, whose readers see the alarm removed.
func (e *Engine) move(ctx context.Context, subjects []string) error {
	var proposals []inbox.Proposal
	for _, subject := range subjects {
		p, err := e.fromView(ctx, subject)
		if err != nil {
			return err
		}
		device, _, _, ok := inbox.ParseAlarmSubject(subject)
		if !ok || !p.has() {
			continue
		}
		groups, to, err := e.home(ctx, device)
		if err != nil {
			return err
		}
		if to == p.entry.Audience {
			continue
		}
		a := p.body.Alarm
		a.Groups = groups
		a.Rev++
		n := e.next(&p, &a, to, TypeUpdated, StatusMoved, byDirectory, e.now(), false)
		proposals = append(proposals, inbox.Proposal{Subject: subject, Expect: p.entry.Seq, Data: n.Encode()})
	}
	if len(proposals) == 0 {
		return nil
	}
	var last uint64
	var failed error
	for _, r := range e.o.Log.Append(ctx, proposals...) {
		// Who lost a race is looked at again: the winner may have moved it.
		if r.Err != nil && !errors.Is(r.Err, inbox.ErrConflict) {
			failed = r.Err
		}
		last = max(last, r.Seq)
	}
	if failed != nil {
		return failed
	}
	return e.o.View.Wait(ctx, last)
}
