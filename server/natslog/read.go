package natslog

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Newest implements [inbox.Log].
func (l *Log) Newest(ctx context.Context, subject string) (inbox.Message, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := l.stream.GetLastMsgForSubject(ctx, subject)
	return message(m, "read the newest of "+subject, err)
}

// At implements [inbox.Source].
func (l *Log) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	doing := fmt.Sprintf("read message %d", seq)
	if seq == 0 {
		return message(nil, doing, jetstream.ErrMsgNotFound) // 0 is no sequence, the engine refuses it
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	m, err := l.stream.GetMsg(ctx, seq)
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
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := l.stream.Info(ctx)
	if err != nil {
		return inbox.Bounds{}, unavailable("ask for the bounds of the log", err)
	}
	if err := followed(info); err != nil {
		return inbox.Bounds{}, fmt.Errorf("ask for the bounds of the log: %w", err)
	}
	b := bounds(info)
	if c := info.Cluster; c != nil && c.LeaderSince != nil && info.Config.Replicas > 1 {
		b.Led = max(1, info.TimeStamp.Sub(*c.LeaderSince))
	}
	return b, nil
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
