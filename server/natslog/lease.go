package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"tocsin/server/inbox"
)

// A Lease lets one process at a time do something: a key that lives for a time
// unless its holder renews it. A holder that stalls beyond that time may overlap
// with its successor for a moment, so what is done under a lease must be
// harmless when two do it.
type Lease struct {
	log  *Log
	kv   jetstream.KeyValue
	ttl  time.Duration
	self []byte // tells holders apart for whoever looks into the bucket
}

const leaseKey = "holder"

// Lease opens the lease of that name ([A-Za-z0-9_-]). A dead holder is
// succeeded after ttl, at least a second; all processes must give the same one.
func (l *Log) Lease(ctx context.Context, name string, ttl time.Duration) (*Lease, error) {
	if ttl < time.Second {
		return nil, fmt.Errorf("open the lease %s: a time to live of %v is too short to renew", name, ttl)
	}
	b, err := l.bucket(ctx, bucketConfig{
		name:        "lease_" + name,
		description: "Tocsin: who does what one process at a time does",
		ttl:         ttl,
	})
	if err != nil {
		return nil, err
	}
	return &Lease{log: l, kv: b.kv, ttl: ttl, self: []byte(nuid.Next())}, nil
}

// Hold waits for the lease, calls f while it holds it, and gives it back. The
// context given to f ends as soon as the lease may be lost, which is before
// another process can have it; when f then returns, Hold waits for the lease
// again. Hold returns nil once f returned by itself, or the error of its own
// context. f runs in Hold's goroutine.
func (h *Lease) Hold(ctx context.Context, f func(ctx context.Context)) error {
	for {
		revision, until, err := h.acquire(ctx)
		if err != nil {
			return err
		}
		held, lose := context.WithCancel(ctx)
		renewed := make(chan uint64, 1)
		// Ends when f has returned, or with the lease.
		go func() { renewed <- h.renew(held, lose, revision, until) }()
		f(held)
		lost := held.Err() != nil && ctx.Err() == nil
		lose()
		h.release(context.WithoutCancel(ctx), <-renewed)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case !lost:
			return nil
		}
	}
}

// acquire tries until it is the one that creates the key, or replaces one that
// nobody has renewed. until is when another process could have the lease,
// counted from before the request.
func (h *Lease) acquire(ctx context.Context) (revision uint64, until time.Time, err error) {
	var seen uint64 // the holder's revision
	var since time.Time
	for {
		now := time.Now()
		try, cancel := context.WithTimeout(ctx, h.ttl/3)
		if seen != 0 && now.Sub(since) > h.ttl {
			// The bucket should have dropped the key by now. It is not waited
			// for: what counts is that the holder has given up by then.
			revision, err = h.kv.Update(try, leaseKey, h.self, seen)
		} else {
			revision, err = h.kv.Create(try, leaseKey, h.self)
		}
		if beaten(err) {
			if e, err := h.kv.Get(try, leaseKey); err == nil && e.Revision() > seen {
				seen, since = e.Revision(), time.Now()
			} else if errors.Is(err, jetstream.ErrKeyNotFound) {
				seen = 0
			}
		}
		cancel()
		if err == nil {
			return revision, h.expires(now), nil
		}
		if !beaten(err) {
			h.log.opts.Logger.Warn("acquire a lease", "bucket", h.kv.Bucket(), "error", err)
		}
		// Nobody is told of the key's end, so it is tried at intervals.
		if !h.log.pause(ctx, min(h.ttl/5, 500*time.Millisecond)) {
			if ctx.Err() != nil {
				return 0, now, ctx.Err()
			}
			return 0, now, fmt.Errorf("wait for a lease: %w: %w", inbox.ErrUnavailable, errClosed)
		}
	}
}

// expires leaves a tenth of the time for f to notice.
func (h *Lease) expires(renewed time.Time) time.Time { return renewed.Add(h.ttl * 9 / 10) }

// renew keeps the lease until the context ends, or calls lose. It returns the
// revision it held last, 0 when another holder was seen.
func (h *Lease) renew(ctx context.Context, lose func(), revision uint64, until time.Time) uint64 {
	defer lose()
	for {
		wait := min(h.ttl/3, time.Until(until))
		if wait <= 0 || !h.log.pause(ctx, wait) {
			return revision
		}
		now := time.Now()
		// A renewal under way is not cut off when f returns: its revision is
		// what the lease is given back with.
		try, cancel := context.WithDeadline(context.WithoutCancel(ctx), until)
		next, err := h.kv.Update(try, leaseKey, h.self, revision)
		cancel()
		switch {
		case err == nil:
			revision, until = next, h.expires(now)
		case beaten(err):
			return 0
		default:
			h.log.opts.Logger.Warn("renew a lease", "bucket", h.kv.Bucket(), "error", err)
		}
	}
}

// release deletes the key if it is still the holder's own, so that a successor
// need not wait for its expiry.
func (h *Lease) release(ctx context.Context, revision uint64) {
	if revision == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, h.ttl/3)
	defer cancel()
	if err := h.kv.Delete(ctx, leaseKey, jetstream.LastRevision(revision)); err != nil {
		h.log.opts.Logger.Warn("give back a lease", "bucket", h.kv.Bucket(), "error", err)
	}
}
