package alarm

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"tocsin/server/inbox"
)

// pipelined is how many appends one Publish has under way at most.
const pipelined = 512

// A pending event has been decided and waits for its append.
type pending struct {
	i       int // among the events
	subject string
	entry   inbox.Entry
}

// Publish takes the events in their order, each as if it came alone, and answers
// each. An event sent again with its id, by the same publisher within the log's
// window, changes nothing and has the first one's outcome. An event is checked
// first; a bad one is rejected and stops no other.
func (e *Engine) Publish(ctx context.Context, publisher string, events []Event) []Result {
	b := batch{e: e, ctx: ctx, publisher: inbox.Escape(publisher), events: events,
		results: make([]Result, len(events)), under: map[string]bool{}}
	if e.o.View.Stale() {
		for i := range events {
			b.reject(i, fmt.Errorf("publish: %w", inbox.ErrStale))
		}
		return b.results
	}
	if slices.ContainsFunc(events, func(ev Event) bool { return ev.Level }) {
		// What is as known is not appended, so no lost race would show that more
		// is known by now.
		e.o.View.CatchUp(ctx)
	}
	for i := range events {
		if err := events[i].Check(); err != nil {
			b.reject(i, err)
			continue
		}
		b.add(i)
	}
	b.flush()
	return b.results
}

// A batch is one call of Publish. Events of different alarms are appended
// without waiting for each other; one of an alarm that has an append under way
// waits for it, so that log order is the events' order.
type batch struct {
	e         *Engine
	ctx       context.Context
	publisher string
	events    []Event
	results   []Result
	pending   []pending
	proposals []inbox.Proposal
	under     map[string]bool // subjects with an append under way
	last      uint64          // highest sequence appended
}

func (b *batch) reject(i int, err error) {
	b.results[i] = Result{Status: StatusRejected, Err: err}
}

func (b *batch) add(i int) {
	ev := &b.events[i]
	subject := inbox.AlarmSubject(ev.Device, ev.Type, ev.Qualifier)
	if b.under[subject] {
		b.flush()
		// Else the next decision would lose its race and ask the leader.
		b.e.o.View.CatchUp(b.ctx)
	}
	p, err := b.e.fromView(b.ctx, subject)
	if err != nil {
		b.reject(i, err)
		return
	}
	p.entry.Subject = subject
	n, err := b.e.decide(b.ctx, &p, ev)
	switch {
	case errors.Is(err, errAsKnown):
		b.results[i] = asKnown(&p.entry)
		return
	case err != nil:
		b.reject(i, err)
		return
	}
	b.pending = append(b.pending, pending{i: i, subject: subject, entry: n})
	b.proposals = append(b.proposals, inbox.Proposal{
		Subject: subject, Expect: p.entry.Seq, ID: b.id(ev), Data: n.Encode(),
	})
	b.under[subject] = true
	if len(b.pending) == pipelined {
		b.flush()
	}
}

// id scopes the event's id to its publisher. Escaped parts cannot run into each
// other.
func (b *batch) id(ev *Event) string {
	if ev.ID == "" {
		return ""
	}
	return b.publisher + "/" + inbox.Escape(ev.ID)
}

// flush appends what is pending and takes the answers.
func (b *batch) flush() {
	if len(b.pending) == 0 {
		return
	}
	for k, r := range b.e.o.Log.Append(b.ctx, b.proposals...) {
		p := b.pending[k]
		if errors.Is(r.Err, inbox.ErrConflict) {
			p.entry, r = b.again(p)
		}
		if errors.Is(r.Err, errAsKnown) { // since the first decision
			b.results[p.i] = asKnown(&p.entry)
			continue
		}
		b.results[p.i] = b.e.outcome(b.ctx, &p.entry, r)
		if !r.Duplicate {
			b.last = max(b.last, r.Seq)
		}
	}
	b.e.o.View.Appended(b.last)
	b.pending, b.proposals = b.pending[:0], b.proposals[:0]
	clear(b.under)
}

// again decides an event that lost a race, from the leader's state.
func (b *batch) again(p pending) (inbox.Entry, inbox.Receipt) {
	ev := &b.events[p.i]
	now, err := b.e.fromLeader(b.ctx, p.subject)
	if err != nil {
		return p.entry, inbox.Receipt{Err: err}
	}
	n, r, err := b.e.commit(b.ctx, p.subject, b.id(ev), now, func(p *present) (inbox.Entry, error) {
		n, err := b.e.decide(b.ctx, p, ev)
		if errors.Is(err, errAsKnown) {
			n = p.entry
		}
		return n, err
	})
	if err != nil {
		r.Err = err
	}
	return n, r
}

// outcome answers an event from its entry, or from the first one's with its id.
func (e *Engine) outcome(ctx context.Context, n *inbox.Entry, r inbox.Receipt) Result {
	if r.Err != nil {
		return Result{Status: StatusRejected, Err: r.Err}
	}
	if r.Duplicate {
		m, err := e.o.Log.At(ctx, r.Seq)
		if errors.Is(err, inbox.ErrNotFound) {
			// It is there, and too young to be purged: who was asked is behind, a
			// leader that does not know yet of the next one.
			err = fmt.Errorf("%w: %w", inbox.ErrUnavailable, err)
		}
		if err != nil {
			return Result{Status: StatusRejected, Err: fmt.Errorf("read the first outcome: %w", err)}
		}
		first, err := inbox.Decode(m)
		switch {
		case err != nil:
			return Result{Status: StatusRejected, Err: err}
		case m.Subject != n.Subject:
			return Result{Status: StatusRejected, Err: ErrIDReused}
		}
		n = &first
	}
	result := Result{Rev: n.Rev, Seq: r.Seq, Status: n.Status, Duplicate: r.Duplicate}
	if n.Tag != "" { // an orphan of what was never raised has no occurrence
		result.ID = n.ID()
	}
	return result
}

// asKnown answers a report of a level from the entry that says the same.
func asKnown(n *inbox.Entry) Result {
	result := Result{Rev: n.Rev, Seq: n.Seq, Status: StatusUnchanged}
	if n.Tag != "" {
		result.ID = n.ID()
	}
	return result
}
