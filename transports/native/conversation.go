package native

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// A Conversation is one client's. Receive and Gone are the carrier's to call, one
// after the other.
type Conversation struct {
	o      *Options
	conn   Conn
	ended  func(error)
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing is delivered any more
	why    error         // of the end; to be read after done

	// Of Begin, Receive and Gone.
	begun    bool        // the delivery is there, or there will be none
	waiting  *time.Timer // until then
	leave    func()
	mistakes int // in a row

	mu     sync.Mutex // guards what follows; Receive alone writes id
	id     *Identity  // nil until known
	expiry *time.Timer
	stream *transports.Stream // nil until the delivery begins
}

// Begin begins a conversation over the connection. id is who the handshake said,
// or nil: then the first message says it. ended, unless nil, is called once, at
// the end of Gone, with why it is over: a transports.Reason where the server ended
// it, context.Canceled where the client was gone. Options are shared by many.
func Begin(ctx context.Context, conn Conn, id *Identity, ended func(error), o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, ended: ended, done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(ctx)
	// The timer's goroutine only cancels. So does that of the token's end.
	c.waiting = time.AfterFunc(o.authTimeout(), func() { c.cancel(closing{CodeNoAuth, "no auth in time"}) })
	if id != nil {
		c.admit(*id)
		if o.PublishOnly {
			c.listen()
		}
	}
	// The context package runs this once; it does not wait.
	context.AfterFunc(c.ctx, c.over)
	return c
}

// Gone ends the conversation when its connection is over.
func (c *Conversation) Gone() {
	c.cancel(nil)
	<-c.done
	c.waiting.Stop()
	c.mu.Lock()
	if c.expiry != nil {
		c.expiry.Stop()
	}
	c.mu.Unlock()
	if c.leave != nil {
		c.leave()
	}
	if c.ended != nil {
		c.ended(c.why)
	}
}

// admit makes the client the one that its token says.
func (c *Conversation) admit(id Identity) {
	if c.leave != nil {
		c.leave()
		c.leave = nil
	}
	c.mu.Lock()
	regroup := c.stream != nil && !slices.Equal(id.Groups, c.id.Groups)
	c.id = &id
	switch left := time.Until(id.Expires); {
	case id.Expires.IsZero():
		if c.expiry != nil {
			c.expiry.Stop()
		}
	case c.expiry == nil:
		c.expiry = time.AfterFunc(left, c.expire)
	default:
		c.expiry.Reset(left)
	}
	if regroup {
		c.stream.End(errRegroup)
	}
	c.mu.Unlock()
	if c.o.Join != nil {
		c.leave = c.o.Join(id, c.cancel)
	}
}

// expire is the expiry timer's; a new token may have come since it fired.
func (c *Conversation) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.id.Expires.IsZero() || c.ctx.Err() != nil {
		return
	}
	if left := time.Until(c.id.Expires); left > 0 {
		c.expiry.Reset(left)
		return
	}
	c.cancel(transports.Expired)
}

// start begins the delivery, unless the conversation is over.
func (c *Conversation) start(from inbox.Start) {
	c.waiting.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return // over has been called, or will be
	}
	c.begun = true
	c.deliver(&encoder{conn: c.conn}, from)
}

// listen begins a conversation that delivers nothing.
func (c *Conversation) listen() {
	c.waiting.Stop()
	c.begun = true
}

// errRegroup: the groups have changed, so the delivery begins anew where it was.
var errRegroup = errors.New("the token's groups have changed")

// deliver begins to deliver to the client as it is now; under the lock.
func (c *Conversation) deliver(e *encoder, from inbox.Start) {
	s, err := transports.Open(c.o.View, c.id.Client, from)
	if err != nil {
		go c.delivered(e, from, err) // as a stream does that ends; it does not wait
		return
	}
	s.Expires = time.Time{} // which a new token moves: the timer knows
	s.Delivered = c.o.Delivered
	done := func() {}
	if c.o.Deliver != nil {
		s.Reached, done = c.o.Deliver(*c.id)
	}
	c.stream = c.o.Pump.Stream(s, e, func(err error) {
		done()
		c.delivered(e, from, err)
	})
	c.stream.Start()
}

// delivered is the end of a delivery: that of the conversation, unless it begins
// anew.
func (c *Conversation) delivered(e *encoder, from inbox.Start, err error) {
	if errors.Is(err, errRegroup) {
		c.mu.Lock()
		if c.ctx.Err() == nil {
			if e.told != "" {
				from = inbox.Start{Cursor: e.told}
			}
			c.deliver(e, from)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		err = context.Cause(c.ctx)
	}
	c.cancel(err) // a command under way, too
	c.end(e, err)
}

// over ends the conversation when its context has ended: its delivery does, if
// there is one.
func (c *Conversation) over() {
	c.mu.Lock()
	stream := c.stream
	c.mu.Unlock()
	if stream != nil {
		stream.End(context.Cause(c.ctx))
		return
	}
	c.end(&encoder{conn: c.conn}, context.Cause(c.ctx))
}
