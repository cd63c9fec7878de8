package natslog

import (
	"context"
	"fmt"

	"tocsin/server/inbox"
)

// A Standing is how the log stands at its leader.
type Standing struct {
	inbox.Bounds
	Members
}

// Standing asks the leader for both at once. Its errors are those of Bounds.
func (l *Log) Standing(ctx context.Context) (Standing, error) {
	const doing = "ask how the log stands"
	info, err := l.info(ctx)
	if err != nil {
		return Standing{}, unavailable(doing, err)
	}
	if err := followed(info); err != nil {
		return Standing{}, fmt.Errorf(doing+": %w", err)
	}
	return Standing{bounds(info), membersOf(info)}, nil
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
