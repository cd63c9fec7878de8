package transporttest

import (
	"context"
	"maps"
	"sync"

	"tocsin/server/httpd"
	"tocsin/server/inbox"
)

// A bucket is what the nodes of a world share besides the log: the newest value
// of each key.
type bucket struct {
	mu      sync.Mutex
	values  map[string][]byte
	changed chan struct{} // closed at the next change
}

func newBucket() *bucket {
	return &bucket{values: map[string][]byte{}, changed: make(chan struct{})}
}

// Update implements auth.RevocationStore.
func (b *bucket) Update(_ context.Context, key string, change func([]byte) ([]byte, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	value, err := change(b.values[key])
	if err != nil {
		return err
	}
	b.values[key] = value
	close(b.changed)
	b.changed = make(chan struct{})
	return nil
}

// Watch implements auth.RevocationStore. Values come again with every change.
func (b *bucket) Watch(ctx context.Context, present func(), each func(string, []byte)) error {
	for first := true; ; first = false {
		b.mu.Lock()
		all, changed := maps.Clone(b.values), b.changed
		b.mu.Unlock()
		for key, value := range all {
			each(key, value)
		}
		if first {
			present()
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// noMarks are Marks of a world in which nobody marks anything as read.
type noMarks struct{}

func (noMarks) Update(_ context.Context, _ string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	return change(inbox.Mark{})
}

func (noMarks) Watch(ctx context.Context, present func(), _ func(string, inbox.Mark)) error {
	present()
	<-ctx.Done()
	return ctx.Err()
}

// places are cursors in memory, for clients that keep none.
type places struct {
	httpd.Places // the rest of it

	mu sync.Mutex
	of map[string]string
}

func newPlaces() *places { return &places{of: map[string]string{}} }

func (p *places) Get(_ context.Context, name, user string) (string, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.of[name+"/"+user], nil
}

func (p *places) Set(_ context.Context, name, user string, choose func(string) string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.of[name+"/"+user] = choose(p.of[name+"/"+user])
	return nil
}
