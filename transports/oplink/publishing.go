package oplink

import (
	"context"
	"time"

	"tocsin/transports"
)

// PublishingOptions are what conversations of publishers are made of. Publish is
// required.
type PublishingOptions struct {
	transports.DialogueOptions
	// Publish takes objects of one client, in their order, and answers each, in the
	// same order.
	Publish func(ctx context.Context, c transports.Client, objects [][]byte) (answers [][]byte)
}

const (
	// maxWaiting is how many objects of a publisher wait for those before them to be
	// stored; more are not read from its connection until then. They are also what is
	// stored at once.
	maxWaiting = 64
	// publishTimeout bounds each storing.
	publishTimeout = 10 * time.Second
)

// A Publishing is one publisher's conversation: he sends objects without waiting for
// the answers, which come in the same order.
type Publishing struct {
	transports.Dialogue
	o       *PublishingOptions
	conn    transports.Conn
	client  transports.Client
	waiting chan []byte
	done    chan struct{} // closed when all that was received has been answered
}

var _ transports.Speaker = (*Publishing)(nil)

// BeginPublishing begins the conversation of somebody who is known.
func BeginPublishing(conn transports.Conn, id transports.Identity, host transports.Host, o *PublishingOptions) *Publishing {
	p := &Publishing{o: o, conn: conn, client: id.Client, waiting: make(chan []byte, maxWaiting), done: make(chan struct{})}
	p.Dialogue.Begin(p, host, &o.DialogueOptions)
	p.Admit(id)
	p.Listen()
	go p.publish() // ends with Gone
	return p
}

// Voice implements transports.Speaker.
func (p *Publishing) Voice() transports.Voice {
	return &encoder{Frames: transports.Frames{Conn: p.conn}} // of a farewell
}

// Receive takes the publisher's next message: an object, or a ping.
func (p *Publishing) Receive(text []byte) {
	if !p.Over() {
		p.waiting <- text // it is taken within two publishTimeouts
	}
}

// Gone ends the conversation when its connection is over. What was received is
// published all the same.
func (p *Publishing) Gone() {
	close(p.waiting)
	<-p.done
	p.Dialogue.Gone()
}

// publish stores what has come meanwhile at once.
func (p *Publishing) publish() {
	defer close(p.done)
	for text := range p.waiting {
		objects := [][]byte{text}
		for len(objects) < maxWaiting && len(p.waiting) > 0 {
			objects = append(objects, <-p.waiting)
		}
		p.answer(objects)
	}
}

// answer publishes the objects between pings, which it answers itself.
func (p *Publishing) answer(objects [][]byte) {
	for len(objects) > 0 {
		n := 0
		for n < len(objects) && string(objects[n]) != "ping" {
			n++
		}
		if n == 0 {
			_ = p.conn.Send([]byte("pong")) // the connection ends by itself, as below
			objects = objects[1:]
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), publishTimeout)
		answers := p.o.Publish(ctx, p.client, objects[:n])
		cancel()
		for _, answer := range answers {
			_ = p.conn.Send(answer)
		}
		objects = objects[n:]
	}
}
