package transports

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Pump serves streams on a few goroutines: a stream that is silent has none of
// its own. A stream that was rung for waits in line; a worker lets it tell what
// is new, without waiting for anything. Who has to wait, because its client does
// not take what it gets or the log has to be asked, goes on in a goroutine of its
// own until it is through.
//
// So under load nothing is queued but the streams themselves: the longer the
// line, the more each finds when it comes to its turn.
type Pump struct {
	// Logger hears of panics; nil is silent. It is set before Run.
	Logger *slog.Logger

	l       Limits
	wheel   wheel
	waiting atomic.Int64 // units whose turn has a goroutine of its own

	mu    sync.Mutex
	line  []*unit // those that wait for their turn, in a ring
	head  int
	count int
	work  chan struct{} // a slot for each worker: somebody stands in line
}

// NewPump returns a Pump for streams within these limits, defaults filled in. It
// does nothing until Run.
func NewPump(l Limits) *Pump {
	p := &Pump{l: l.WithDefaults(), work: make(chan struct{}, runtime.GOMAXPROCS(0))}
	p.wheel.init(p.l.Ping)
	return p
}

// Run serves until the context ends.
func (p *Pump) Run(ctx context.Context) {
	var all sync.WaitGroup
	for range cap(p.work) {
		all.Go(func() { p.serve(ctx) }) // ends with the context
	}
	p.wheel.turn(ctx)
	all.Wait()
}

// turnsAtOnce is how many streams a worker serves before it lets others have the
// processor, publishers among them.
const turnsAtOnce = 16

func (p *Pump) serve(ctx context.Context) {
	for {
		select {
		case <-p.work:
		case <-ctx.Done():
			return
		}
		for n := 1; ; n++ {
			u, more := p.next()
			if u == nil {
				break
			}
			if more && n == 1 {
				p.call() // another worker
			}
			u.turn()
			if n%turnsAtOnce == 0 {
				runtime.Gosched()
			}
		}
	}
}

// call wakes a worker, unless all are awake.
func (p *Pump) call() {
	select {
	case p.work <- struct{}{}:
	default:
	}
}

// enqueue puts a unit at the end of the line.
func (p *Pump) enqueue(u *unit) {
	p.mu.Lock()
	if p.count == len(p.line) {
		p.grow()
	}
	p.line[(p.head+p.count)&(len(p.line)-1)] = u
	p.count++
	first := p.count == 1
	p.mu.Unlock()
	if first {
		p.call()
	}
}

// Behind is how many streams and held polls have something to tell that they have
// not told yet: inLine wait for their turn, waiting for their client to take what
// it gets, or for the log.
func (p *Pump) Behind() (inLine, waiting int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count, int(p.waiting.Load())
}

func (p *Pump) grow() {
	line := make([]*unit, max(64, 2*len(p.line)))
	n := copy(line, p.line[p.head:])
	copy(line[n:], p.line[:p.head])
	p.line, p.head = line, 0
}

// next takes the first of the line; more says that others follow.
func (p *Pump) next() (u *unit, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		if len(p.line) > 4096 {
			p.line, p.head = nil, 0 // after a rush
		}
		return nil, false
	}
	u = p.line[p.head]
	p.line[p.head] = nil
	p.head = (p.head + 1) & (len(p.line) - 1)
	p.count--
	return u, p.count > 0
}

// A unit is what a pump serves: a stream, or a poll that is held.
type unit struct {
	p        *Pump
	t        turner
	at       atomic.Int32 // where it stands in the pump
	over     atomic.Bool  // it has ended
	parked   atomic.Bool  // it stands in the wheel
	deadline atomic.Int64 // of the wheel, by the pump's clock
	cause    atomic.Value // of End: a causeOfEnd
}

// A turner does what a unit does at its turn: step tells what is new, and returns
// true when there is no more. It returns false where it would have to wait
// although it must not, and goes on from there when it is called again. fail ends
// the unit after a panic, without another word to the client.
type turner interface {
	step(wait bool) bool
	fail(err error)
}

type causeOfEnd struct{ error }

// Start begins to serve. It is called once, and does not wait.
func (u *unit) Start() {
	u.at.Store(inLine)
	u.p.enqueue(u)
}

// End ends the unit with a cause, when it is started at the earliest: a Reason is
// told to the client. Only the first call counts, and none after the end. It does
// not wait. Many goroutines may call it.
func (u *unit) End(cause error) {
	if u.cause.CompareAndSwap(nil, causeOfEnd{cause}) {
		u.wake()
	}
}

// endedBy is the cause that End was called with, or nil.
func (u *unit) endedBy() error {
	if cause, ok := u.cause.Load().(causeOfEnd); ok {
		return cause
	}
	return nil
}

// park puts the unit into the wheel, which wakes it when its deadline has come.
func (u *unit) park(deadline time.Duration) {
	u.deadline.Store(int64(deadline))
	if !u.parked.Swap(true) {
		u.p.wheel.add(u, deadline-u.p.now())
	}
}

// Where a unit stands in the pump.
const (
	unstarted int32 = iota
	atRest
	inLine  // waits for its turn
	atTurn  // a goroutine serves it
	rungFor // the same, and something may have come since
)

// wake puts the unit in line, unless it stands there or has not been started.
func (u *unit) wake() {
	for {
		switch at := u.at.Load(); at {
		case unstarted, inLine, rungFor:
			return
		case atRest:
			if u.at.CompareAndSwap(atRest, inLine) {
				u.p.enqueue(u)
				return
			}
		default:
			if u.at.CompareAndSwap(at, rungFor) {
				return
			}
		}
	}
}

// turn lets the unit tell what is new.
func (u *unit) turn() {
	u.at.Store(atTurn)
	if !u.step(false) {
		u.p.waiting.Add(1)
		// Ends when the client has taken what it gets, or has had its time.
		go func() {
			u.step(true)
			u.p.waiting.Add(-1)
			u.rest()
		}()
		return
	}
	u.rest()
}

// errPanic ends a unit whose turn panicked, instead of the end of all.
var errPanic = errors.New("a stream panicked")

// step is the turner's, which may panic.
func (u *unit) step(wait bool) (done bool) {
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		if u.p.Logger != nil {
			u.p.Logger.Error("a stream panicked", "reason", r, "stack", string(debug.Stack()))
		}
		done = true
		u.t.fail(errPanic)
	}()
	return u.t.step(wait)
}

// rest ends a turn.
func (u *unit) rest() {
	if !u.at.CompareAndSwap(atTurn, atRest) {
		u.at.Store(inLine)
		u.p.enqueue(u)
	}
}

// now is the pump's clock: the time since it was made.
func (p *Pump) now() time.Duration { return time.Since(p.wheel.begin) }
