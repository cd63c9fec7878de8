package inbox

import (
	"context"
	"fmt"
	"time"
)

// touchTimeout is how long the log's leader may take to say how far the log has come.
const touchTimeout = time.Second

// A touch is what a node knows about its touch with the log.
type touch struct {
	answered time.Time // when the leader was asked that answered last
	due      uint64    // what was last then, unless the head has it by now
	since    time.Time // when it was found that the head has not
}

// stale says whether the node has lost touch: for so long the leader has not
// answered, or the head has not come to where the log was.
func (t *touch) stale(now time.Time) bool {
	return now.Sub(t.answered) >= staleAfter || t.due != 0 && now.Sub(t.since) >= staleAfter
}

// met notes an answer to a question that was asked at a time.
func (t *touch) met(asked, now time.Time, head, last uint64) {
	t.answered = asked
	if head >= t.due || last < t.due { // the latter where the log has lost its end
		t.due = 0
	}
	if t.due == 0 && head < last {
		t.due, t.since = last, now
	}
}

// Stale says that the node has lost touch with the log: the log's leader has not
// answered for 3 s, or what it had 3 s ago has not come here. What is shown may be
// old then, and nothing can be stored.
func (v *View) Stale() bool { return v.stale.Load() }

// keepTouch finds out whether the node is stale, and tells every reader when that
// changes. It ends with the context.
func (v *View) keepTouch(ctx context.Context) {
	t := touch{answered: v.o.Now()}
	tick := time.NewTicker(v.o.TouchCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		asked := v.o.Now()
		ask, cancel := context.WithTimeout(ctx, touchTimeout)
		b, err := v.log.Bounds(ask)
		cancel()
		if ctx.Err() != nil {
			return
		}
		now := v.o.Now()
		if err == nil {
			t.met(asked, now, v.Head(), b.Last)
		}
		v.setStale(t.stale(now), err)
	}
}

func (v *View) setStale(stale bool, why error) {
	if v.stale.Swap(stale) == stale {
		return
	}
	v.mu.Lock()
	v.s.stale = stale
	v.mu.Unlock()
	if stale {
		v.o.Logger.Error("this node has lost touch with the log: readers are told, publishers are refused", "head", v.Head(), "error", why)
	} else {
		v.o.Logger.Info("this node is in touch with the log again", "head", v.Head())
	}
	v.bells.ringAll()
}

// reach waits until this node has caught up with the sequence, which somebody has
// from another node, as far as the log's leader has it.
func (v *View) reach(ctx context.Context, seq uint64) error {
	bounds, err := v.awaitEnd(ctx, seq)
	switch {
	case err != nil:
		return err
	case bounds.Last < seq && !bounds.settled():
		return fmt.Errorf("a leader of %s is asked: %w", bounds.Led, ErrStale)
	}
	return v.Wait(ctx, min(seq, bounds.Last))
}

// awaitEnd waits until the log's leader has a sequence that another server had, and
// returns the bounds that it said last. A leader of several servers may itself be a
// moment behind those that follow it: so a sequence lies beyond the end of the log only
// if it does so for as long as a node may be behind.
func (v *View) awaitEnd(ctx context.Context, seq uint64) (Bounds, error) {
	wait, cancel := context.WithTimeout(ctx, staleAfter)
	defer cancel()
	for {
		said, err := v.log.Bounds(wait)
		switch {
		case err != nil:
			return said, fmt.Errorf("ask for the end of the log: %w", err)
		case said.Last >= seq:
			return said, nil
		}
		select {
		case <-time.After(askAgain):
		case <-wait.Done():
			return said, ctx.Err()
		}
	}
}

// meetEnd waits until this node has everything that the log's leader has; and if it has
// already, for a moment, in which another may lead.
func (v *View) meetEnd(ctx context.Context) error {
	bounds, err := v.log.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("ask for the end of the log: %w", err)
	}
	if v.Head() < bounds.Last {
		return v.Wait(ctx, bounds.Last)
	}
	select {
	case <-time.After(askAgain):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settlesIn is for how long a leader has led that surely has everything that its followers
// have told: those that were elected on a busy machine took four seconds.
const settlesIn = 15 * time.Second

// settled says whether the log ends where its leader says that it does.
func (b *Bounds) settled() bool { return b.Led == 0 || b.Led >= settlesIn }

// askAgain is how soon the leader is asked again whether it has a sequence by now.
const askAgain = 100 * time.Millisecond
