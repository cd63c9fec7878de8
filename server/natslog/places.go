package natslog

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"tocsin/server/inbox"
)

// How long a place is kept for a client who keeps none, and one that was left for
// whoever of the user's comes next.
const (
	placeTTL  = 30 * 24 * time.Hour
	parkedTTL = time.Hour
)

// How often a node says that it runs, and after how long a silent one is dead.
const (
	runEvery = 10 * time.Second
	runTTL   = 30 * time.Second
)

// Places keeps cursors for clients that keep none themselves, on all nodes. Its
// methods may be called by many goroutines at once; their errors are those of the
// package inbox, wrapped.
type Places struct {
	kept, parked, runs *Bucket
	run                string // names this start of the node
}

// Places opens the buckets of the places.
func (l *Log) Places(ctx context.Context) (*Places, error) {
	kept, err := l.bucket(ctx, bucketConfig{
		name: "places", description: "Tocsin: how far clients without a cursor have come", ttl: placeTTL,
	})
	if err != nil {
		return nil, err
	}
	parked, err := l.bucket(ctx, bucketConfig{
		name: "parked", description: "Tocsin: where connections without a cursor are, or have ended", ttl: parkedTTL, belowReserve: true,
	})
	if err != nil {
		return nil, err
	}
	runs, err := l.bucket(ctx, bucketConfig{
		name: "runs", description: "Tocsin: nodes whose connections hold places", ttl: runTTL, belowReserve: true,
	})
	if err != nil {
		return nil, err
	}
	return &Places{kept, parked, runs, nuid.Next()}, nil
}

// Get returns the cursor that is kept for the user under the name, empty if there
// is none. It is forgotten 30 days after it was set last.
func (p *Places) Get(ctx context.Context, name, user string) (cursor string, err error) {
	key := placeKey(name, user)
	entry, err := p.kept.get(ctx, key)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return "", nil
	case err != nil:
		return "", unavailable(p.kept.doing("read", key), err)
	}
	return string(entry.Value()), nil
}

// Set makes of the cursor that is kept for the user, empty if there is none, the
// one that choose returns, which is called again when another node was first; the
// same one again writes nothing. Below the reserve it is refused with
// inbox.ErrFull.
func (p *Places) Set(ctx context.Context, name, user string, choose func(old string) string) error {
	err := p.kept.Update(ctx, placeKey(name, user), func(old []byte) ([]byte, error) {
		chosen := choose(string(old))
		if chosen == string(old) {
			return nil, errUnchanged
		}
		return []byte(chosen), nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

var errUnchanged = errors.New("the place is the same")

func placeKey(name, user string) string { return inbox.Escape(name) + "." + inbox.Escape(user) }
