package presence

import (
	"context"
	"slices"
	"sync"
)

// A Bus carries messages between the nodes, and keeps none: who is not listening
// has missed them. natslog has it.
type Bus interface {
	// Publish sends a message of up to 640 KiB to everybody who listens, perhaps the
	// sender among them, and does not wait. Messages of one node come in their order,
	// if they come; an error says that this one does not. Many goroutines may call it.
	Publish(data []byte) error
	// Listen calls each, from one goroutine, with every message from when it returns
	// until stop has returned. each must not keep the bytes.
	Listen(ctx context.Context, each func(data []byte)) (stop func(), err error)
}

// A MemoryBus is a Bus within one process, for tests. Its zero value is ready.
type MemoryBus struct {
	mu        sync.Mutex
	listeners []*memoryListener
	cut       bool
}

var _ Bus = (*MemoryBus)(nil)

type memoryListener struct{ messages chan []byte }

// Publish implements Bus. A listener who is 4,096 messages behind misses some, as
// with a real one.
func (b *MemoryBus) Publish(data []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.cut {
		return nil
	}
	data = slices.Clone(data)
	for _, l := range b.listeners {
		select {
		case l.messages <- data:
		default:
		}
	}
	return nil
}

// Cut makes the bus lose everything from now on, or no more.
func (b *MemoryBus) Cut(cut bool) {
	b.mu.Lock()
	b.cut = cut
	b.mu.Unlock()
}

// Listen implements Bus.
func (b *MemoryBus) Listen(_ context.Context, each func(data []byte)) (stop func(), err error) {
	l := &memoryListener{make(chan []byte, 4096)}
	b.mu.Lock()
	b.listeners = append(b.listeners, l)
	b.mu.Unlock()
	ended := make(chan struct{})
	// Ends with stop.
	go func() {
		defer close(ended)
		for data := range l.messages {
			each(data)
		}
	}()
	return sync.OnceFunc(func() {
		b.mu.Lock()
		b.listeners = slices.DeleteFunc(b.listeners, func(other *memoryListener) bool { return other == l })
		close(l.messages)
		b.mu.Unlock()
		<-ended
	}), nil
}
