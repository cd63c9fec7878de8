package natslog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Marks opens the bucket of the read marks: a key for each user.
func (l *Log) Marks(ctx context.Context) (inbox.Marks, error) {
	kv, err := l.bucket(ctx, jetstream.KeyValueConfig{
		Bucket:      "marks",
		Description: "Tocsin: what each user has read",
	})
	if err != nil {
		return nil, err
	}
	return &marks{log: l, kv: kv}, nil
}

// bucket makes a bucket, or brings an older one up to the configuration.
func (l *Log) bucket(ctx context.Context, c jetstream.KeyValueConfig) (jetstream.KeyValue, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	c.History = 1
	c.Storage = jetstream.FileStorage
	c.Replicas = l.opts.Replicas
	kv, err := l.js.CreateOrUpdateKeyValue(ctx, c)
	if err != nil {
		return nil, unavailable("open the bucket "+c.Bucket, err)
	}
	return kv, nil
}

// marks keeps the read marks in a bucket. What it reads there may be old, since
// a bucket answers from any replica; so only Create and Update decide (decision
// 3), and a loser reads again.
type marks struct {
	log *Log
	kv  jetstream.KeyValue
}

func (k *marks) Update(ctx context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	doing := "update the mark of " + user
	for {
		m, won, err := k.try(ctx, user, change)
		switch {
		case err == nil && won:
			return m, nil
		case err == nil && k.log.Full():
			err = inbox.ErrFull
		case err == nil:
			// A beaten writer steps back for a moment, else a crowd of them
			// keeps beating itself.
			if k.log.pause(ctx, rand.N(5*time.Millisecond)) {
				continue
			}
			err = unavailable(doing, errors.Join(ctx.Err(), errNoAnswer))
		}
		return inbox.Mark{}, err
	}
}

// try makes one attempt; won is false when another writer was first.
func (k *marks) try(ctx context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (m inbox.Mark, won bool, err error) {
	doing := "update the mark of " + user
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	key, revision := inbox.Escape(user), uint64(0)
	entry, err := k.kv.Get(ctx, key)
	switch {
	case err == nil:
		revision = entry.Revision()
		if err := json.Unmarshal(entry.Value(), &m); err != nil {
			return m, false, fmt.Errorf("%s: read what is stored: %w", doing, err)
		}
	case !errors.Is(err, jetstream.ErrKeyNotFound):
		return m, false, unavailable(doing, err)
	}
	if m, err = change(m); err != nil {
		return m, false, err
	}
	if k.log.Full() {
		return m, false, fmt.Errorf("%s: %w", doing, inbox.ErrFull)
	}
	value, err := json.Marshal(m)
	if err != nil {
		return m, false, fmt.Errorf("%s: %w", doing, err)
	}
	if revision == 0 {
		_, err = k.kv.Create(ctx, key, value)
	} else {
		_, err = k.kv.Update(ctx, key, value, revision)
	}
	switch {
	case err == nil:
		return m, true, nil
	case beaten(err):
		return m, false, nil
	}
	return m, false, unavailable(doing, err)
}

// beaten says that a Create or Update lost its compare-and-set.
func beaten(err error) bool {
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}

func (k *marks) Watch(ctx context.Context, present func(), each func(string, inbox.Mark)) error {
	for {
		err := k.watch(ctx, &present, each)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		k.log.opts.Logger.Warn("watch of the read marks: begin again", "error", err)
		if !k.log.pause(ctx, scanRetry) {
			return errors.Join(ctx.Err(), unavailable("watch the read marks", errClosed))
		}
	}
}

// watch follows the bucket until the watcher ends. It clears present once it has
// called it: a later watcher gives everything again, which tells nothing new.
func (k *marks) watch(ctx context.Context, present *func(), each func(string, inbox.Mark)) error {
	w, err := k.kv.WatchAll(ctx)
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
		case <-k.log.closed:
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
			continue
		case entry.Operation() != jetstream.KeyValuePut:
			continue
		}
		user, ok := inbox.Unescape(entry.Key())
		var m inbox.Mark
		if err := json.Unmarshal(entry.Value(), &m); err != nil || !ok {
			k.log.opts.Logger.Warn("a read mark that is none", "key", entry.Key(), "error", err)
			continue
		}
		each(user, m)
	}
}
