package ws

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"

	"github.com/olahol/melody"
)

// ErrClosed: the connection is over, or about to be; nothing can be sent.
var ErrClosed = errors.New("the connection is closed")

// What may cut a connection besides an error of writing.
var (
	errSilent = errors.New("the client has been silent for too long")
	errPanic  = errors.New("the conversation panicked")
)

// A Conn is one client's connection. Its methods may be called by many
// goroutines at once.
type Conn struct {
	o       *Options
	session *melody.Session
	socket  *socket
	talk    Conversation
	binary  bool // what is sent
	listens bool // hearPongs was called; of the reading goroutine

	closing atomic.Bool
	begun   atomic.Bool // talk is there

	// Of the handshake; nil afterwards.
	begin   func(*Conn) Conversation
	opened  chan error
	refused *HandshakeError
}

// headroom is how much of a frame is before its text, at most.
const headroom = 10

// Headroom is how many bytes a frame given to Try has before its text: they are
// the carrier's to write in.
func (c *Conn) Headroom() int { return headroom }

// Try writes one message in a frame after those before it, as far as the client's side
// takes it at once. done is false when something is left: then Settle comes next,
// and the frame must not be changed before it has returned. An error wraps
// ErrClosed: the connection is over. Try and Settle are for one goroutine at a
// time.
func (c *Conn) Try(frame []byte) (done bool, err error) {
	if c.closing.Load() {
		return false, ErrClosed
	}
	done, err = c.socket.wire.Try(c.head(frame))
	if err != nil {
		return false, c.socket.broken(err)
	}
	return done, nil
}

// Pack turns the message that begins at from in b, with its headroom, into a frame,
// and returns b up to its end.
func (c *Conn) Pack(b []byte, from int) []byte {
	return b[:from+copy(b[from:], c.head(b[from:]))]
}

// TryPacked is Try for frames that Pack has made, one behind the other.
func (c *Conn) TryPacked(packed []byte) (done bool, err error) {
	if c.closing.Load() {
		return false, ErrClosed
	}
	if done, err = c.socket.wire.Try(packed); err != nil {
		return false, c.socket.broken(err)
	}
	return done, nil
}

// Settle waits until what Try left has gone. After the write timeout the
// connection is over, and the error says so; it wraps ErrClosed.
func (c *Conn) Settle() error {
	if err := c.socket.wire.Settle(); err != nil {
		return c.socket.broken(err)
	}
	return nil
}

// Send is Try and Settle for a text alone. It may be called by many goroutines at
// once.
func (c *Conn) Send(text []byte) error {
	if c.closing.Load() {
		return ErrClosed
	}
	frame := append(make([]byte, headroom, headroom+len(text)), text...)
	if _, err := c.socket.wire.Write(c.head(frame)); err != nil {
		return c.socket.broken(err)
	}
	return nil
}

// The first byte of a message in one frame (RFC 6455, 5.2).
const (
	textFrame   = 0x81
	binaryFrame = 0x82
)

// head writes the frame's head right before its text, and returns the frame from
// there on.
func (c *Conn) head(frame []byte) []byte {
	n := len(frame) - headroom
	switch {
	case n < 126:
		frame = frame[headroom-2:]
		frame[1] = byte(n)
	case n <= 0xffff:
		frame = frame[headroom-4:]
		frame[1] = 126
		binary.BigEndian.PutUint16(frame[2:], uint16(n))
	default:
		frame = frame[headroom-10:]
		frame[1] = 127
		binary.BigEndian.PutUint64(frame[2:], uint64(n))
	}
	if frame[0] = textFrame; c.binary {
		frame[0] = binaryFrame
	}
	return frame
}

// Close sends a close frame behind the frame in flight and ends the connection:
// at the latest after twice the write timeout and Options.Linger. Only the first
// call counts. The reason is at most 123 bytes. It does not wait.
func (c *Conn) Close(code int, reason string) {
	c.close(c.session, code, reason)
}

func (c *Conn) close(s *melody.Session, code int, reason string) {
	if !c.closing.Swap(true) {
		// An error means that the connection has ended by itself.
		_ = s.CloseWithMsg(melody.FormatCloseMessage(code, reason[:min(len(reason), 123)]))
	}
}

// finish is the end of the reading goroutine; err is that of a handshake which
// failed.
func (c *Conn) finish(err error) {
	if c.opened != nil {
		switch {
		case c.refused != nil:
			err = c.refused
		case err == nil:
			err = errPanic
		}
		c.opened <- fmt.Errorf("answer the handshake: %w", err)
	}
	c.closing.Store(true)
	if c.talk != nil {
		defer c.guard()
		defer c.socket.drain()
		c.talk.Gone()
	} else if c.socket != nil {
		c.socket.drain()
	}
}

// open begins the conversation, before melody begins to write.
func (c *Conn) open(s *melody.Session) {
	defer c.guard()
	c.session = s
	c.talk = c.begin(c)
	c.begun.Store(true)
	c.hearPings(s)
	c.opened <- nil
	c.begin, c.opened = nil, nil
}

// receive is called by melody's reader, frame by frame.
func (c *Conn) receive(message []byte) {
	if c.closing.Load() {
		return // what still comes is too late
	}
	if !c.listens {
		c.listens = true
		c.hearPongs()
	}
	c.hear(message)
	// The client lives, even if its pong waits behind what it has sent.
	_ = c.lives()
}

// hear lets the conversation work on a stack that is given back. The reader's
// would keep its largest size for as long as the client is connected.
func (c *Conn) hear(message []byte) {
	heard := make(chan struct{})
	go func() { // ends with Receive
		defer close(heard)
		defer c.guard()
		c.talk.Receive(message)
	}()
	<-heard
}

// guard ends the connection when its conversation panics, instead of all.
func (c *Conn) guard() {
	if r := recover(); r != nil {
		c.o.Logger.Error("a conversation panicked", "reason", r, "stack", string(debug.Stack()))
		c.closing.Store(true)
		c.socket.cut(errPanic)
	}
}
