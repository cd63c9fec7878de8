package ws

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"tocsin/transports"
)

const (
	// sendBuffer is the kernel's share of what one client has not read yet, in
	// bytes. It would grow to megabytes, for those who read slowest.
	sendBuffer = 128 << 10
	// maxDrained is how much is read of one who goes on after a close frame.
	maxDrained = 1 << 20
)

// A socket is a connection's transport. It ends in order: after a close frame the
// client gets the end of the stream, and time to close its side. Closing at once
// would answer what is still under way from the client with a reset, and a reset
// takes the close frame from it.
type socket struct {
	net.Conn
	owner *Conn
	wire  *transports.Wire
	pings atomic.Uint64 // that were written, for a Marker
	// answers: what closes now is the answer to the client's close.
	answers atomic.Bool

	mu    sync.Mutex
	ended bool
	err   error // why writing failed, or what cut the connection
}

func newSocket(raw net.Conn, owner *Conn) *socket {
	if t := tcpOf(raw); t != nil {
		_ = t.SetWriteBuffer(sendBuffer)
	}
	return &socket{Conn: raw, owner: owner, wire: transports.NewWire(raw, owner.o.WriteTimeout)}
}

// The upgrader's library itself closes after a message that is too long, with
// 1009; docs/protocol.md §6 has another code for it. It writes a control frame at
// once and nothing else that looks like this one.
var (
	closesTooBig   = []byte{0x88, 2, 1009 >> 8, 1009 & 0xff}
	closesTooLarge = []byte{0x88, 2, CodeTooLarge >> 8, CodeTooLarge & 0xff}
)

// Write implements net.Conn, for control frames, each in one call.
func (s *socket) Write(p []byte) (int, error) {
	if bytes.Equal(p, closesTooBig) && !s.answers.Load() {
		p = closesTooLarge
	}
	if _, err := s.wire.Write(s.mark(p)); err != nil {
		_ = s.broken(err)
		return 0, err
	}
	return len(p), nil
}

// broken ends the connection after an error of writing, and says why: the client
// may have got a part of a frame, so nothing can follow.
func (s *socket) broken(err error) error {
	s.fail(err)
	_ = s.Close()
	return s.why()
}

// SetWriteDeadline implements net.Conn: each frame has one of its own.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

func (s *socket) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil && !s.ended {
		s.err = err
	}
}

// Close implements net.Conn: nothing is written after it. What the client sends
// can be read for the time of the linger. Melody calls it when it is done.
func (s *socket) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	s.ended = true
	if s.err != nil {
		s.reset()
		return nil
	}
	if half, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	return s.Conn.SetReadDeadline(time.Now().Add(s.owner.o.Linger))
}

// SetReadDeadline implements net.Conn. The linger's end is the last one.
func (s *socket) SetReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return s.Conn.SetReadDeadline(t)
}

// cut ends the connection at once.
func (s *socket) cut(err error) {
	s.fail(err)
	_ = s.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reset()
}

// drain reads until the client has closed its side, for the time of the linger
// at most, and closes ours.
func (s *socket) drain() {
	_ = s.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(s.Conn, maxDrained))
	_ = s.Conn.Close()
}

// reset closes without keeping in the kernel what the client did not take.
func (s *socket) reset() {
	if t := tcpOf(s.Conn); t != nil {
		_ = t.SetLinger(0)
	}
	_ = s.Conn.Close()
}

// why says why nothing can be sent any more.
func (s *socket) why() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil || errors.Is(s.err, net.ErrClosed) {
		return ErrClosed
	}
	return fmt.Errorf("%w: %w", ErrClosed, s.err)
}

// tcpOf finds the TCP connection under TLS, or nil.
func tcpOf(c net.Conn) *net.TCPConn {
	for {
		switch t := c.(type) {
		case *net.TCPConn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
}
