package apppush

import (
	"context"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

const (
	// keepEvery and keepAnew bound how often a place is kept: when it has moved, and
	// when it has not, since it is forgotten in the end.
	keepEvery = 10 * time.Second
	keepAnew  = 20 * time.Minute
	// keepTimeout is how long that may take.
	keepTimeout = 5 * time.Second
	// sure is when what was written to a client who answers no pings counts as
	// arrived, if he has sent a sign of life since.
	sure = time.Minute
)

// A place is how far a client has come who keeps no cursor himself.
type place struct {
	c    *Conversation
	user string
	held sync.WaitGroup // of what asks the Places

	mu      sync.Mutex // guards what follows
	name    string     // as Places call it; empty while none is held
	written string     // the cursor after what was written
	safe    string     // that after what has arrived
	marked  string     // what was written at a ping that has no answer yet
	ping    uint64     // that ping; 0 for none
	answers bool       // the client answers pings
	noted   string     // what was written at a sign of life,
	notedAt time.Time  // which came then
	kept    string     // what Places have of it,
	keptAt  time.Time  // since then
	keeping bool       // they are being told
}

// begin finds out where to begin, and begins there.
func (p *place) begin(c *Conversation, user string) {
	p.c, p.user = c, user
	// Ends when the Places have answered, or have had their time.
	p.held.Go(func() {
		from, err := p.hold()
		if err != nil {
			p.warn("hold a place", err)
			c.End(transports.Unavailable)
			return
		}
		c.Start(inbox.Start{Cursor: from})
	})
}

// hold takes a place. The end of the conversation does not break it off: a place
// that is held by nobody would be in the way of the next one's.
func (p *place) hold() (from string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	name, from, err := p.c.o.Places.Hold(ctx, p.user)
	if err == nil && from == "" {
		from, err = p.c.latest(ctx, p.c.Identity().Client)
	}
	if err == nil && name == "" {
		name, err = p.c.o.Places.Keep(ctx, p.user, "", from)
	}
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.name, p.written, p.safe, p.kept, p.keptAt = name, from, from, from, time.Now()
	return from, nil
}

// wrote notes what the client may have.
func (p *place) wrote(cursor string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.written = cursor
}

// mark notes at a ping what was written before it.
func (p *place) mark(ping uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ping == 0 {
		p.marked, p.ping = p.written, ping
	}
}

// arrived notes that what was written before the ping has arrived, and more so what
// was before an earlier one.
func (p *place) arrived(ping uint64, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = true
	if p.ping != 0 && ping >= p.ping {
		p.safe, p.ping = p.marked, 0
		p.keep(now)
	}
}

// beaten notes a sign of life. It acknowledges nothing, but of a client who answers
// no pings there is nothing better: what was written a minute before it counts as
// arrived.
func (p *place) beaten(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.answers:
	case p.noted == "":
		p.noted, p.notedAt = p.written, now
	case now.Sub(p.notedAt) >= sure:
		p.safe, p.noted, p.notedAt = p.noted, p.written, now
		p.keep(now)
	}
}

// keep tells the Places, if it is worth it; under the lock.
func (p *place) keep(now time.Time) {
	since := now.Sub(p.keptAt)
	worth := p.safe != p.kept && since >= keepEvery || since >= keepAnew
	if !worth || p.keeping || p.name == "" || p.c.Over() {
		return
	}
	p.keeping = true
	name, safe := p.name, p.safe
	// Ends when the Places have answered, or have had their time.
	p.held.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
		defer cancel()
		name, err := p.c.o.Places.Keep(ctx, p.user, name, safe)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.keeping, p.keptAt = false, now
		if err != nil {
			p.warn("keep a place", err) // an older one is as good, only longer
			return
		}
		p.name, p.kept = name, safe
	})
}

// leave leaves the place to the user's next connection, when the conversation is
// over.
func (p *place) leave() {
	p.held.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.name == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	if err := p.c.o.Places.Leave(ctx, p.name, p.safe); err != nil {
		p.warn("leave a place", err)
	}
}

func (p *place) warn(doing string, err error) {
	if log := p.c.o.Logger; log != nil {
		log.Warn(doing, "user", p.user, "error", err)
	}
}
