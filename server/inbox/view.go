package inbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// DefaultWindow is how much memory the window may take, in bytes.
const DefaultWindow = 64 << 20

// staleAfter is how long a node may go without reaching the end of the log
// before it says that it is stale.
const staleAfter = 3 * time.Second

// ErrStale: the node has not caught up with the log in time.
var ErrStale = errors.New("this node has lost touch with the log")

// ViewOptions are the settings of a View; their zero values are good.
type ViewOptions struct {
	// Window is the memory for the newest entries, in bytes; 0 is DefaultWindow.
	Window int
	// Unassigned are the groups of a device that the directory does not know.
	Unassigned []string
	// Retry is the pause before the log is loaded again after a failure; 0 is
	// 250 ms.
	Retry time.Duration
	// Trail is how many changes of alarms' places in lists are remembered, for
	// lists to be paged as they were when they were begun; 0 is 131,072, about 5 MB.
	Trail int
	// FloodCheck is how often it is looked whether floods have ended for want of
	// alarms; 0 is 1 s.
	FloodCheck time.Duration
	// TouchCheck is how often the log's leader is asked how far the log has come; 0
	// is 1 s.
	TouchCheck time.Duration
	// Topic, unless nil, hears of each entry of a topic once the head has reached
	// it, one after the other; it must not wait. The entry's body is not to be
	// changed. Reloaded, unless nil, hears that the log had to be loaded again:
	// Topic may have missed entries.
	Topic    func(Entry)
	Reloaded func()
	// Now is the server's clock; nil is time.Now.
	Now func() time.Time
	// Observe, unless nil, hears of each change that readers are told of while the
	// view is served. One goroutine calls it, which it holds up.
	Observe func(Observed)
	// Logger hears of reloads; nil is silent.
	Logger *slog.Logger
}

// A View is the log replayed into memory.
type View struct {
	log   Source
	o     ViewOptions
	bells bells
	ready chan struct{} // closed once the first state is loaded

	mu    sync.RWMutex
	s     *state
	gen   uint64 // rises with every reload
	marks map[string]Mark
	heads []headWait

	stale    atomic.Bool   // as setStale said last; in the state for the counters
	appended atomic.Uint64 // highest sequence that this node has appended
	gaps     gapCounts

	misrouted chan struct{} // a slot: alarms wait to be moved
	due       chan struct{} // a slot: something is due earlier than before
	rungDue   int64         // what was due first when due was filled; the tail's own
}

type headWait struct {
	seq  uint64
	done chan struct{}
}

