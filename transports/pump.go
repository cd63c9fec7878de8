package transports

import (
	"context"
	"runtime"
	"sync"
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
	l     Limits
	wheel wheel

	mu    sync.Mutex
	line  []*Stream // those that wait for their turn, in a ring
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
			st, more := p.next()
			if st == nil {
				break
			}
			if more && n == 1 {
				p.call() // another worker
			}
			st.turn()
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

// enqueue puts a stream at the end of the line.
func (p *Pump) enqueue(st *Stream) {
	p.mu.Lock()
	if p.count == len(p.line) {
		p.grow()
	}
	p.line[(p.head+p.count)&(len(p.line)-1)] = st
	p.count++
	first := p.count == 1
	p.mu.Unlock()
	if first {
		p.call()
	}
}

func (p *Pump) grow() {
	line := make([]*Stream, max(64, 2*len(p.line)))
	n := copy(line, p.line[p.head:])
	copy(line[n:], p.line[:p.head])
	p.line, p.head = line, 0
}

// next takes the first of the line; more says that others follow.
func (p *Pump) next() (st *Stream, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count == 0 {
		if len(p.line) > 4096 {
			p.line, p.head = nil, 0 // after a rush
		}
		return nil, false
	}
	st = p.line[p.head]
	p.line[p.head] = nil
	p.head = (p.head + 1) & (len(p.line) - 1)
	p.count--
	return st, p.count > 0
}

// Where a stream stands in the pump.
const (
	atRest  int32 = iota
	inLine        // waits for its turn
	atTurn        // a goroutine serves it
	rungFor       // the same, and something may have come since
)

// wake puts the stream in line, unless it stands there.
func (st *Stream) wake() {
	for {
		switch at := st.at.Load(); at {
		case inLine, rungFor:
			return
		case atRest:
			if st.at.CompareAndSwap(atRest, inLine) {
				st.p.enqueue(st)
				return
			}
		default:
			if st.at.CompareAndSwap(at, rungFor) {
				return
			}
		}
	}
}

// turn lets the stream tell what is new.
func (st *Stream) turn() {
	st.at.Store(atTurn)
	if !st.step(false) {
		// Ends when the client has taken what it gets, or has had its time.
		go func() {
			st.step(true)
			st.rest()
		}()
		return
	}
	st.rest()
}

// rest ends a turn.
func (st *Stream) rest() {
	if !st.at.CompareAndSwap(atTurn, atRest) {
		st.at.Store(inLine)
		st.p.enqueue(st)
	}
}

// now is the pump's clock: the time since it was made.
func (p *Pump) now() time.Duration { return time.Since(p.wheel.begin) }
