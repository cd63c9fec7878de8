package transports

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"tocsin/server/inbox"
)

// An Encoder writes what a stream tells into the transport's own form. Its
// methods are called by one goroutine. All but Flush only collect, and what they
// are given is valid during the call.
type Encoder interface {
	// Hello opens the stream.
	Hello(Hello)
	// Part tells what a reader found, or a part of it.
	Part(Part)
	// Ping tells that the stream lives; the cursor is where the reader stands.
	Ping(cursor string)
	// Bye ends the stream; retry is when to come back.
	Bye(reason Reason, retry time.Duration)
	// Flush sends what was collected. It returns once the client's side has taken
	// it, or with an error after Limits.WriteTimeout.
	Flush() error
}

// Hello is the first thing that a stream tells.
type Hello struct {
	// Cursor is from where what follows can be had again.
	Cursor string
	// Resumed: the client goes on where it was, without a gap.
	Resumed bool
	// Gap: a gap comes next, so the client must not take Cursor for its own yet.
	Gap    bool
	Ping   time.Duration
	Counts inbox.Counts
}

// A Part is the items From up to To of a batch, in one flush. The batch's gap
// belongs to the part that begins with item 0.
type Part struct {
	*inbox.Batch
	From, To int
	// Changed: the counters are not what the client was told last.
	Changed bool
}

// Stream serves the session until it ends, and says why: a Reason when the
// server ended it and told so, the context's cause when the client is gone, or
// the error of the flush that failed. An error of the reader before the first
// flush comes as it is, for the caller to answer; later the client is told bye
// and the error is wrapped in a Reason.
func Stream(ctx context.Context, s Session, e Encoder, l Limits) error {
	ctx, cancel := s.until(ctx)
	defer cancel()
	if l.Rotate > 0 {
		ctx, cancel = context.WithTimeoutCause(ctx, around(l.Rotate, 0.2), Rotate)
		defer cancel()
	}
	b, err := s.Reader.Next(ctx, l.FlushEntries)
	if err != nil {
		return ended(ctx, err)
	}
	st := stream{s: &s, e: e, l: l, counts: b.Counts}
	defer func() { st.stop() }()
	e.Hello(st.hello(&b))
	for {
		if err := st.tell(&b); err != nil {
			return err
		}
		if b, err = st.next(ctx, b.More); err != nil {
			return st.bye(ctx, err)
		}
	}
}

// A stream is what Stream knows while it runs.
type stream struct {
	s      *Session
	e      Encoder
	l      Limits
	counts inbox.Counts // as last told
	said   time.Time    // when something was last flushed

	gathered *time.Timer // nil until the first flush

	// wait is the context of the next waits, over when a ping may be due. It
	// serves until then, however many batches come.
	wait   context.Context
	cancel context.CancelFunc
}

func (st *stream) hello(b *inbox.Batch) Hello {
	h := Hello{Ping: st.l.Ping, Counts: b.Counts, Cursor: st.s.Place}
	switch {
	case b.Gap != nil:
		h.Gap, h.Cursor = true, b.Gap.From
	case st.s.Place != "":
		h.Resumed = true
	default:
		h.Cursor = string(b.AppendCursor(nil, -1))
	}
	return h
}

// tell writes a batch, in parts of a bounded size.
func (st *stream) tell(b *inbox.Batch) error {
	p := Part{Batch: b}
	size := 0
	for i := range b.Items {
		n := b.Items[i].Size()
		if size += n; i > p.From && size > st.l.FlushBytes {
			p.To = i
			if err := st.flush(p); err != nil {
				return err
			}
			p.From, size = i, n
		}
	}
	p.To = len(b.Items)
	p.Changed = b.Counts != st.counts
	st.counts = b.Counts
	return st.flush(p)
}

func (st *stream) flush(p Part) error {
	st.e.Part(p)
	if err := st.e.Flush(); err != nil {
		return err
	}
	st.said = time.Now()
	st.s.delivered(p.To - p.From)
	if st.s.Reached != nil {
		st.s.Reached(p.Reach(p.To))
	}
	return nil
}

// next waits for the next batch, and pings meanwhile.
func (st *stream) next(ctx context.Context, more bool) (inbox.Batch, error) {
	if more {
		return st.s.Reader.Next(ctx, st.l.FlushEntries) // no waiting, no ping
	}
	if err := st.gather(ctx); err != nil {
		return inbox.Batch{}, err
	}
	for {
		wait := st.waiting(ctx)
		b, err := st.s.Reader.Next(wait, st.l.FlushEntries)
		switch {
		case err == nil:
			return b, nil
		case ctx.Err() != nil || wait.Err() == nil:
			return b, err
		case b.Cursor == "":
			// The ping fell into the reading of a body, and the reader has passed
			// what it could not give. The client has not, and comes back for it.
			return b, Rotate
		}
		if st.due() > 0 {
			continue // something was said since the wait began
		}
		// Nothing was found up to here, so the client may go on from here.
		st.e.Ping(st.s.Reader.Cursor())
		if err := st.e.Flush(); err != nil {
			return b, flushError{err}
		}
		st.said = time.Now()
	}
}

// gather lets come together what follows a flush.
func (st *stream) gather(ctx context.Context) error {
	d := st.l.Gather - time.Since(st.said)
	if d <= 0 {
		return nil
	}
	if st.gathered == nil {
		st.gathered = time.NewTimer(d)
	} else {
		st.gathered.Reset(d)
	}
	select {
	case <-st.gathered.C:
		return nil
	case <-ctx.Done():
		st.gathered.Stop()
		return ctx.Err()
	}
}

// due is how long the stream may still be silent.
func (st *stream) due() time.Duration { return st.l.Ping*9/10 - time.Since(st.said) }

// waiting is a context that ends when a ping may be due: one for many waits.
func (st *stream) waiting(ctx context.Context) context.Context {
	if st.wait == nil || st.wait.Err() != nil {
		st.stop()
		next := max(st.due(), 0) + time.Duration(rand.Float64()*float64(st.l.Ping/5))
		st.wait, st.cancel = context.WithTimeout(ctx, next)
	}
	return st.wait
}

func (st *stream) stop() {
	if st.cancel != nil {
		st.cancel()
	}
}

// A flushError is the client's, who cannot be told anything any more.
type flushError struct{ error }

func (e flushError) Unwrap() error { return e.error }

// bye tells the client why the stream ends, unless it is gone.
func (st *stream) bye(ctx context.Context, err error) error {
	var reason Reason
	var gone flushError
	switch cause := context.Cause(ctx); {
	case errors.As(err, &gone):
		return err
	case cause != nil && !errors.As(cause, &reason):
		return cause
	case cause != nil || errors.As(err, &reason):
		err = reason
	case errors.Is(err, inbox.ErrStale):
		reason, err = Stale, fmt.Errorf("%w: %w", Stale, err)
	default:
		reason, err = Unavailable, fmt.Errorf("%w: %w", Unavailable, err)
	}
	// Full jitter: those who are sent away together do not return together.
	st.e.Bye(reason, time.Duration(rand.Float64()*float64(st.l.Retry)))
	if gone := st.e.Flush(); gone != nil {
		return gone
	}
	return err
}
