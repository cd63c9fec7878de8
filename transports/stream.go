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
// methods are called by one goroutine at a time. Those of its own only collect,
// and what they are given is valid during the call.
type Encoder interface {
	Flusher
	// Hello opens the stream.
	Hello(Hello)
	// Part tells what a reader found, or a part of it.
	Part(Part)
	// Ping tells that the stream lives; the cursor is where the reader stands. stale:
	// the node has lost touch with the log.
	Ping(cursor string, stale bool)
	// Bye ends the stream; retry is when to come back.
	Bye(reason Reason, retry time.Duration)
}

// A Flusher sends what an Encoder has collected.
type Flusher interface {
	// Flush sends what was collected, as far as the client's side takes it at
	// once; done is false when something is left, and then Settle is called
	// before anything else.
	Flush() (done bool, err error)
	// Settle waits until the client's side has taken the rest. It returns with an
	// error after Limits.WriteTimeout.
	Settle() error
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

// A Stream is what a pump serves. Its methods may be called by many goroutines at
// once.
type Stream struct {
	unit
	s     Session
	e     Encoder
	ended func(error)

	// Of the goroutine at turn. Times are those of the pump's clock.
	begun     bool
	unsettled bool          // the client has not taken all of the last flush
	reaches   bool          // it delivers something, which is reach
	flying    int32         // the entries in it, which are no more than Limits.FlushEntries
	counts    inbox.Counts  // as last told
	said      time.Duration // when something was last flushed
	quiet     time.Duration // how long it may be silent after that
	rotates   time.Duration // when its life is over; 0 is never
	expires   time.Duration // when its right to read is over; 0 is never
	reach     inbox.Reach
	left      *rest // of a batch that was told in part
	ending    error // bye was told; this is why
}

// A rest is what of a batch is still to be told.
type rest struct {
	batch inbox.Batch
	from  int
}

// Stream prepares to serve the session, whose reader is the pump's from Start on
// and closed in the end. ended is called once, with why it is over: a Reason where
// the server ended it and told so, End's cause where that is none, or the error
// of the flush that failed. An error of the reader before the first flush comes
// as it is; later the client is told bye and the error is wrapped in a Reason.
// ended must not wait.
func (p *Pump) Stream(s Session, e Encoder, ended func(error)) *Stream {
	st := &Stream{s: s, e: e, ended: ended, quiet: around(p.l.Ping, 0.1)}
	st.p, st.t = p, st
	s.Reader.OnRing(st.wake)
	if p.l.Rotate > 0 && !s.Lasting {
		st.rotates = p.now() + around(p.l.Rotate, 0.2)
	}
	if !s.Expires.IsZero() {
		st.expires = max(p.now()+time.Until(s.Expires), 1)
	}
	return st
}

// Serve is Stream for a caller that waits for the end. The end of the context
// ends the stream with the context's cause.
func (p *Pump) Serve(ctx context.Context, s Session, e Encoder) error {
	ended := make(chan error, 1)
	st := p.Stream(s, e, func(err error) { ended <- err })
	st.Start()
	stop := context.AfterFunc(ctx, func() { st.End(context.Cause(ctx)) })
	defer stop()
	return <-ended
}

// step implements turner.
func (st *Stream) step(wait bool) bool {
	for {
		switch {
		case st.over.Load():
			return true
		case st.unsettled && !wait:
			return false
		case st.unsettled:
			st.settle()
		case st.ending != nil:
			st.finish(st.ending)
		case st.left != nil:
			left := st.left
			st.left = nil
			st.tell(&left.batch, left.from)
		default:
			if rests, must := st.find(wait); must {
				return false
			} else if rests {
				return true
			}
		}
	}
}

// find looks for something to tell, and tells it. rests says that there is
// nothing more, must that the log has to be asked, which takes time.
func (st *Stream) find(wait bool) (rests, must bool) {
	now := st.p.now()
	if err := st.outlived(now); err != nil {
		st.bye(err)
		return false, false
	}
	b, ok := st.s.Reader.Look(st.p.l.FlushEntries)
	if !ok {
		if !wait {
			return false, true
		}
		var err error
		// Bounded by the reader and by the log.
		if b, err = st.s.Reader.Read(context.Background(), st.p.l.FlushEntries); err != nil {
			st.bye(err)
			return false, false
		}
	}
	switch {
	case !st.begun:
		st.e.Hello(st.hello(&b))
		st.begun, st.counts = true, b.Counts
	case b.Gap != nil, len(b.Items) > 0, b.Counts != st.counts:
	case now >= st.said+st.quiet:
		// Nothing was found up to here, so the client may go on from here.
		st.e.Ping(st.s.Reader.Cursor(), b.Counts.Stale)
		st.flush(0)
		return false, false
	default:
		st.park(st.next())
		return true, false
	}
	st.tell(&b, 0)
	if b.More || st.unsettled || st.left != nil || st.ending != nil || st.over.Load() {
		return false, false
	}
	// What came since then has rung, and a unit that is rung for in its turn gets
	// another one: there is no need to look again.
	st.park(st.next())
	return true, false
}

// outlived says why the stream has to end now, if it has.
func (st *Stream) outlived(now time.Duration) error {
	if cause := st.endedBy(); cause != nil {
		return cause
	}
	switch {
	case st.expires != 0 && now >= st.expires:
		return Expired
	case st.rotates != 0 && now >= st.rotates:
		return Rotate
	}
	return nil
}

func (st *Stream) hello(b *inbox.Batch) Hello {
	h := Hello{Ping: st.p.l.Ping, Counts: b.Counts, Cursor: st.s.Place}
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

// tell writes a batch from an item on, in parts of a bounded size.
func (st *Stream) tell(b *inbox.Batch, from int) {
	p := Part{Batch: b, From: from}
	size := 0
	for i := from; i < len(b.Items); i++ {
		n := b.Items[i].Size()
		if size += n; i > p.From && size > st.p.l.FlushBytes {
			p.To = i
			st.part(&p)
			if st.over.Load() {
				return
			}
			if st.unsettled {
				st.left = &rest{*b, i}
				return
			}
			p.From, size = i, n
		}
	}
	p.To = len(b.Items)
	p.Changed = b.Counts != st.counts
	st.counts = b.Counts
	st.part(&p)
}

// part sends a part of a batch.
func (st *Stream) part(p *Part) {
	st.e.Part(*p)
	if st.s.Reached != nil {
		st.reach, st.reaches = p.Reach(p.To), true
	}
	st.flush(p.To - p.From)
}

// flush sends what was collected, with so many entries in it.
func (st *Stream) flush(entries int) {
	done, err := st.e.Flush()
	if st.flying = int32(entries); err != nil { //nolint:gosec // see there
		st.finish(err)
		return
	}
	if st.unsettled = !done; done {
		st.taken()
	}
}

// settle waits for the client.
func (st *Stream) settle() {
	if err := st.e.Settle(); err != nil {
		st.finish(err)
		return
	}
	st.unsettled = false
	st.taken()
}

// taken notes that the client's side has all of the last flush.
func (st *Stream) taken() {
	st.said = st.p.now()
	st.s.delivered(int(st.flying))
	if st.reaches {
		st.reaches = false
		st.s.Reached(st.reach)
	}
}

// next is when the stream may have to ping or to end.
func (st *Stream) next() time.Duration {
	next := st.said + st.quiet
	for _, end := range [...]time.Duration{st.rotates, st.expires} {
		if end != 0 {
			next = min(next, end)
		}
	}
	return next
}

// bye tells the client why the stream ends, unless nothing was told yet or it is
// gone.
func (st *Stream) bye(err error) {
	var cause causeOfEnd
	var reason Reason
	asked := errors.As(err, &cause)
	if asked {
		err = cause.error
	}
	isReason := errors.As(err, &reason)
	switch {
	case !st.begun, asked && !isReason:
		st.finish(err)
		return
	case isReason:
		err = reason
	case errors.Is(err, inbox.ErrStale):
		reason, err = Stale, fmt.Errorf("%w: %w", Stale, err)
	default:
		reason, err = Unavailable, fmt.Errorf("%w: %w", Unavailable, err)
	}
	st.ending = err
	// Full jitter: those who are sent away together do not return together.
	st.e.Bye(reason, time.Duration(rand.Float64()*float64(st.p.l.Retry)))
	st.flush(0)
}

// fail implements turner.
func (st *Stream) fail(err error) { st.finish(err) }

// finish is the end.
func (st *Stream) finish(err error) {
	if st.over.Swap(true) {
		return
	}
	st.s.Reader.Close()
	st.ended(err)
	// It may stand in the wheel for a while yet; what it had need not.
	st.s, st.e, st.ended, st.left = Session{}, nil, nil, nil
}
