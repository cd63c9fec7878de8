package natslog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// FeedConfig says what a feed is for and how much of it is kept. All processes
// must give the same one.
type FeedConfig struct {
	Name        string // [A-Za-z0-9_-]
	Description string
	// MaxAge is how long a message is kept, at least 100 ms; 0 is for ever.
	MaxAge time.Duration
	// MaxBytes is how much is kept, the oldest go first; 0 is no limit.
	MaxBytes int64
}

// A Feed is a small stream beside the log, for what is evidence and not state: it
// is appended to, read by time, and forgotten by age and size. Its methods may be
// called by many goroutines at once; their errors are those of the package inbox,
// wrapped.
type Feed struct {
	log     *Log
	stream  jetstream.Stream
	name    string
	subject string
}

// Feed opens the feed of that name, and makes it when there is none.
func (l *Log) Feed(ctx context.Context, c FeedConfig) (*Feed, error) {
	f := &Feed{log: l, name: "FEED_" + c.Name, subject: "feed." + c.Name}
	var err error
	f.stream, err = l.side(ctx, jetstream.StreamConfig{
		Name:        f.name,
		Description: c.Description,
		Subjects:    []string{f.subject},
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardOld,
		MaxAge:      c.MaxAge,
		MaxBytes:    c.MaxBytes,
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

// Append stores the data behind all others; it is stored when Append returns.
// Below the reserve it is refused with inbox.ErrFull. After inbox.ErrUnavailable
// it may have been stored.
func (f *Feed) Append(ctx context.Context, data []byte) error {
	return f.log.store(ctx, "append to "+f.name, f.name, f.subject, "", data)
}

// Scan calls each, from this goroutine, with what was stored at or after since,
// the zero time is the beginning, up to what was last when Scan began, in order.
// An error of each ends the scan and is returned as it is. What is discarded
// while it runs is left out. data is the caller's to keep.
func (f *Feed) Scan(ctx context.Context, since time.Time, each func(at time.Time, data []byte) error) error {
	_, end, err := f.bounds(ctx)
	if err != nil || end == 0 {
		return err
	}
	conf := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy}
	if !since.IsZero() {
		conf.DeliverPolicy, conf.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	return f.consume(ctx, conf, end, func(_ uint64, at time.Time, data []byte) error { return each(at, data) })
}

// backChunk is how many messages Back reads at once.
const backChunk = 512

// Back calls each, from this goroutine, with what was stored before a sequence, 0 is
// the end, the newest first. An error of each ends it and is returned as it is. What
// is discarded while it runs is left out. data is the caller's to keep.
func (f *Feed) Back(ctx context.Context, before uint64, each func(seq uint64, at time.Time, data []byte) error) error {
	first, last, err := f.bounds(ctx)
	if err != nil || last == 0 {
		return err
	}
	if before > 0 {
		last = min(last, before-1)
	}
	type message struct {
		seq  uint64
		at   time.Time
		data []byte
	}
	var chunk []message
	for last >= first && last > 0 {
		from := max(first, last-min(last, backChunk)+1)
		chunk = chunk[:0]
		conf := jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from}
		err := f.consume(ctx, conf, last, func(seq uint64, at time.Time, data []byte) error {
			chunk = append(chunk, message{seq, at, data})
			return nil
		})
		if err != nil {
			return err
		}
		for _, m := range slices.Backward(chunk) {
			if err := each(m.seq, m.at, m.data); err != nil {
				return err
			}
		}
		last = from - 1
	}
	return nil
}

// consume gives the messages of a consumer up to the end.
func (f *Feed) consume(ctx context.Context, conf jetstream.OrderedConsumerConfig, end uint64, each func(uint64, time.Time, []byte) error) error {
	conf.InactiveThreshold, conf.MaxResetAttempts = consumerLinger, 1
	create, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	consumer, err := f.log.js.OrderedConsumer(create, f.name, conf)
	if err != nil {
		return f.failed(ctx, err)
	}
	defer f.log.forgetConsumer(f.name, consumer)
	if info := consumer.CachedInfo(); info != nil && info.NumPending == 0 {
		return nil
	}
	messages, err := consumer.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(pullMessages, pullBytes),
		jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return f.failed(ctx, err)
	}
	defer messages.Stop()
	return f.read(ctx, messages, end, each)
}

// read gives the messages up to the end.
func (f *Feed) read(ctx context.Context, messages jetstream.MessagesContext, end uint64, each func(uint64, time.Time, []byte) error) error {
	for {
		if ctx.Err() != nil {
			return ctx.Err() // the library would give what it has as well
		}
		next, cancel := context.WithTimeout(ctx, scanCheck)
		m, err := messages.Next(jetstream.NextContext(next))
		cancel()
		switch {
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			// What is left may have been discarded: then nothing comes any more.
			if first, _, err := f.bounds(ctx); err != nil || first > end {
				return err
			}
			continue
		case err != nil:
			return f.failed(ctx, err)
		}
		meta, err := m.Metadata()
		if err != nil {
			return f.failed(ctx, err)
		}
		if meta.Sequence.Stream > end {
			return nil
		}
		if err := each(meta.Sequence.Stream, meta.Timestamp, m.Data()); err != nil {
			return err
		}
		if meta.Sequence.Stream == end {
			return nil
		}
	}
}

// failed says why a scan ended early.
func (f *Feed) failed(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable("scan "+f.name, err)
}

// bounds are the first and the last sequence there are; last is 0 where there is
// nothing.
func (f *Feed) bounds(ctx context.Context) (first, last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := f.stream.Info(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("scan %s: %w", f.name, f.failed(ctx, err))
	}
	if info.State.Msgs == 0 {
		return info.State.LastSeq + 1, 0, nil
	}
	return info.State.FirstSeq, info.State.LastSeq, nil
}
