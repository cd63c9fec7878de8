package stomp

import (
	"strings"
	"sync"
	"time"

	"tocsin/transports"
)

// A user may send a message each sendEvery on the average, and so many at once;
// what is more waits its turn. A message of the carrier that would have to wait
// longer than maxWait in all is refused.
const (
	sendEvery = 50 * time.Millisecond
	sendBurst = 100
	maxWait   = 5 * time.Second
)

// send publishes to a topic: the one of an /app, or the one that is named.
func (c *Conversation) send(f *frame) error {
	id := c.Identity()
	if c.o.PublishersOnly && !id.Publish {
		return ErrForbidden
	}
	destination := f.text("destination")
	topic := topicOf(destination)
	if name, app := strings.CutPrefix(destination, destApp); app {
		if topic = c.o.Apps[name]; topic == "" {
			return &transports.ParamError{Param: "destination", Detail: "nothing is sent to by this name: see the setting stomp-app"}
		}
	}
	if topic == "" {
		return malformed("want /app/<name>, /topic/<name> or /chat/<name> as destination")
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	if wait := c.o.paces.take(id.User, time.Now()); wait > 0 {
		if c.waited += wait; c.waited > maxWait {
			return &failure{code: CodeSlowDown, message: "slow down: at most 20 messages a second"}
		}
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.o.Topics.Publish(ctx, Broadcast{Name: topic, From: id.User, ContentType: f.text("content-type"), Content: string(f.body)})
}

// paces are when users may send again.
type paces struct {
	mu sync.Mutex
	// of is when everything that the user has sent will have had its time.
	of map[string]time.Time
}

// maxPaces is how many are kept before those are looked for that are over.
const maxPaces = 1024

// take counts a message of the user's and returns how long it has to wait.
func (p *paces) take(user string, now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	due := p.of[user]
	if due.Before(now) {
		due = now
	}
	due = due.Add(sendEvery)
	if len(p.of) >= maxPaces {
		for other, over := range p.of {
			if over.Before(now) {
				delete(p.of, other)
			}
		}
	}
	if p.of == nil {
		p.of = map[string]time.Time{}
	}
	p.of[user] = due
	return due.Sub(now) - sendBurst*sendEvery
}
