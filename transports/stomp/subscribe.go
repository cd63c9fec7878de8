package stomp

import (
	"fmt"
	"strings"
	"sync/atomic"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// Inbox is the destination of the user's inbox.
const Inbox = "/user/queue/inbox"

// The other destinations begin with these, and the names of some topics.
const (
	destTopic  = "/topic/"
	destChat   = "/chat/"
	destApp    = "/app/"
	nameChat   = "chat/"        // topics below /chat
	nameSingle = "chat/single/" // each for one user alone
)

// Limits of subscriptions: of one connection, and of an id's length in bytes.
const (
	maxSubs = 64
	maxID   = 256
)

// A subscription is what one SUBSCRIBE has begun.
type subscription struct {
	id      string // empty where the client, of 1.0, gave none
	acks    bool   // MESSAGE has an ack header
	pending *pending
	over    atomic.Bool
	end     func() // of one to a topic
	// Of the inbox, for its first words.
	receipt *string
	seeds   bool // there is no resume point yet
	counts  bool // the client wants to hear of the counters alone, too
}

// topicOf is the topic that a destination names; "" for none.
func topicOf(destination string) string {
	if name, ok := strings.CutPrefix(destination, destTopic); ok {
		return name
	}
	if name, ok := strings.CutPrefix(destination, destChat); ok && name != "" {
		return nameChat + name
	}
	return ""
}

// Destination is that of a topic: /chat/… of one whose name begins so, else
// /topic/….
func Destination(topic string) string {
	if strings.HasPrefix(topic, nameChat) {
		return "/" + topic
	}
	return destTopic + topic
}

// Single is the topic that this user alone may subscribe to.
func Single(user string) string { return nameSingle + user }

// key names a subscription of this connection; in 1.0 the id may be left out.
func (c *Conversation) key(f *frame) (key string, err error) {
	id, found := f.get("id")
	switch {
	case found && len(id) > maxID:
		return "", malformed(fmt.Sprintf("the id of a subscription has at most %d bytes", maxID))
	case found:
		return "i" + id, nil
	case c.speaks() == v10 && f.text("destination") != "":
		return "d" + f.text("destination"), nil
	}
	return "", malformed("want the id of a subscription")
}

// subscribe begins to deliver the inbox, or a topic.
func (c *Conversation) subscribe(f *frame) error {
	key, err := c.key(f)
	if err != nil {
		return err
	}
	if c.subs[key] != nil {
		return malformed("there is a subscription with this id")
	}
	if len(c.subs) >= maxSubs {
		return malformed(fmt.Sprintf("at most %d subscriptions", maxSubs))
	}
	sub := &subscription{id: f.text("id"), end: func() {}}
	switch mode := f.text("ack"); mode {
	case "", "auto":
	case "client", "client-individual":
		sub.acks = true
		sub.pending = &pending{individual: mode == "client-individual"}
	default:
		return malformed("ack is auto, client or client-individual")
	}
	destination := f.text("destination")
	if destination == Inbox {
		err = c.subscribeInbox(f, sub)
	} else {
		err = c.subscribeTopic(topicOf(destination), sub)
	}
	if err != nil {
		return err
	}
	if c.subs == nil {
		c.subs = map[string]*subscription{}
	}
	c.subs[key] = sub
	return nil
}

// subscribeInbox begins the delivery, whose first words are the receipt.
func (c *Conversation) subscribeInbox(f *frame, sub *subscription) error {
	if c.inbox.Load() != nil {
		return malformed("there is a subscription to " + Inbox + " already")
	}
	from := inbox.Start{Cursor: f.text("cursor")}
	switch f.text("snapshot") {
	case "":
	case "active":
		from.Snapshot = true
	default:
		return malformed("snapshot is active, or left out")
	}
	sub.counts = f.text("counts") == "true"
	if receipt, wanted := f.get("receipt"); wanted {
		sub.receipt, f.answered = &receipt, true
	}
	if sub.acks {
		ctx, cancel := c.Bounded()
		defer cancel()
		point, err := c.o.points.get(ctx, c.o.Places, c.Identity().User)
		if err != nil {
			return err
		}
		sub.seeds = point == ""
		if from.Cursor == "" {
			from.Cursor = point
		}
	}
	c.inbox.Store(sub)
	c.Start(from)
	return nil
}

// subscribeTopic has what is published from now on delivered.
func (c *Conversation) subscribeTopic(topic string, sub *subscription) error {
	if topic == "" {
		return malformed("want " + Inbox + ", /topic/<name> or /chat/<name> as destination")
	}
	user, single := strings.CutPrefix(topic, nameSingle)
	if single && user != c.Identity().User {
		return &failure{code: CodeForbidden, message: "this destination is another user's"}
	}
	leave := c.o.Topics.Listen(topic, &listener{c, sub})
	done := func() {}
	if register, is := c.host.(Register); is {
		done = register.Subscribed(Destination(topic))
	}
	sub.end = func() {
		sub.over.Store(true)
		leave()
		done()
	}
	return nil
}

// unsubscribe ends a subscription: when its receipt comes, nothing more does.
func (c *Conversation) unsubscribe(f *frame) error {
	key, err := c.key(f)
	if err != nil {
		return err
	}
	sub := c.subs[key]
	if sub == nil {
		return malformed("there is no subscription with this id")
	}
	delete(c.subs, key)
	if sub != c.inbox.Load() {
		sub.end()
		return nil
	}
	ctx, cancel := c.Bounded()
	defer cancel()
	stopped := make(chan struct{})
	c.Stop(func(cursor string) {
		c.rested(sub, cursor)
		close(stopped)
	})
	select {
	case <-stopped:
		c.inbox.Store(nil)
	case <-ctx.Done(): // the conversation has ended, or is about to
		c.End(transports.Unavailable)
	}
	return nil
}
