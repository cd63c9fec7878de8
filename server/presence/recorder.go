package presence

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"runtime"
	"slices"
	"time"

	"tocsin/server/inbox"
)

const (
	// checkpoint is how often positions are recorded: the resolution of evidence.
	checkpoint = time.Second
	// keyEvery is within what time every session is stated again.
	keyEvery = time.Minute
	// maxStated bounds the statements in one message; the others come with the
	// next one, a second later.
	maxStated = 5000
	// lastAppend bounds the last checkpoint of a node that goes down.
	lastAppend = 2 * time.Second
)

// A Feed is where evidence is kept. natslog has it.
type Feed interface {
	// Append stores data behind all others.
	Append(ctx context.Context, data []byte) error
	// Scan calls each for what was stored at or after since, in order, up to what
	// was last when it began; an error of each ends it and is returned.
	Scan(ctx context.Context, since time.Time, each func(at time.Time, data []byte) error) error
}

// A Recorder appends to the feed what has become of a registry's sessions: one
// message a second at most, and none while nothing moves.
type Recorder struct {
	r       *Registry
	feed    Feed
	logger  *slog.Logger
	packer  packer
	key     time.Time // when everything was last stated again
	keyed   bool      // what was stated before key is still to be stated
	begun   bool      // the feed knows that recording has begun
	round   uint64    // counts checkpoints
	pending []byte    // that the feed did not take
	failing bool
}

// NewRecorder returns a Recorder; logger may be nil.
func NewRecorder(r *Registry, feed Feed, logger *slog.Logger) *Recorder {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r.mu.Lock()
	r.recorded = true
	r.mu.Unlock()
	return &Recorder{r: r, feed: feed, logger: logger}
}

// Run records until the context ends, and then once more, so that what ended with
// the node is told. One goroutine calls it.
func (c *Recorder) Run(ctx context.Context) {
	c.checkpoint(ctx) // so that evidence begins here, though nobody is there yet
	tick := time.NewTicker(checkpoint)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.checkpoint(ctx)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastAppend)
			c.checkpoint(last)
			cancel()
			return
		}
	}
}

// checkpoint appends what has moved. What the feed does not take is tried again
// the next time, and nothing else is taken meanwhile.
func (c *Recorder) checkpoint(ctx context.Context) {
	if c.pending == nil {
		f := c.take()
		if f.empty() && c.begun {
			return
		}
		var err error
		if c.pending, err = c.packer.pack(f); err != nil {
			c.logger.Error("pack a checkpoint of the connections", "error", err)
			return
		}
	}
	err := c.feed.Append(ctx, c.pending)
	if errors.Is(err, inbox.ErrTooLarge) {
		// Positions that are missing now come with later moves, or with the next
		// statement.
		c.logger.Error("a checkpoint of the connections is lost", "bytes", len(c.pending), "error", err)
		err = nil
	}
	if err != nil {
		if !c.failing {
			c.logger.Warn("who got what is not recorded until the storage answers", "error", err)
		}
		c.failing = true
		return
	}
	c.pending, c.failing, c.begun = nil, false, true
}

// take notes what has become of the sessions since it was last called.
func (c *Recorder) take() *frame {
	r := c.r
	f := &frame{run: r.o.Run, node: r.o.Node}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Now()
	if now.Sub(c.key) >= keyEvery/2 {
		c.key, c.keyed = now, true
	}
	c.keyed = !c.noteAll(f, now) && c.keyed
	kept := r.ended[:0]
	for _, s := range r.ended {
		if !c.note(f, s, now) {
			kept = append(kept, s)
		} else if s.told != nil {
			f.ended = append(f.ended, s.id)
		}
	}
	clear(r.ended[len(kept):])
	if r.ended = kept; cap(kept) > 4*maxStated && len(kept) == 0 {
		r.ended = nil
	}
	if r.lost > 0 {
		c.logger.Warn("the end of some connections was not recorded", "connections", r.lost)
		r.lost = 0
	}
	slices.SortFunc(f.stated, func(a, b statement) int { return cmp.Compare(a.id, b.id) })
	slices.SortFunc(f.moved, func(a, b move) int { return cmp.Compare(a.id, b.id) })
	slices.Sort(f.ended)
	return f
}

// notedAtOnce is how many sessions are looked at before others get the processor
// and the lock. Thousands at once take milliseconds, each second, in which nobody is
// delivered to where there is one core.
const notedAtOnce = 128

// noteAll notes all sessions, and says whether there was room for them; under the
// lock, which it gives away in between. It goes down, since the last session takes
// the place of one that ends: it may be met twice then, which the round tells, but
// none is passed over.
func (c *Recorder) noteAll(f *frame, now time.Time) (whole bool) {
	whole = true
	c.round++
	for i, n := len(c.r.sessions)-1, 1; i >= 0; i, n = i-1, n+1 {
		if s := c.r.sessions[i]; s.round != c.round {
			s.round = c.round
			whole = c.note(f, s, now) && whole
		}
		if n%notedAtOnce == 0 {
			c.r.mu.Unlock()
			runtime.Gosched()
			c.r.mu.Lock()
			i = min(i, len(c.r.sessions))
		}
	}
	return whole
}

// note puts what has become of the session into the frame; false: there was no
// room.
func (c *Recorder) note(f *frame, s *Session, now time.Time) bool {
	at, b := s.position.load()
	switch {
	case b == nil: // nothing was delivered yet
	case b != s.told, c.keyed && !s.over && s.stated.Before(c.key):
		if len(f.stated) == maxStated {
			return false
		}
		f.stated = append(f.stated, statement{id: s.id, user: s.c.user, transport: s.c.transport,
			since: s.since.UnixMilli(), groups: b.groups, stretch: stretch{b.from, b.snapshot, at}})
		s.told, s.toldAt, s.stated = b, at, now
	case at != s.toldAt:
		f.moved = append(f.moved, move{s.id, at})
		s.toldAt = at
	}
	return true
}
