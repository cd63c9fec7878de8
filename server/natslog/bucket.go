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

// A BucketConfig says what a bucket is for. All processes must give the same one.
type BucketConfig struct {
	// Name of the bucket, [A-Za-z0-9_-].
	Name        string
	Description string
	// TTL is how long after its last change a key is forgotten, at least 100 ms;
	// 0 is never. It is counted by the engine's clock alone, and goes on while
	// the engine is down.
	TTL time.Duration
	// BelowReserve writes on when free space is below the reserve. It is for what
	// is small, short-lived and needed just then.
	BelowReserve bool
}

// A Bucket keeps the newest value of each key. Keys are [A-Za-z0-9_=/.-]. Its
// methods may be called by many goroutines at once; their errors are those of
// the package inbox, wrapped.
//
// Reads are answered by the leader, so that what one node has just stored is
// seen by the next. All the same a deposed leader's answer may be old: what is
// decided is decided by a write that names the revision it replaces (design
// decision 3).
type Bucket struct {
	log  *Log
	kv   jetstream.KeyValue
	conf BucketConfig
}

// Bucket opens a bucket; it is made when missing.
func (l *Log) Bucket(ctx context.Context, c BucketConfig) (*Bucket, error) {
	kv, err := l.keyValue(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Bucket{log: l, kv: kv, conf: c}, nil
}

// keyValue makes the stream of a bucket, or brings an older one up to the
// configuration. It is what the client library makes of a bucket, but for direct
// reads: the library always allows them, and any replica may answer those.
func (l *Log) keyValue(ctx context.Context, c BucketConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	doing := "open the bucket " + c.Name
	// The engine wants the window of ids, which a bucket has no use for, within
	// the life of a message.
	window := 2 * time.Minute
	if c.TTL > 0 {
		window = min(window, c.TTL)
	}
	if _, err := l.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name:              "KV_" + c.Name,
		Description:       c.Description,
		Subjects:          []string{"$KV." + c.Name + ".>"},
		Storage:           jetstream.FileStorage,
		Replicas:          l.opts.Replicas,
		MaxAge:            c.TTL,
		Duplicates:        window,
		MaxMsgsPerSubject: 1,
		Discard:           jetstream.DiscardNew,
		DenyDelete:        true,
		AllowRollup:       true,
		AllowDirect:       false,
		MaxMsgs:           -1, MaxBytes: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}); err != nil {
		return nil, unavailable(doing, err)
	}
	kv, err := l.js.KeyValue(ctx, c.Name)
	if err != nil {
		return nil, unavailable(doing, err)
	}
	return kv, nil
}

// full says whether writing is refused.
func (b *Bucket) full() bool { return !b.conf.BelowReserve && b.log.Full() }

func (b *Bucket) doing(what, key string) string {
	return what + " " + key + " in the bucket " + b.conf.Name
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
	entry, err := b.kv.Get(ctx, key)
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
	entry, err := b.kv.Get(ctx, key)
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

// Watch calls each with every value there is, then with every change, from one
// goroutine, until the context or the log ends. present is called once when all
// that there was has been given. It does not end because the engine is away: it
// begins again when the engine is back, and gives everything again. What is
// removed, taken or forgotten is not told.
func (b *Bucket) Watch(ctx context.Context, present func(), each func(key string, value []byte)) error {
	for {
		err := b.watch(ctx, &present, each)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if !errors.Is(err, errClosed) {
			b.log.opts.Logger.Warn("watch of a bucket: begin again", "bucket", b.conf.Name, "error", err)
		}
		if !b.log.pause(ctx, scanRetry) {
			return errors.Join(ctx.Err(), unavailable("watch the bucket "+b.conf.Name, errClosed))
		}
	}
}

// watch follows the bucket until the watcher ends. It clears present once it has
// called it: a later watcher gives everything again, which tells nothing new.
func (b *Bucket) watch(ctx context.Context, present *func(), each func(string, []byte)) error {
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer w.Stop()
	for {
		var entry jetstream.KeyValueEntry
		var open bool
		select {
		case entry, open = <-w.Updates():
		case <-ctx.Done():
			return ctx.Err()
		case <-b.log.closed:
			return errClosed
		}
		switch {
		case !open:
			return errors.New("the watcher ended")
		case entry == nil:
			if *present != nil {
				(*present)()
				*present = nil
			}
		case entry.Operation() == jetstream.KeyValuePut:
			each(entry.Key(), entry.Value())
		}
	}
}