// NewView returns a view of the log; it holds nothing until Run.
func NewView(log Source, o ViewOptions) *View {
	if o.Window <= 0 {
		o.Window = DefaultWindow
	}
	if o.Trail <= 0 {
		o.Trail = 1 << 17
	}
	if o.FloodCheck <= 0 {
		o.FloodCheck = time.Second
	}
	if o.TouchCheck <= 0 {
		o.TouchCheck = time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Retry <= 0 {
		o.Retry = 250 * time.Millisecond
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	v := &View{log: log, o: o, ready: make(chan struct{}), marks: map[string]Mark{}, misrouted: make(chan struct{}, 1), due: make(chan struct{}, 1)}
	v.s = newState(&v.bells, o)
	return v
}

// Run loads the log and follows it until the context ends; it returns the
// context's error. Whatever else goes wrong it logs, and loads again.
func (v *View) Run(ctx context.Context) error {
	checks, stop := context.WithCancel(ctx)
	var checking sync.WaitGroup
	checking.Go(func() { v.checkFloods(checks) }) // ends when Run does
	checking.Go(func() { v.keepTouch(checks) })   // ends when Run does
	defer checking.Wait()
	defer stop()
	for {
		err := v.run(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		v.o.Logger.Warn("the view loads the log again", "reason", err)
		if errors.Is(err, errShifted) || errors.Is(err, errReload) {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(v.o.Retry):
		}
	}
}

// errReload: what the tail brought does not follow the state.
var errReload = errors.New("the tail does not follow what was loaded")

func (v *View) run(ctx context.Context) error {
	s, err := v.load(ctx)
	if err != nil {
		return err
	}
	v.swap(s)
	err = v.log.Scan(ctx, Scan{From: s.head + 1, Follow: true}, func(m Message) error {
		if m.Seq != s.head+1 {
			return fmt.Errorf("%w: %d came after %d", errReload, m.Seq, s.head)
		}
		e, err := Decode(m)
		if err != nil {
			return err
		}
		if !s.knows(&e) {
			return fmt.Errorf("%w: %d is of the unknown epoch %q", errReload, m.Seq, e.Epoch)
		}
		v.advance(s, &e, m.Data)
		return nil
	})
	if err == nil {
		err = errors.New("the tail ended")
	}
	return err
}

// knows says whether the state has met the entry's epoch, nearly always the
// last one. An entry without one is a test's.
func (s *state) knows(e *Entry) bool {
	if e.Epoch == "" || e.Subject == SubjectEpoch {
		return true
	}
	for i := len(s.epochs) - 1; i >= 0; i-- {
		if s.epochs[i].Name == e.Epoch {
			return true
		}
	}
	return false
}

// swap makes a newly loaded state the one that readers see.
func (v *View) swap(s *state) {
	v.mu.Lock()
	s.stale = v.stale.Load()
	v.s = s
	v.gen++
	s.trail.restart(s.head)
	v.publish(s)
	v.rungDue = 0
	v.ringDue(s)
	v.mu.Unlock()
	select {
	case <-v.ready:
		if v.o.Reloaded != nil {
			v.o.Reloaded()
		}
	default:
		close(v.ready)
	}
	v.ringMisrouted(s)
	v.bells.ringAll()
}

// advance applies one entry and then wakes whoever may read it.
func (v *View) advance(s *state, e *Entry, data []byte) {
	v.mu.Lock()
	s.apply(e, data)
	v.publish(s)
	v.ringDue(s)
	v.mu.Unlock()
	s.wake(e)
	v.ringMisrouted(s)
	if v.o.Topic != nil && strings.HasPrefix(e.Subject, prefixTopic) {
		v.o.Topic(*e)
	}
	if v.o.Observe != nil && isItem(e.Subject) && !e.Quiet {
		v.o.Observe(Observed{min(e.Severity, Critical), e.AnnouncedAt() == e.Seq, e.At, e.Stored})
	}
}

// Observed is a change that readers are told of, for those who count.
type Observed struct {
	Severity Severity // 0 of a notice
	// New: it announces something, a raise, an escalation or a notice.
	New bool
	// At is when it happened, Stored when the log took it.
	At, Stored time.Time
}

// publish tells those who wait for the head.
func (v *View) publish(s *state) {
	if len(v.heads) == 0 {
		return
	}
	v.heads = slices.DeleteFunc(v.heads, func(w headWait) bool {
		if w.seq > s.head {
			return false
		}
		close(w.done)
		return true
	})
}

func (v *View) ringMisrouted(s *state) {
	if len(s.misrouted) > 0 {
		select {
		case v.misrouted <- struct{}{}:
		default:
		}
	}
}

// Ready is closed once the view holds the whole log.
func (v *View) Ready() <-chan struct{} { return v.ready }

// Head is the sequence up to which readers are served.
func (v *View) Head() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.head
}

// Wait returns once the head has reached the sequence, so that what was just
// appended is seen by what follows. ErrStale after 3 s, or the context's error.
func (v *View) Wait(ctx context.Context, seq uint64) error {
	v.mu.Lock()
	if v.s.head >= seq {
		v.mu.Unlock()
		return nil
	}
	w := headWait{seq: seq, done: make(chan struct{})}
	v.heads = append(v.heads, w)
	v.mu.Unlock()
	timer := time.NewTimer(staleAfter)
	defer timer.Stop()
	var err error
	select {
	case <-w.done:
		return nil
	case <-timer.C:
		err = ErrStale
	case <-ctx.Done():
		err = ctx.Err()
	}
	v.mu.Lock()
	v.heads = slices.DeleteFunc(v.heads, func(x headWait) bool { return x.done == w.done })
	v.mu.Unlock()
	return err
}

// Appended tells the view how far this node itself has appended. Who begins to
// read here afterwards waits for it, so that he finds what he has just published;
// the publisher does not wait.
func (v *View) Appended(seq uint64) {
	for {
		was := v.appended.Load()
		if seq <= was || v.appended.CompareAndSwap(was, seq) {
			return
		}
	}
}

// catchUpTimeout bounds CatchUp: a view that lags longer keeps nobody waiting.
const catchUpTimeout = 500 * time.Millisecond

// CatchUp waits until the view has what this node had appended when it was
// called, for half a second at most.
func (v *View) CatchUp(ctx context.Context) {
	seq := v.appended.Load()
	if v.Head() >= seq {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTimeout)
	defer cancel()
	_ = v.Wait(ctx, seq)
}

// Newest returns the newest entry of a subject, as this view knows it, from
// memory or from the log. ok is false when there is none.
func (v *View) Newest(ctx context.Context, subject string) (e Entry, ok bool, err error) {
	v.mu.RLock()
	r := v.s.records[subject]
	var data []byte
	var seq uint64
	if r != nil {
		data, seq = r.data, r.seq
	}
	v.mu.RUnlock()
	switch {
	case r == nil:
		return Entry{}, false, nil
	case data == nil:
		m, err := v.log.At(ctx, seq)
		if errors.Is(err, ErrNotFound) {
			return Entry{}, false, nil
		}
		if err != nil {
			return Entry{}, false, fmt.Errorf("read the newest entry of %s: %w", subject, err)
		}
		e, err = Decode(m)
		return e, err == nil, err
	}
	e, err = Decode(Message{Seq: seq, Subject: subject, Data: data})
	return e, err == nil, err
}

// Purged is the sequence below which everything is gone.
func (v *View) Purged() uint64 {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.s.purged
}
