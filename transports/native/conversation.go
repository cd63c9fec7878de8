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
	host   Host
	ctx    context.Context // of commands
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when nothing is delivered any more
	why    error         // of the end; to be read after done

	// Of Begin, Receive and Gone.
	begun    bool // the delivery is there, or there will be none
	mistakes int  // in a row

	mu     sync.Mutex         // guards what follows; Receive alone writes id
	id     *Identity          // nil until known
	late   time.Time          // when the client must have begun; zero when it has
	timer  *time.Timer        // of that, or of the token's end
	stream *transports.Stream // nil until the delivery begins
}

// Begin begins a conversation over the connection. id is who the handshake said,
// or nil: then the first message says it. Options are shared by many.
func Begin(conn Conn, id *Identity, host Host, o *Options) *Conversation {
	c := &Conversation{o: o, conn: conn, host: host, done: make(chan struct{})}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	c.late = time.Now().Add(o.authTimeout())
	// The timer's goroutine does not wait.
	c.timer = time.AfterFunc(o.authTimeout(), c.elapse)
	if id != nil {
		c.admit(*id)
		if o.PublishOnly {
			c.listen()
		}
	}
	return c
}

// End ends the conversation with a cause: a transports.Reason is told to the
// client. Only the first call counts. It does not wait, and may be called by many
// goroutines at any time.
func (c *Conversation) End(cause error) {
	c.mu.Lock()
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return
	}
	c.cancel(cause)
	stream := c.stream
	c.mu.Unlock()
	if stream != nil {
		stream.End(context.Cause(c.ctx))
		return
	}
	c.end(&encoder{conn: c.conn}, context.Cause(c.ctx))
}

// Gone ends the conversation when its connection is over.
func (c *Conversation) Gone() {
	c.End(context.Canceled)
	<-c.done
	c.mu.Lock()
	c.timer.Stop()
	c.mu.Unlock()
	c.host.Ended(c.why)
}

// admit makes the client the one that its token says.
func (c *Conversation) admit(id Identity) {
	c.mu.Lock()
	regroup := c.stream != nil && !slices.Equal(id.Groups, c.id.Groups)
	c.id = &id
	c.wind()
	if regroup {
		c.stream.End(errRegroup)
	}
	c.mu.Unlock()
	c.host.Known(c, id)
}

// wind sets the timer to what comes first; under the lock.
func (c *Conversation) wind() {
	next := c.late
	if c.id != nil && !c.id.Expires.IsZero() && (next.IsZero() || c.id.Expires.Before(next)) {
		next = c.id.Expires
	}
	if next.IsZero() {
		c.timer.Stop()
		return
	}
	c.timer.Reset(time.Until(next))
}

// elapse is the timer's; a new token, or the beginning, may have come since it
// fired.
func (c *Conversation) elapse() {
	c.mu.Lock()
	now := time.Now()
	var cause error
	switch {
	case c.id != nil && !c.id.Expires.IsZero() && !now.Before(c.id.Expires):
		cause = transports.Expired
	case !c.late.IsZero() && !now.Before(c.late):
		cause = closing{CodeNoAuth, "no auth in time"}
	case c.ctx.Err() == nil:
		c.wind()
	}
	c.mu.Unlock()
	if cause != nil {
		c.End(cause)
	}
}

// start begins the delivery, unless the conversation is over.
func (c *Conversation) start(from inbox.Start) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return // it has been ended
	}
	c.listening()
	c.deliver(&encoder{conn: c.conn}, from)
}

// listen begins a conversation that delivers nothing.
func (c *Conversation) listen() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listening()
}

// listening notes that the client has begun; under the lock.
func (c *Conversation) listening() {
	c.begun, c.late = true, time.Time{}
	c.wind()
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
	var done func()
	s.Reached, done = c.host.Delivers()
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
