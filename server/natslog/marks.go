package natslog

import (
	"context"
	"encoding/json"
	"fmt"

	"tocsin/server/inbox"
)

// Marks opens the bucket of the read marks: a key for each user.
func (l *Log) Marks(ctx context.Context) (inbox.Marks, error) {
	b, err := l.bucket(ctx, bucketConfig{name: "marks", description: "Tocsin: what each user has read"})
	if err != nil {
		return nil, err
	}
	return marks{b}, nil
}

// marks keeps the read marks in a bucket.
type marks struct{ bucket *Bucket }

func (k marks) Update(ctx context.Context, user string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	var m inbox.Mark
	err := k.bucket.Update(ctx, inbox.Escape(user), func(old []byte) ([]byte, error) {
		m = inbox.Mark{}
		if old != nil {
			if err := json.Unmarshal(old, &m); err != nil {
				return nil, fmt.Errorf("read the stored mark of %s: %w", user, err)
			}
		}
		var err error
		if m, err = change(m); err != nil {
			return nil, err
		}
		value, err := json.Marshal(m)
		if err != nil {
			return nil, fmt.Errorf("encode the mark of %s: %w", user, err)
		}
		return value, nil
	})
	if err != nil {
		return inbox.Mark{}, err
	}
	return m, nil
}

func (k marks) Watch(ctx context.Context, present func(), each func(string, inbox.Mark)) error {
	return k.bucket.Watch(ctx, present, func(key string, value []byte) {
		user, ok := inbox.Unescape(key)
		var m inbox.Mark
		if err := json.Unmarshal(value, &m); err != nil || !ok {
			k.bucket.log.opts.Logger.Warn("a read mark that is none", "key", key, "error", err)
			return
		}
		each(user, m)
	})
}
