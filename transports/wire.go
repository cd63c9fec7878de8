package transports

import (
	"fmt"
	"net"
	"sync"
	"syscall"
	"time"
)

// A Wire writes to a connection: at once as far as the client's side takes it,
// and the rest with patience. Frames of several writers do not mix. Its methods
// may be called by many goroutines at once, but for Try and Settle, which belong
// to one at a time.
type Wire struct {
	conn    net.Conn
	raw     syscall.RawConn // nil where writing at once is not possible, as over TLS
	timeout time.Duration

	mu   sync.Mutex // held while a frame is under way
	held bool       // by Try, until Settle
	rest []byte     // of Try's frame
}

// NewWire returns a Wire; timeout is how long the client may take to accept a
// frame.
func NewWire(conn net.Conn, timeout time.Duration) *Wire {
	w := &Wire{conn: conn, timeout: timeout}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			w.raw = raw
		}
	}
	return w
}

// Try writes what the client's side takes at once. done is false when something
// is left: then the frame must not be changed, and Settle comes next.
func (w *Wire) Try(frame []byte) (done bool, err error) {
	if w.raw == nil || !w.mu.TryLock() {
		w.rest = frame
		return false, nil
	}
	n, err := writeNow(w.raw, frame)
	switch {
	case err != nil:
		w.mu.Unlock()
		return false, fmt.Errorf("write: %w", err)
	case n == len(frame):
		w.mu.Unlock()
		return true, nil
	}
	w.held, w.rest = true, frame[n:]
	return false, nil
}

// Settle writes what Try has left.
func (w *Wire) Settle() error {
	if !w.held {
		w.mu.Lock()
	}
	defer w.mu.Unlock()
	rest := w.rest
	w.held, w.rest = false, nil
	return w.write(rest)
}

// Offer writes a short frame, if the client's side takes it now and nobody else is
// writing; else it is dropped.
func (w *Wire) Offer(frame []byte) error {
	if w.raw == nil || !w.mu.TryLock() {
		return nil
	}
	defer w.mu.Unlock()
	n, err := writeNow(w.raw, frame)
	switch {
	case err != nil:
		return fmt.Errorf("write: %w", err)
	case n > 0 && n < len(frame):
		return w.write(frame[n:])
	}
	return nil
}

// Write writes a whole frame after those before it. It implements io.Writer.
func (w *Wire) Write(frame []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(frame); err != nil {
		return 0, err
	}
	return len(frame), nil
}

// Close closes the connection.
func (w *Wire) Close() { _ = w.conn.Close() }

func (w *Wire) write(frame []byte) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return fmt.Errorf("bound the writing: %w", err)
	}
	if _, err := w.conn.Write(frame); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	// Writing at once would fail once the deadline is over.
	if err := w.conn.SetWriteDeadline(time.Time{}); err != nil {
		return fmt.Errorf("unbound the writing: %w", err)
	}
	return nil
}
