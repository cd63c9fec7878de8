package natslog

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// window is how many appends may be without an answer. The engine's queue takes
// 10,000 and refuses the rest, and with the largest entries that is a quarter of
// a gigabyte, which the default reserve of free space covers.
const window = 4096

// appends matches the engine's answers with the appends they belong to.
//
// The client library's PublishMsgAsync does the same with two channels and a
// timer for each message, and gives up by itself when its window stays full;
// here a whole batch waits on one channel, and a full window delays its sender.
type appends struct {
	nc     *nats.Conn
	prefix string // of the reply subjects; call and index follow
	slots  chan struct{}

	mu    sync.Mutex
	calls map[uint64]*call
	last  uint64
}

// call is a number of messages sent together.
type call struct {
	mu      sync.Mutex
	replies []*nats.Msg
	left    int
	done    chan struct{} // closed when left is 0
}

func newAppends(nc *nats.Conn) (*appends, error) {
	a := &appends{
		nc:     nc,
		prefix: nc.NewInbox() + ".",
		slots:  make(chan struct{}, window),
		calls:  make(map[uint64]*call),
	}
	sub, err := nc.Subscribe(a.prefix+"*", a.deliver)
	if err != nil {
		return nil, err
	}
	// The window bounds what can be pending; the library need not.
	return a, sub.SetPendingLimits(-1, -1)
}

// deliver takes an answer. Answers to calls that are over are dropped.
func (a *appends) deliver(m *nats.Msg) {
	id, index, _ := strings.Cut(m.Subject[len(a.prefix):], "-")
	n, err := strconv.ParseUint(id, 36, 64)
	i, err2 := strconv.ParseUint(index, 36, 31)
	if err != nil || err2 != nil {
		return
	}
	a.mu.Lock()
	c := a.calls[n]
	a.mu.Unlock()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if i >= uint64(len(c.replies)) || c.replies[i] != nil {
		return
	}
	c.replies[i] = m
	<-a.slots
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// ask sends n messages, made one after the other, and returns an answer for
// each; err is why some have none. It waits as long as answers keep coming, at
// most AckTimeout without any.
func (a *appends) ask(ctx context.Context, l *Log, n int, build func(int) *nats.Msg) ([]answer, error) {
	answers := make([]answer, n)
	if n == 0 {
		return answers, nil
	}
	c := &call{replies: make([]*nats.Msg, n), left: n, done: make(chan struct{})}
	a.mu.Lock()
	a.last++
	id := a.last
	a.calls[id] = c
	a.mu.Unlock()

	timer := time.NewTimer(l.opts.AckTimeout)
	defer timer.Stop()
	sent, err := 0, error(nil)
	reply := append(make([]byte, 0, len(a.prefix)+24), a.prefix...)
	reply = append(strconv.AppendUint(reply, id, 36), '-')
	for ; sent < n; sent++ {
		if err = a.acquire(ctx, l, timer); err != nil {
			break
		}
		m := build(sent)
		m.Reply = string(strconv.AppendUint(reply, uint64(sent), 36))
		if e := a.nc.PublishMsg(m); e != nil {
			answers[sent].sent = e
			c.unsent(a, sent)
		}
	}
	if err == nil {
		err = c.wait(ctx, l, timer)
	}
	a.mu.Lock()
	delete(a.calls, id)
	a.mu.Unlock()
	c.collect(a, answers, sent)
	return answers, err
}

// acquire takes a place in the window. The fast path costs no select.
func (a *appends) acquire(ctx context.Context, l *Log, timer *time.Timer) error {
	select {
	case a.slots <- struct{}{}:
		return nil
	default:
	}
	timer.Reset(l.opts.AckTimeout)
	select {
	case a.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		return errClosed
	case <-timer.C:
		return errNoAnswer
	}
}

// unsent settles a message that the connection did not take.
func (c *call) unsent(a *appends, i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.replies[i] = &nats.Msg{}
	<-a.slots
	if c.left--; c.left == 0 {
		close(c.done)
	}
}

// wait returns nil once everything is answered.
func (c *call) wait(ctx context.Context, l *Log, timer *time.Timer) error {
	for left := len(c.replies); ; {
		timer.Reset(l.opts.AckTimeout)
		select {
		case <-c.done:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-l.closed:
			return errClosed
		case <-timer.C:
		}
		c.mu.Lock()
		now := c.left
		c.mu.Unlock()
		if now == left {
			return errNoAnswer
		}
		left = now
	}
}

// collect reads what has come, gives back the places of what has not, and shuts
// the call against answers that come later.
func (c *call) collect(a *appends, answers []answer, sent int) {
	c.mu.Lock()
	replies := c.replies
	c.replies = nil
	c.mu.Unlock()
	for i, m := range replies {
		switch {
		case m == nil && i < sent:
			<-a.slots
		case m != nil && answers[i].sent == nil:
			answers[i].parse(m)
		}
	}
}
