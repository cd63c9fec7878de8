package alarm

import (
	"context"

	"tocsin/server/inbox"
)

// Tick does what the worker would do now, once, for tests that set the clock.
func (e *Engine) Tick(ctx context.Context) error {
	if subjects := e.o.View.Misrouted(atOnce); len(subjects) > 0 {
		if err := e.move(ctx, subjects); err != nil {
			return err
		}
	}
	subjects, _ := e.o.View.Due(e.o.Now(), atOnce)
	return e.meet(ctx, subjects)
}

// Retain is one round of the worker's purging.
func (e *Engine) Retain(ctx context.Context) error { return (&retainer{e: e}).round(ctx) }

// Decide is what Publish does with an event before it appends.
func (e *Engine) Decide(ctx context.Context, ev *Event) error {
	subject := inbox.AlarmSubject(ev.Device, ev.Type, ev.Qualifier)
	p, err := e.fromView(ctx, subject)
	if err != nil {
		return err
	}
	p.entry.Subject = subject
	n, err := e.decide(ctx, &p, ev)
	if err == nil {
		_ = n.Encode() // for what it allocates
	}
	return err
}
