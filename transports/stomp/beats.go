package stomp

import (
	"cmp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how many intervals a client may be silent. A page in the background
// may do something once a minute only.
const patience = 4

func (o *Options) beat() time.Duration { return cmp.Or(o.Beat, defaultBeat) }

// agreeBeats reads what a client can and wants: from is how often it will be heard,
// to is how often it wants to hear; 0 is never.
func (o *Options) agreeBeats(f *frame) (from, to time.Duration, err error) {
	text, told := f.get("heart-beat")
	if !told {
		return 0, 0, nil
	}
	can, wants, found := strings.Cut(text, ",")
	cx, err1 := strconv.ParseUint(strings.TrimSpace(can), 10, 31)
	cy, err2 := strconv.ParseUint(strings.TrimSpace(wants), 10, 31)
	if !found || err1 != nil || err2 != nil {
		return 0, 0, malformed("heart-beat is two numbers of milliseconds, such as 10000,10000")
	}
	if cx > 0 {
		from = max(time.Duration(cx)*time.Millisecond, 2*o.beat())
	}
	if cy > 0 {
		to = max(time.Duration(cy)*time.Millisecond, o.beat())
	}
	return from, to, nil
}

// beats are the heart-beats of one conversation, both ways.
type beats struct {
	c        *Conversation
	lastSaid atomic.Int64 // Unix nanoseconds
	lastHear atomic.Int64

	mu       sync.Mutex
	from, to time.Duration
	timer    *time.Timer // nil where there are none, or no more
}

func (b *beats) said()  { b.lastSaid.Store(time.Now().UnixNano()) }
func (b *beats) heard() { b.lastHear.Store(time.Now().UnixNano()) }

func (b *beats) start(from, to time.Duration) {
	if from == 0 && to == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.from, b.to = patience*from, to-to/8 // a little more often than promised
	// Its goroutine ends when the client has taken a beat, or has had its time.
	b.timer = time.AfterFunc(b.next(), b.beat)
}

func (b *beats) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
}

// since is how long ago something was.
func since(at *atomic.Int64) time.Duration { return time.Duration(time.Now().UnixNano() - at.Load()) }

// next is when there may be something to do.
func (b *beats) next() time.Duration {
	var next time.Duration
	if b.to > 0 {
		next = b.to - since(&b.lastSaid)
	}
	if b.from > 0 {
		if left := b.from - since(&b.lastHear); b.to == 0 || left < next {
			next = left
		}
	}
	return max(next, time.Millisecond)
}

func (b *beats) beat() {
	c := b.c
	if c.Over() {
		return
	}
	if b.from > 0 && since(&b.lastHear) >= b.from {
		c.End(&failure{code: CodeGoingAway, message: "no heart-beat in time"})
		return
	}
	if b.to > 0 && since(&b.lastSaid) >= b.to {
		c.say([]byte{'\n'})
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Reset(b.next())
	}
}
