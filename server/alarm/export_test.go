package alarm

import (
	"context"

	"tocsin/server/inbox"
)

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
