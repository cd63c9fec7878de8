package natslog

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Positions keeps how far each follower of the log has come, under the follower's
// name. Its methods may be called by many goroutines at once; their errors are
// those of the package inbox, wrapped. A position never goes back.
type Positions struct{ bucket *Bucket }

// Positions opens the bucket of the positions.
func (l *Log) Positions(ctx context.Context) (*Positions, error) {
	b, err := l.bucket(ctx, bucketConfig{name: "positions", description: "Tocsin: how far each follower of the log has come"})
	if err != nil {
		return nil, err
	}
	return &Positions{b}, nil
}

// Get returns the sequence that was set last, 0 when none was.
func (p *Positions) Get(ctx context.Context, name string) (uint64, error) {
	doing := p.bucket.doing("read", name)
	entry, err := p.bucket.get(ctx, inbox.Escape(name))
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return 0, nil
	case err != nil:
		return 0, unavailable(doing, err)
	}
	return parsePosition(doing, entry.Value())
}

// Set stores the sequence; one below what is stored already changes nothing.
// Below the reserve it is refused with inbox.ErrFull.
func (p *Positions) Set(ctx context.Context, name string, seq uint64) error {
	return p.bucket.Update(ctx, inbox.Escape(name), func(old []byte) ([]byte, error) {
		if old != nil {
			stored, err := parsePosition(p.bucket.doing("update", name), old)
			if err != nil {
				return nil, err
			}
			seq = max(seq, stored)
		}
		return strconv.AppendUint(nil, seq, 10), nil
	})
}

func parsePosition(doing string, value []byte) (uint64, error) {
	seq, err := strconv.ParseUint(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", doing, err)
	}
	return seq, nil
}
