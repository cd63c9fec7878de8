package natslog

import (
	"context"
	"sync"

	"github.com/nats-io/nats.go"
)

// Bounds of what waits for a listener of a bus; what comes beyond is lost, and the
// listener finds that out by himself.
const (
	busMessages = 64 << 10
	busBytes    = 64 << 20
)

// A Bus carries messages between the nodes that share the log, and keeps none of
// them: nothing is appended anywhere. Its methods may be called by many goroutines
// at once.
type Bus struct {
	log     *Log
	subject string
}

// Bus is the bus of that name, of [A-Za-z0-9_-].
func (l *Log) Bus(name string) *Bus { return &Bus{l, "nodes." + name} }

// Publish sends a message to everybody who listens at that moment, this node among
// them, in order, and does not wait. It is lost when the engine is away, with an
// inbox.ErrUnavailable if that is known.
func (b *Bus) Publish(data []byte) error {
	if err := b.log.nc.Publish(b.subject, data); err != nil {
		return unavailable("publish to "+b.subject, err)
	}
	return nil
}

// Listen calls each, from one goroutine, with every message from when it returns
// until stop has returned or the log is closed. The bytes are each's until it
// returns. Messages that come while the engine is away are lost; it goes on by itself
// when it is back.
func (b *Bus) Listen(ctx context.Context, each func(data []byte)) (stop func(), err error) {
	doing := "listen to " + b.subject
	ended := make(chan struct{})
	sub, err := b.log.nc.Subscribe(b.subject, func(m *nats.Msg) { each(m.Data) })
	if err != nil {
		return nil, unavailable(doing, err)
	}
	once := sync.OnceFunc(func() { close(ended) })
	sub.SetClosedHandler(func(string) { once() })
	stop = func() {
		_ = sub.Unsubscribe() // a closed connection has done it
		<-ended
	}
	if err = sub.SetPendingLimits(busMessages, busBytes); err == nil {
		ctx, cancel := context.WithTimeout(ctx, requestTimeout)
		defer cancel()
		err = b.log.nc.FlushWithContext(ctx) // the engine knows of it by now
	}
	if err != nil {
		stop()
		return nil, unavailable(doing, err)
	}
	return stop, nil
}
