package natslog

import (
	"context"

	"tocsin/server/inbox"
)

// A Standing is how the log stands at its leader.
type Standing struct {
	inbox.Bounds
	// Leads says that this process's own engine leads the log. An external one is
	// nobody's own.
	Leads bool
	// Replicas is how many servers store the log, Current how many of them have
	// all of it, the leader included.
	Replicas, Current int
}

// Standing asks the leader. Its errors are those of Bounds.
func (l *Log) Standing(ctx context.Context) (Standing, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := l.stream.Info(ctx)
	if err != nil {
		return Standing{}, unavailable("ask how the log stands", err)
	}
	s := Standing{Bounds: bounds(info), Leads: l.engine != nil, Replicas: max(info.Config.Replicas, 1), Current: 1}
	if c := info.Cluster; c != nil && c.Leader != "" { // a server that is alone names none
		s.Leads = l.engine != nil && c.Leader == l.nc.ConnectedServerName()
		for _, r := range c.Replicas {
			if r.Current && !r.Offline {
				s.Current++
			}
		}
	}
	return s, nil
}

// Free is the space, in bytes, that the directory's file system has left. It is
// for an embedded log: ok is false of an external one, and where it cannot be
// measured.
func (l *Log) Free() (bytes uint64, ok bool) {
	if l.engine == nil {
		return 0, false
	}
	bytes, err := l.opts.FreeSpace(l.opts.Dir)
	return bytes, err == nil
}

// Waiting is how many jobs of the queue are not done yet, those that are to be
// tried again included.
func (q *Queue) Waiting(ctx context.Context) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	info, err := q.consumer.Info(ctx)
	if err != nil {
		return 0, unavailable("ask how many jobs wait in "+q.stream, err)
	}
	return info.NumPending + uint64(info.NumAckPending), nil
}
