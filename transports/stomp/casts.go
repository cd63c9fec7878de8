package stomp

import (
	"strconv"
	"sync"
)

// Limits of what waits for one client that does not take it fast enough.
const (
	maxQueued      = 1000
	maxQueuedBytes = 1 << 20
)

// A listener takes what one subscription hears of its topic.
type listener struct {
	c   *Conversation
	sub *subscription
}

// Heard implements Listener.
func (l *listener) Heard(b Broadcast) {
	l.c.out.put(l.sub, l.c.o.casts.tail(l.c.speaks(), &b), b.Seq)
}

// Missed implements Listener.
func (l *listener) Missed() {
	l.c.End(&failure{code: CodeRotate, message: "messages of topics may have been missed"})
}

// A castCache has the part of a message that is the same for all who hear it, of
// the last one: listeners hear of one message after the other.
type castCache struct {
	mu    sync.Mutex
	seq   uint64
	tails [v12 + 1][]byte
}

// tail is the message from its destination on, in a version's words.
func (k *castCache) tail(v version, b *Broadcast) []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.seq != b.Seq {
		k.seq, k.tails = b.Seq, [v12 + 1][]byte{}
	}
	if k.tails[v] == nil {
		k.tails[v] = appendTail(make([]byte, 0, 256+len(b.Content)), v, b)
	}
	return k.tails[v]
}

func appendTail(to []byte, v version, b *Broadcast) []byte {
	to = v.appendHeader(to, "destination", Destination(b.Name))
	to = v.appendHeader(to, "from", b.From)
	to = append(strconv.AppendInt(append(to, "timestamp:"...), b.Time.UnixMilli(), 10), '\n')
	contentType := b.ContentType
	if contentType == "" {
		contentType = "text/plain"
	}
	to = v.appendHeader(to, "content-type", contentType)
	to, at := openLength(to)
	return closeLength(append(to, b.Content...), at)
}

// An outbox holds messages of topics until the client has taken those before them.
type outbox struct {
	c *Conversation

	mu      sync.Mutex
	queue   []cast
	bytes   int
	sending bool
}

type cast struct {
	sub  *subscription
	tail []byte
	seq  uint64
}

// put has a message sent, and does not wait. A client for which too much waits
// already is sent away.
func (o *outbox) put(sub *subscription, tail []byte, seq uint64) {
	if !o.c.Over() && !o.enqueue(cast{sub, tail, seq}) {
		o.c.End(&failure{code: CodeSlowDown, message: "too slow for the topics it has subscribed to"})
	}
}

func (o *outbox) enqueue(one cast) (fits bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) >= maxQueued || o.bytes+len(one.tail) > maxQueuedBytes {
		o.queue, o.bytes = nil, 0
		return false
	}
	o.queue = append(o.queue, one)
	o.bytes += len(one.tail)
	if !o.sending {
		o.sending = true
		go o.send() // ends when the queue is empty, or the client takes no more
	}
	return true
}

func (o *outbox) take() (cast, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.queue) == 0 || o.c.Over() {
		o.queue, o.bytes, o.sending = nil, 0, false
		return cast{}, false
	}
	one := o.queue[0]
	o.queue[0] = cast{}
	o.queue = o.queue[1:]
	o.bytes -= len(one.tail)
	return one, true
}

func (o *outbox) send() {
	var b []byte
	for {
		one, more := o.take()
		if !more {
			return
		}
		if one.sub.over.Load() {
			continue
		}
		b = append(b[:0], "MESSAGE\n"...)
		b = appendIDs(b, o.c.speaks(), one.sub, func(b []byte) []byte {
			return strconv.AppendUint(append(b, "topic-"...), one.seq, 10)
		})
		o.c.say(append(b, one.tail...))
	}
}

// appendIDs writes the headers of a message that are its receiver's own.
func appendIDs(b []byte, v version, sub *subscription, id func([]byte) []byte) []byte {
	if sub.id != "" {
		b = v.appendHeader(b, "subscription", sub.id)
	}
	b = append(id(append(b, "message-id:"...)), '\n')
	if sub.acks && v == v12 {
		b = append(id(append(b, "ack:"...)), '\n')
	}
	return b
}
