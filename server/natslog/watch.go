package natslog

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// watchCheck is how often a watch asks whether it has missed something. A
	// revocation is to be in force within 2 seconds on all nodes; two checks and
	// a new watch fit into that.
	watchCheck = 400 * time.Millisecond
	// checkTimeout bounds the asking, during which nothing is given.
	checkTimeout = time.Second
)

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
			b.log.opts.Logger.Warn("watch of a bucket: begin again", "bucket", b.conf.name, "error", err)
		}
		if !b.log.pause(ctx, scanRetry) {
			return errors.Join(ctx.Err(), unavailable("watch the bucket "+b.conf.name, errClosed))
		}
	}
}

// watch follows the bucket until the watcher ends, or is found out to be deaf. It
// clears present once it has called it: a later watcher gives everything again,
// which tells nothing new.
func (b *Bucket) watch(ctx context.Context, present *func(), each func(string, []byte)) error {
	p, err := b.progress(ctx)
	if err != nil {
		return err
	}
	w, err := b.kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer w.Stop()
	check := time.NewTicker(watchCheck)
	defer check.Stop()
	for {
		var entry jetstream.KeyValueEntry
		var open bool
		select {
		case entry, open = <-w.Updates():
		case <-check.C:
			if err := p.check(ctx); err != nil {
				return err
			}
			continue
		case <-ctx.Done():
			return ctx.Err()
		case <-b.log.closed:
			return errClosed
		}
		switch {
		case !open:
			return errors.New("the watcher ended")
		case entry == nil:
			p.present = true
			if *present != nil {
				(*present)()
				*present = nil
			}
			continue
		case entry.Operation() == jetstream.KeyValuePut:
			each(entry.Key(), entry.Value())
		}
		p.seen = max(p.seen, entry.Revision())
	}
}

// progress tells a watcher that is deaf from one that has nothing to hear. The
// client library takes up to half a minute for that, when the server that kept
// its consumer has died.
type progress struct {
	bucket  *Bucket
	present bool   // all that there was has been given
	seen    uint64 // the highest revision that was given, or need not be
	due     uint64 // the highest there was at the last check
	before  uint64 // seen at the last check
}

func (b *Bucket) progress(ctx context.Context) (*progress, error) {
	last, err := b.last(ctx, requestTimeout)
	if err != nil {
		return nil, err
	}
	// Below that some may be forgotten by now, and are never given.
	return &progress{bucket: b, seen: last, due: last}, nil
}

// check fails when nothing has come since the last check, though something was
// due then. An engine that does not answer has nothing to give either.
func (p *progress) check(ctx context.Context) error {
	if !p.present {
		return nil
	}
	if p.seen < p.due && p.seen == p.before {
		return fmt.Errorf("revision %d was not given, %d was the last", p.due, p.seen)
	}
	p.before = p.seen
	if last, err := p.bucket.last(ctx, checkTimeout); err == nil {
		p.due = last
	}
	return nil
}

// last is the highest revision of the bucket.
func (b *Bucket) last(ctx context.Context, timeout time.Duration) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	info, err := b.stream.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}
