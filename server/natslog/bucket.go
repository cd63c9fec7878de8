package natslog

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// bucketConfig says what a bucket is for. All processes must give the same one.
type bucketConfig struct {
	name        string // [A-Za-z0-9_-]
	description string
	// ttl is how long after its last change a key is forgotten, at least 100 ms;
	// 0 is never. It is counted by the engine's clock alone, and goes on while
	// the engine is down.
	ttl time.Duration
	// belowReserve writes on when free space is below the reserve. It is for what
	// is small, goes by itself and is needed just then.
	belowReserve bool
}

// A Bucket keeps the newest value of each key. Keys are [A-Za-z0-9_=/.-]. Its
// methods may be called by many goroutines at once; their errors are those of
// the package inbox, wrapped.
//
// Reads are answered by the leader, so that what one node has just stored is
// seen by the next. All the same a deposed leader's answer may be old: what is
// decided is decided by a write that names the revision it replaces
// (docs/decisions/0002).
type Bucket struct {
	log    *Log
	kv     jetstream.KeyValue
	stream jetstream.Stream // the one below the bucket
	conf   bucketConfig
}

// Tickets opens the bucket of the tickets, which forgets each after ttl. It is an
// auth.TicketStore. Readers need tickets, and reading goes on below the reserve.
func (l *Log) Tickets(ctx context.Context, ttl time.Duration) (*Bucket, error) {
	return l.bucket(ctx, bucketConfig{
		name: "tickets", description: "Tocsin: who may open one connection, by the hash of his ticket",
		ttl: ttl, belowReserve: true,
	})
}

// Revocations opens the bucket of the revocations, which forgets each ttl after
// it was made last. It is an auth.RevocationStore. That the disk is full is no
// reason to let a stolen token in.
func (l *Log) Revocations(ctx context.Context, ttl time.Duration) (*Bucket, error) {
	return l.bucket(ctx, bucketConfig{
		name: "revocations", description: "Tocsin: tokens that were taken back",
		ttl: ttl, belowReserve: true,
	})
}

// bucket makes a bucket, or brings an older one up to the configuration. It is
// what the client library makes of one, but for direct reads: the library always
// allows them, and any replica may answer those.
func (l *Log) bucket(ctx context.Context, c bucketConfig) (*Bucket, error) {
	doing := "open the bucket " + c.name
	// The engine wants the window of ids, which a bucket has no use for, within
	// the life of a message.
	window := 2 * time.Minute
	if c.ttl > 0 {
		window = min(window, c.ttl)
	}
	config := jetstream.StreamConfig{
		Name:              "KV_" + c.name,
		Description:       c.description,
		Subjects:          []string{"$KV." + c.name + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          l.opts.Replicas,
		MaxAge:            c.ttl,
		Duplicates:        window,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		DenyDelete:        true,
		AllowRollup:       true,
		AllowDirect:       false,
		MaxMsgs:           -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
	stream, err := l.ensure(ctx, config)
	if err != nil {
		return nil, unavailable(doing, err)
	}
	var kv jetstream.KeyValue
	err = l.awaitCluster(ctx, func(ctx context.Context) (err error) {
		kv, err = l.js.KeyValue(ctx, c.name)
		return err
	})
	if err != nil {
		return nil, unavailable(doing, err)
	}
	return &Bucket{log: l, kv: kv, stream: stream, conf: c}, nil
}

// full says whether writing is refused.
func (b *Bucket) full() bool { return !b.conf.belowReserve && b.log.Full() }

func (b *Bucket) doing(what, key string) string {
	return what + " " + key + " in the bucket " + b.conf.name
}

// Create stores the value under a key that has none, else it fails with
// inbox.ErrConflict.
func (b *Bucket) Create(ctx context.Context, key string, value []byte) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := b.doing("create", key)
	if b.full() {
		return fmt.Errorf("%s: %w", doing, inbox.ErrFull)
	}
	_, err := b.kv.Create(ctx, key, value)
	switch {
	case err == nil:
		return nil
	case beaten(err):
		return fmt.Errorf("%s: %w", doing, inbox.ErrConflict)
	}
	return unavailable(doing, err)
}

// get reads what is stored under a key.
func (b *Bucket) get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	return ask(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return b.kv.Get(ctx, key) })
}

// Take removes the key and returns what it had. Of all that take a key, on
// whatever nodes, one gets it; the others, and who comes too late, get
// inbox.ErrNotFound. After inbox.ErrUnavailable it may have been removed.
//
// It is not refused below the reserve: what it writes is smaller than what it
// removes.
func (b *Bucket) Take(ctx context.Context, key string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	doing := b.doing("take", key)
	entry, err := b.get(ctx, key)
	if err == nil {
		err = b.kv.Delete(ctx, key, jetstream.LastRevision(entry.Revision()))
	}
	switch {
	case err == nil:
		return entry.Value(), nil
	case errors.Is(err, jetstream.ErrKeyNotFound), beaten(err):
		return nil, fmt.Errorf("%s: %w", doing, inbox.ErrNotFound)
	}
	return nil, unavailable(doing, err)
}

// Update replaces the key's value by what change makes of the newest one, nil
// where there is none, under compare-and-set: change is called again when another
// writer was first. An error of change is returned as it is and nothing is
// stored.
func (b *Bucket) Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error {
	for {
		won, err := b.try(ctx, key, change)
		switch {
		case err != nil || won:
			return err
		case b.full():
			return fmt.Errorf("%s: %w", b.doing("update", key), inbox.ErrFull)
		}
		// A beaten writer steps back for a moment, else a crowd of them keeps
		// beating itself.
		if !b.log.pause(ctx, rand.N(5*time.Millisecond)) {
			return unavailable(b.doing("update", key), errors.Join(ctx.Err(), errNoAnswer))
		}
	}
}

// try makes one attempt; won is false when another writer was first.
func (b *Bucket) try(ctx context.Context, key string, change func([]byte) ([]byte, error)) (won bool, err error) {
	doing := b.doing("update", key)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var old []byte
	revision := uint64(0)
	entry, err := b.get(ctx, key)
	switch {
	case err == nil:
		old, revision = entry.Value(), entry.Revision()
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return false, unavailable(doing, err)
	}
	value, err := change(old)
	if err != nil {
		return false, err
	}
	if b.full() {
		return false, fmt.Errorf("%s: %w", doing, inbox.ErrFull)
	}
	if revision == 0 {
		_, err = b.kv.Create(ctx, key, value)
	} else {
		_, err = b.kv.Update(ctx, key, value, revision)
	}
	switch {
	case err == nil:
		return true, nil
	case beaten(err):
		return false, nil
	}
	return false, unavailable(doing, err)
}

// beaten says that a Create, an Update or a Delete lost its compare-and-set.
func beaten(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}
