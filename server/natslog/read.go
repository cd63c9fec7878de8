package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// askAgain is after how long without an answer a question is asked again: what a
// leader was asked before it died is answered by nobody.
const askAgain = time.Second

// ask asks what may be asked twice, until there is an answer, requestTimeout has
// passed, or the context has ended.
func ask[T any](ctx context.Context, question func(context.Context) (T, error)) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for {
		try, over := context.WithTimeout(ctx, askAgain)
		answer, err = question(try)
		unanswered := errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil
		over()
		if !unanswered {
			return answer, err
		}
	}
}

// Newest implements [inbox.Log].
func (l *Log) Newest(ctx context.Context, subject string) (inbox.Message, error) {
	m, err := ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return l.stream.GetLastMsgForSubject(ctx, subject)
	})
	return message(m, "read the newest of "+subject, err)
}

// At implements [inbox.Source].
func (l *Log) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	doing := fmt.Sprintf("read message %d", seq)
	if seq == 0 {
		return message(nil, doing, jetstream.ErrMsgNotFound) // 0 is no sequence, the engine refuses it
	}
	m, err := ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return l.stream.GetMsg(ctx, seq) })
	return message(m, doing, err)
}

func message(m *jetstream.RawStreamMsg, doing string, err error) (inbox.Message, error) {
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return inbox.Message{}, fmt.Errorf("%s: %w", doing, inbox.ErrNotFound)
	case err != nil:
		return inbox.Message{}, unavailable(doing, err)
	}
	return inbox.Message{Seq: m.Sequence, Subject: m.Subject, Data: m.Data, Time: m.Time}, nil
}

// Bounds implements [inbox.Source].
func (l *Log) Bounds(ctx context.Context) (inbox.Bounds, error) {
	info, err := l.info(ctx)
	if err != nil {
		return inbox.Bounds{}, unavailable("ask for the bounds of the log", err)
	}
	if err := followed(info); err != nil {
		return inbox.Bounds{}, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	b := bounds(info)
	end := b.Last
	if b.Messages == 0 {
		end = 0 // none of it will come
	}
	l.end.Store(end)
	if c := info.Cluster; c != nil && c.LeaderSince != nil && info.Config.Replicas > 1 {
		b.Led = max(1, info.TimeStamp.Sub(*c.LeaderSince))
	}
	return b, nil
}

// info is what the leader says of the log.
func (l *Log) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	return ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) { return l.stream.Info(ctx) })
}

func bounds(info *jetstream.StreamInfo) inbox.Bounds {
	s := info.State
	b := inbox.Bounds{First: s.FirstSeq, Last: s.LastSeq, Bytes: s.Bytes, Messages: s.Msgs}
	if b.Messages == 0 {
		b.First = b.Last + 1 // a stream that never held anything says 0
	}
	return b
}

// Purge implements [inbox.Log].
func (l *Log) Purge(ctx context.Context, below uint64) error {
	b, err := l.Bounds(ctx)
	if err != nil {
		return fmt.Errorf("purge: %w", err)
	}
	// The engine takes 0 for everything, and moves the end of the stream up to
	// a sequence that lies beyond it.
	below = min(below, b.Last+1)
	if below <= b.First {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, purgeTimeout)
	defer cancel()
	if err := l.stream.Purge(ctx, jetstream.WithPurgeSequence(below)); err != nil {
		return unavailable(fmt.Sprintf("purge below %d", below), err)
	}
	return nil
}
