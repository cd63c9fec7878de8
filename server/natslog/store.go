package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// store publishes one message and returns once it is stored. An id, when there is
// one, keeps it from being stored twice, so that it is sent again also when there
// was no answer; otherwise only what was certainly not stored is. Its errors are
// those of the package inbox, wrapped.
func (l *Log) store(ctx context.Context, doing, stream, subject, id string, data []byte) error {
	giveUp := time.Now().Add(3 * l.opts.AckTimeout)
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if l.Full() {
			return fmt.Errorf("%s: %w", doing, inbox.ErrFull)
		}
		answers, waiting := l.appends.ask(ctx, l, 1, func(int) *nats.Msg {
			m := &nats.Msg{Subject: subject, Data: data}
			if id != "" {
				m.Header = nats.Header{jetstream.MsgIDHeader: {headerID(id)}}
			}
			return m
		})
		r, again := answers[0].receipt(waiting)
		l.heed(ctx, stream, id, r.Err)
		switch {
		case r.Err == nil:
			return nil
		case !again && (id == "" || !errors.Is(r.Err, inbox.ErrUnavailable)),
			time.Now().Add(wait).After(giveUp), !l.pause(ctx, wait):
			return fmt.Errorf("%s: %w", doing, r.Err)
		}
	}
}

// side makes a stream beside the log, or brings an older one up to the
// configuration, whose name and what differs are given.
func (l *Log) side(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	c.Storage, c.Replicas, c.AllowDirect = jetstream.FileStorage, l.opts.Replicas, false
	// The engine wants the window of ids within the life of a message.
	c.Duplicates = l.opts.DedupeWindow
	if c.MaxAge > 0 {
		c.Duplicates = min(c.Duplicates, c.MaxAge)
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = -1
	}
	c.MaxMsgs, c.MaxMsgsPerSubject, c.MaxMsgSize, c.MaxConsumers = -1, -1, -1, -1
	stream, err := l.ensure(ctx, c)
	if err != nil {
		return nil, unavailable("open the stream "+c.Name, err)
	}
	return stream, nil
}

// forgetConsumer has the consumer removed, so that many short scans leave nothing
// behind. It waits for nothing: where nobody leads, nobody answers.
func (l *Log) forgetConsumer(stream string, c jetstream.Consumer) {
	info := c.CachedInfo()
	if info == nil {
		return
	}
	go func() { // ends with the answer, or after requestTimeout
		ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
		defer cancel()
		// One that cannot be removed now lingers for a while; that is all.
		_ = l.js.DeleteConsumer(ctx, stream, info.Name)
	}()
}
