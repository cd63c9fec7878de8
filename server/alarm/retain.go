package alarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tocsin/server/inbox"
)

// A Retention says how long the log keeps what is over. What is open, what is
// still due and the directory it keeps for ever: before the rest is purged they
// are appended again, quietly.
type Retention struct {
	// Age is after how long what is over may go; 0 keeps it for ever.
	Age time.Duration
	// Bytes is what the log may hold; above it the oldest part goes whatever its
	// age. 0 is no limit.
	Bytes uint64
	// Window is for how long the log remembers ids. Nothing goes that is not twice
	// as old, so that an event sent again finds its first outcome.
	Window time.Duration
	// Every is how often it is looked at whether something may go; 0 is a minute.
	Every time.Duration
}

const (
	retainEvery = time.Minute
	// A purge costs a scan of what goes, and one append for each thing that stays.
	// It is worth that from a hundredth of the log's messages on, or from as many
	// as many.
	worthPart, worthMany = 100, 1_000_000
	// spareParts: a log that holds too much is cut by so many hundredths more, so
	// that it takes a while until it holds too much again.
	spareParts = 2
)

// A retainer is the worker's memory of what it has looked at.
type retainer struct {
	e *Engine
	// vain is the sequence below which nearly everything had to stay.
	vain uint64
}

