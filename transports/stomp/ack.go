package stomp

import "sync"

// maxPending bounds what is remembered of messages that are not acknowledged.
const maxPending = 4096

// A pending is what a client was sent and has not acknowledged. It may be used by
// many goroutines at once.
type pending struct {
	individual bool

	mu   sync.Mutex
	list []unacked // the oldest first
	// full: messages after those of the list are not remembered. Of individual
	// ones these are the newest, so that what is acknowledged never passes one that
	// is not; the point then stays where the list ends.
	full bool
}

type unacked struct {
	cursor string
	done   bool
}

// sent notes a message.
func (p *pending) sent(cursor string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case len(p.list) < maxPending && !p.full:
	case p.individual:
		p.full = true
		return
	default:
		p.list = p.list[1:] // who acknowledges a later one has had it
	}
	p.list = append(p.list, unacked{cursor: cursor})
}

// ack notes an acknowledgement, and returns where the resume point moves to; empty
// where it does not.
func (p *pending) ack(id string) (point string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.list {
		if p.list[i].cursor != id {
			continue
		}
		if !p.individual {
			p.list = p.list[i+1:]
			return id
		}
		p.list[i].done = true
		for len(p.list) > 0 && p.list[0].done {
			point = p.list[0].cursor
			p.list = p.list[1:]
		}
		return point
	}
	return ""
}

// idle says whether everything is acknowledged.
func (p *pending) idle() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.list) == 0 && !p.full
}

// restart forgets all: what follows takes its place.
func (p *pending) restart() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, p.full = nil, false
}

// ack acknowledges a message of the inbox, or all up to one. What is not
// outstanding, such as a message of a topic or of a former connection, changes
// nothing.
func (c *Conversation) ack(f *frame) error {
	id, err := c.ackID(f)
	if err != nil {
		return err
	}
	sub := c.inbox.Load()
	if sub == nil || sub.pending == nil {
		return nil
	}
	user := c.Identity().User
	if point := sub.pending.ack(id); point != "" {
		c.o.points.move(c.o.Places, user, point, false)
	}
	if _, wanted := f.get("receipt"); !wanted {
		return nil
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	return c.o.points.stored(ctx, user)
}

// nack leaves a message unacknowledged: it comes again when the client subscribes
// again.
func (c *Conversation) nack(f *frame) error {
	_, err := c.ackID(f)
	return err
}

// ackID is the message that ACK or NACK names, as its version has it.
func (c *Conversation) ackID(f *frame) (string, error) {
	name := "message-id"
	if c.speaks() == v12 {
		name = "id"
	}
	id, found := f.get(name)
	if !found {
		return "", malformed("want the header " + name)
	}
	return id, nil
}

// rested moves the resume point to where a delivery has ended, if all it delivered
// was acknowledged: what others got does not pile up before it.
func (c *Conversation) rested(sub *subscription, cursor string) {
	if sub != nil && sub.pending != nil && cursor != "" && sub.pending.idle() {
		c.o.points.move(c.o.Places, c.Identity().User, cursor, false)
	}
}
