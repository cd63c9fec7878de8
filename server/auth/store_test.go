package auth

import (
	"context"
	"fmt"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// A memory is a store of both kinds for the tests of one process. The real one
// has tests of its own, which run these types on it.
type memory struct {
	ttl time.Duration // 0: for ever
	err error         // what all calls fail with

	mu      sync.Mutex
	values  map[string]stored
	changes []chan string
}

type stored struct {
	value []byte
	until time.Time
}

func newMemory(ttl time.Duration) *memory {
	return &memory{ttl: ttl, values: map[string]stored{}}
}

// get needs the lock.
func (m *memory) get(key string) ([]byte, bool) {
	s, ok := m.values[key]
	return s.value, ok && (m.ttl == 0 || time.Now().Before(s.until))
}

// set needs the lock.
func (m *memory) set(key string, value []byte) {
	m.values[key] = stored{value, time.Now().Add(m.ttl)}
	for _, c := range m.changes {
		c <- key
	}
}

func (m *memory) Create(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, there := m.get(key); there || m.err != nil {
		return fmt.Errorf("create: %w", orConflict(m.err))
	}
	m.set(key, value)
	return nil
}

func orConflict(err error) error {
	if err == nil {
		return inbox.ErrConflict
	}
	return err
}

func (m *memory) Take(_ context.Context, key string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return nil, m.err
	}
	value, there := m.get(key)
	if !there {
		return nil, fmt.Errorf("take: %w", inbox.ErrNotFound)
	}
	delete(m.values, key)
	return value, nil
}

func (m *memory) Update(_ context.Context, key string, change func([]byte) ([]byte, error)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return m.err
	}
	old, there := m.get(key)
	if !there {
		old = nil
	}
	value, err := change(old)
	if err == nil {
		m.set(key, value)
	}
	return err
}

func (m *memory) Watch(ctx context.Context, present func(), each func(string, []byte)) error {
	changes := make(chan string, 1<<14) // more than any test makes: set sends under the lock
	m.mu.Lock()
	m.changes = append(m.changes, changes)
	for key := range m.values {
		if value, ok := m.get(key); ok {
			each(key, value)
		}
	}
	m.mu.Unlock()
	present()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case key := <-changes:
			m.mu.Lock()
			value, _ := m.get(key)
			m.mu.Unlock()
			each(key, value)
		}
	}
}