// retain purges what may go, until the context ends.
func (e *Engine) retain(ctx context.Context) {
	if e.o.Retention.Age <= 0 && e.o.Retention.Bytes == 0 {
		return
	}
	every := e.o.Retention.Every
	if every <= 0 {
		every = retainEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for r := (&retainer{e: e}); ; {
		if err := r.round(ctx); err != nil && ctx.Err() == nil {
			e.o.Logger.Warn("what is too old waits to be purged", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// round purges what may go, if that is worth it. Wherever it is interrupted, the
// log says the same as before: things that were appended again say what they said,
// what stands below sys.purged is over, and the next round completes it.
func (r *retainer) round(ctx context.Context) error {
	e := r.e
	b, err := e.o.Log.Bounds(ctx)
	if err != nil {
		return err
	}
	if purged := e.o.View.Purged(); b.First < purged && b.Messages > 0 { // the last one was cut short
		return e.o.Log.Purge(ctx, purged)
	}
	below, err := e.expendable(ctx, b)
	if err != nil {
		return err
	}
	worth := worthwhile(b.Messages)
	// An alarm that waits to be moved is kept from readers by when its device's
	// entry came; no entry of a device may come again meanwhile.
	if below < max(b.First, r.vain)+worth || len(e.o.View.Misrouted(1)) > 0 {
		return nil
	}
	gone, stay, err := e.weigh(ctx, b.First, below)
	if err != nil {
		return err
	}
	if gone < worth {
		r.vain = below
		return nil
	}
	if err := e.renew(ctx, b.First, below); err != nil {
		return fmt.Errorf("renew what stays: %w", err)
	}
	if err := e.announcePurge(ctx, below); err != nil {
		return fmt.Errorf("announce the purge: %w", err)
	}
	if err := e.o.Log.Purge(ctx, below); err != nil {
		return err
	}
	e.o.Logger.Info("the oldest part of the log is gone", "below", below, "entries", gone, "renewed", stay)
	return nil
}

// worthwhile is how many messages a purge must free.
func worthwhile(messages uint64) uint64 { return min(max(messages/worthPart, 1), worthMany) }

// expendable is the sequence below which the log holds what may go, by age or by
// size.
func (e *Engine) expendable(ctx context.Context, b inbox.Bounds) (below uint64, err error) {
	o, now := &e.o.Retention, e.steady()
	if b.Messages == 0 {
		return b.First, nil
	}
	if o.Age > 0 {
		if below, err = e.storedAfter(ctx, b, now.Add(-max(o.Age, 2*o.Window))); err != nil {
			return 0, err
		}
	}
	if o.Bytes > 0 && b.Bytes > o.Bytes {
		excess := b.Bytes - o.Bytes/100*(100-spareParts)
		safe, err := e.storedAfter(ctx, b, now.Add(-2*o.Window))
		if err != nil {
			return 0, err
		}
		mean := b.Bytes/b.Messages + 1
		below = max(below, min(b.First+excess/mean+1, safe))
	}
	return min(below, e.o.View.Head()), nil
}

// steady is the clock, but never further ahead than the time that has passed since the
// start: a clock that is set forwards by mistake must not purge what it makes look old.
func (e *Engine) steady() time.Time {
	now := e.o.Now()
	passed := e.begun.Round(0).Add(now.Sub(e.begun))
	if now = now.Round(0); now.Before(passed) {
		return now
	}
	return passed
}

// storedAfter is the first sequence that the log took after the time.
func (e *Engine) storedAfter(ctx context.Context, b inbox.Bounds, t time.Time) (uint64, error) {
	low, high := b.First, b.Last+1
	for low < high {
		middle := low + (high-low)/2
		m, err := e.o.Log.At(ctx, middle)
		switch {
		case errors.Is(err, inbox.ErrNotFound): // purged meanwhile
		case err != nil:
			return 0, err
		case m.Time.After(t):
			high = middle
			continue
		}
		low = middle + 1
	}
	return low, nil
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// scanBelow calls each for every message from one sequence to below another.
func (e *Engine) scanBelow(ctx context.Context, from, below uint64, each func(inbox.Message) error) error {
	err := e.o.Log.Scan(ctx, inbox.Scan{From: from}, func(m inbox.Message) error {
		if m.Seq >= below {
			return errEnough
		}
		return each(m)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// weigh counts what a purge would free and what it would have to append again.
func (e *Engine) weigh(ctx context.Context, from, below uint64) (gone, stay uint64, err error) {
	err = e.scanBelow(ctx, from, below, func(m inbox.Message) error {
		if e.o.View.Keeps(m.Subject, m.Seq) {
			stay++
		} else {
			gone++
		}
		return nil
	})
	return gone, stay, err
}

// renew appends again what stands below the sequence and must live on. One that
// has changed since stands above it anyway: the view had reached the sequence when
// it said that the message is the newest.
func (e *Engine) renew(ctx context.Context, from, below uint64) error {
	var proposals []inbox.Proposal
	var last uint64
	flush := func() error {
		for _, r := range e.o.Log.Append(ctx, proposals...) {
			if r.Err != nil && !errors.Is(r.Err, inbox.ErrConflict) {
				return r.Err
			}
			last = max(last, r.Seq)
		}
		proposals = proposals[:0]
		return nil
	}
	err := e.scanBelow(ctx, from, below, func(m inbox.Message) error {
		if !e.o.View.Keeps(m.Subject, m.Seq) {
			return nil
		}
		p, err := e.renewal(m)
		if err != nil {
			return err
		}
		if proposals = append(proposals, p); len(proposals) < atOnce {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	switch m, err := e.o.Log.Newest(ctx, inbox.SubjectEpoch); {
	case err != nil && !errors.Is(err, inbox.ErrNotFound):
		return err
	case err == nil && m.Seq < below:
		p, err := e.renewal(m)
		if err != nil {
			return err
		}
		proposals = append(proposals, p)
	}
	if err := flush(); err != nil {
		return err
	}
	return e.o.View.Wait(ctx, last)
}

// renewal proposes an entry that says what the message says.
func (e *Engine) renewal(m inbox.Message) (inbox.Proposal, error) {
	n, err := inbox.Decode(m)
	if err != nil {
		return inbox.Proposal{}, err
	}
	if _, _, _, ok := inbox.ParseAlarmSubject(m.Subject); ok {
		n = e.unchanged(&present{entry: n}, StatusRenewed, e.now())
	}
	n.Epoch = e.o.Epoch
	for i := range n.Epochs {
		if n.Epochs[i].First == 0 { // this one, which it no longer is
			n.Epochs[i].First = m.Seq
		}
	}
	return inbox.Proposal{Subject: m.Subject, Expect: m.Seq, Data: n.Encode()}, nil
}

// announcePurge tells every view to drop what stands below the sequence.
func (e *Engine) announcePurge(ctx context.Context, below uint64) error {
	for {
		var expect uint64
		m, err := e.o.Log.Newest(ctx, inbox.SubjectPurged)
		switch {
		case err == nil:
			former, err := inbox.Decode(m)
			if err != nil {
				return err
			}
			if former.Purged >= below {
				return nil // another worker was first
			}
			expect = m.Seq
		case !errors.Is(err, inbox.ErrNotFound):
			return err
		}
		n := inbox.Entry{Subject: inbox.SubjectPurged, Epoch: e.o.Epoch, Quiet: true, Purged: below}
		r := e.o.Log.Append(ctx, inbox.Proposal{Subject: n.Subject, Expect: expect, Data: n.Encode()})[0]
		if !errors.Is(r.Err, inbox.ErrConflict) {
			return r.Err
		}
	}
}
