package transports

import "sync"

// A Buffer collects what an encoder is to write, in memory from a pool that all
// encoders share: one that is silent holds none. Its zero value is ready; it
// belongs to one goroutine.
type Buffer struct {
	// B is what is collected; append to it after Hold.
	B    []byte
	held *[]byte // from the pool, whose memory B is in
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxKept is the largest buffer that goes back to the pool, in bytes.
const maxKept = 256 << 10

// Hold takes memory from the pool, unless the buffer has some.
func (b *Buffer) Hold() {
	if b.held == nil {
		b.held = buffers.Get().(*[]byte)
		b.B = (*b.held)[:0]
	}
}

// Held says whether the buffer has memory.
func (b *Buffer) Held() bool { return b.held != nil }

// Release gives the memory back, and forgets what was collected.
func (b *Buffer) Release() {
	if b.held == nil {
		return
	}
	if cap(b.B) <= maxKept {
		*b.held = b.B[:0]
		buffers.Put(b.held)
	}
	b.Abandon()
}

// Abandon forgets what was collected and leaves the memory to whoever still has
// it.
func (b *Buffer) Abandon() { b.held, b.B = nil, nil }
