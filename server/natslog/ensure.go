package natslog

import (
	"context"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// ensure makes a stream, or brings an older one up to the configuration. One that
// is as it should be is left alone: a change takes a majority of the servers and
// their leader, which a node that comes back must not have to wait for.
func (l *Log) ensure(ctx context.Context, c jetstream.StreamConfig) (s jetstream.Stream, err error) {
	err = l.awaitCluster(ctx, func(ctx context.Context) error {
		if s, err = l.js.Stream(ctx, c.Name); err == nil && alike(&s.CachedInfo().Config, &c) {
			return nil
		}
		s, err = l.js.CreateOrUpdateStream(ctx, c)
		return err
	})
	return s, err
}

// alike compares what we choose; the engine adds to the others.
func alike(a, b *jetstream.StreamConfig) bool {
	return a.Description == b.Description && slices.Equal(a.Subjects, b.Subjects) &&
		a.Retention == b.Retention && a.Storage == b.Storage && a.Discard == b.Discard &&
		a.Replicas == b.Replicas && a.Duplicates == b.Duplicates && a.AllowDirect == b.AllowDirect &&
		a.MaxAge == b.MaxAge && a.MaxBytes == b.MaxBytes && a.MaxMsgs == b.MaxMsgs &&
		a.MaxMsgsPerSubject == b.MaxMsgsPerSubject && a.MaxMsgSize == b.MaxMsgSize && a.MaxConsumers == b.MaxConsumers &&
		a.DenyDelete == b.DenyDelete && a.AllowRollup == b.AllowRollup
}
