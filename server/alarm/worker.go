package alarm

import (
	"context"
	"errors"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// What needs a clock. One node at a time does it, under a lease; since it
// appends like everybody else, under compare-and-set, two do no harm, and a
// successor finds all it needs in the entries.

const (
	// atOnce is how many appends of the worker are under way together.
	atOnce = 500
	// undeliveredAfter is how long a critical alarm may reach nobody, unless
	// Options say otherwise.
	undeliveredAfter = 15 * time.Second
	// workerPause follows a failure, leastPause a success: what is due together
	// is done together.
	workerPause = time.Second
	leastPause  = 5 * time.Millisecond
	// clockCheck is how soon a clock that was set forwards is noticed: what is due is
	// so by the clock, while a wait is not cut short when that is set.
	clockCheck = 5 * time.Second
)

// byTimer is the author of entries that a deadline makes.
const byTimer = "timer"

// Work does what is due, moves misrouted alarms and forgets what is too old,
// until the context ends.
func (e *Engine) Work(ctx context.Context) {
	var tasks sync.WaitGroup
	for _, task := range []func(context.Context){e.keepTime, e.moveMisrouted, e.retain} {
		tasks.Go(func() { task(ctx) }) // each ends with the context
	}
	tasks.Wait()
}

// keepTime does what is due, whenever it is.
func (e *Engine) keepTime(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.o.View.DueC():
		case <-ctx.Done():
			return
		}
		timer.Reset(e.meetDue(ctx))
	}
}

// meetDue does what is due now, and says how long to wait then.
func (e *Engine) meetDue(ctx context.Context) (wait time.Duration) {
	subjects, next := e.o.View.Due(e.o.Now(), atOnce)
	wait = clockCheck
	if !next.IsZero() {
		wait = min(max(next.Sub(e.o.Now()), 0), clockCheck)
	}
	if len(subjects) > 0 {
		wait = leastPause // what is done may be due again before what is next now
	}
	if err := e.meet(ctx, subjects); err != nil && ctx.Err() == nil {
		e.o.Logger.Warn("what is due waits", "alarms", len(subjects), "error", err)
		wait = workerPause
	}
	return wait
}

// meet appends what the deadlines of these alarms ask for.
func (e *Engine) meet(ctx context.Context, subjects []string) error {
	return e.appendEach(ctx, subjects, func(p *present) (inbox.Entry, error) {
		c, err := e.elapse(ctx, p)
		switch {
		case err != nil:
			return inbox.Entry{}, err
		case c.status == StatusWatched:
			n := e.unchanged(p, c.status, c.now)
			n.Private, n.Due = c.timing.encode(), c.timing.due(&c.alarm)
			return n, nil
		}
		if err := e.settle(ctx, p, &c); err != nil {
			return inbox.Entry{}, err
		}
		c.alarm.Rev++
		return e.next(p, &c), nil
	})
}

// errNothingDue: another was first.
var errNothingDue = errors.New("nothing is due")

// elapse makes of an alarm what the time that has passed makes of it.
func (e *Engine) elapse(ctx context.Context, p *present) (c change, err error) {
	c = e.change(p, TypeUpdated, "", byTimer)
	a, t := &c.alarm, &c.timing
	now := c.now.UnixMilli()
	over := func(deadline int64) bool { return deadline != 0 && deadline <= now }
	if over(t.watch) {
		if err := e.seek(ctx, p); err != nil {
			return c, err
		}
		t.watch, c.status = 0, StatusWatched
	}
	if over(t.fold) || t.fold == 0 && over(t.calm) {
		if c.status = StatusFolded; over(t.calm) {
			a.Chattering, t.calm = false, 0
		}
		switch fold := e.o.Fold.Milliseconds(); {
		case !e.o.TrustDeviceTime:
			t.told = now
		case t.fold != 0:
			t.told += fold
		default:
			t.told = t.last + fold
		}
	}
	if a.ShelvedUntil != nil && over(a.ShelvedUntil.UnixMilli()) {
		c.status = StatusUnshelved
		a.ShelvedUntil, a.ShelvedBy = nil, ""
	}
	if over(t.expire) && a.Active {
		c.typ, c.status = TypeCleared, StatusExpired
		cleared := c.now
		if e.o.TrustDeviceTime {
			cleared = a.LastRaised.Add(e.o.AutoClear[a.Type])
		}
		a.Active, a.ClearedAt, a.ClearReason, t.expire = false, &cleared, clearExpired, 0
	}
	if c.status == "" {
		return c, errNothingDue
	}
	return c, nil
}

// seek looks whether a critical alarm has reached somebody, and says so if not.
func (e *Engine) seek(ctx context.Context, p *present) error {
	if e.o.Reached == nil || p.body.Alarm.Acked {
		return nil
	}
	reached, err := e.o.Reached(ctx, p.entry)
	if err != nil || reached || e.o.Undelivered == nil {
		return err
	}
	return e.o.Undelivered(ctx, p.body.Alarm, p.entry)
}

// appendEach appends one entry a subject; those for which decide has
// errNothingDue are passed over. Who loses a race is looked at again, since it
// is still due then.
func (e *Engine) appendEach(ctx context.Context, subjects []string, decide func(*present) (inbox.Entry, error)) error {
	var proposals []inbox.Proposal
	var failed error
	for _, subject := range subjects {
		p, err := e.fromView(ctx, subject)
		if err != nil {
			return err
		}
		if !p.has() {
			continue
		}
		n, err := decide(&p)
		switch {
		case err == nil:
			proposals = append(proposals, inbox.Proposal{Subject: subject, Expect: p.entry.Seq, Data: n.Encode()})
		case !errors.Is(err, errNothingDue):
			failed = err
		}
	}
	if len(proposals) == 0 {
		return failed
	}
	var last uint64
	for _, r := range e.o.Log.Append(ctx, proposals...) {
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
