package natslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// How long a place is kept for a client who keeps none, and one that was parked
// for whoever of the user's comes next.
const (
	placeTTL  = 30 * 24 * time.Hour
	parkedTTL = time.Hour
)

// Places keeps cursors for clients that keep none themselves, on all nodes. Its
// methods may be called by many goroutines at once; their errors are those of the
// package inbox, wrapped.
type Places struct{ kept, parked *Bucket }

// Places opens the buckets of the places.
func (l *Log) Places(ctx context.Context) (*Places, error) {
	kept, err := l.bucket(ctx, bucketConfig{
		name: "places", description: "Tocsin: how far clients without a cursor have come", ttl: placeTTL,
	})
	if err != nil {
		return nil, err
	}
	parked, err := l.bucket(ctx, bucketConfig{
		name: "parked", description: "Tocsin: where connections without a cursor ended", ttl: parkedTTL,
	})
	if err != nil {
		return nil, err
	}
	return &Places{kept, parked}, nil
}

// Get returns the cursor that is kept for the user under the name, empty if there
// is none. It is forgotten 30 days after it was set last.
func (p *Places) Get(ctx context.Context, name, user string) (cursor string, err error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	key := placeKey(name, user)
	entry, err := p.kept.kv.Get(ctx, key)
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

// Park leaves the cursor of a connection that has ended for the user's next one to
// claim, within an hour.
func (p *Places) Park(ctx context.Context, name, user, cursor string) error {
	key := fmt.Sprintf("%s.%019d.%s", placeKey(name, user), time.Now().UnixNano(), rand.Text())
	return p.parked.Create(ctx, key, []byte(cursor))
}

// Claim takes the oldest of the user's parked cursors, which nobody else gets then;
// empty, when there is none.
func (p *Places) Claim(ctx context.Context, name, user string) (cursor string, err error) {
	keys, err := p.keys(ctx, placeKey(name, user)+".>")
	if err != nil {
		return "", err
	}
	for _, key := range keys {
		value, err := p.parked.Take(ctx, key)
		switch {
		case errors.Is(err, inbox.ErrNotFound): // another one was faster, or the hour is over
		case err != nil:
			return "", err
		default:
			return string(value), nil
		}
	}
	return "", nil
}

// keys lists those that are parked, the oldest first.
func (p *Places) keys(ctx context.Context, filter string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	lister, err := p.parked.kv.ListKeysFiltered(ctx, filter)
	if err != nil {
		return nil, unavailable(p.parked.doing("list", filter), err)
	}
	var keys []string
	for key := range lister.Keys() {
		keys = append(keys, key)
	}
	if err := ctx.Err(); err != nil {
		return nil, unavailable(p.parked.doing("list", filter), err)
	}
	slices.SortFunc(keys, strings.Compare)
	return slices.Compact(keys), nil
}

func placeKey(name, user string) string { return inbox.Escape(name) + "." + inbox.Escape(user) }
