package ws

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

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

	sending sync.Mutex    // held while a frame is in flight
	sent    chan struct{} // a slot: the frame in flight has left
	closing atomic.Bool

	// Of the handshake; nil afterwards.
	begin   func(*Conn) Conversation
	opened  chan error
	refused *HandshakeError
}

// Send writes one text frame after those before it, and returns when it has
// left. After the write timeout the connection is over, and the error says so; it
// wraps ErrClosed in every case. The frame must not be changed before Send
// returns, nor after an error.
func (c *Conn) Send(frame []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.closing.Load() {
		return ErrClosed
	}
	if err := c.session.Write(frame); err != nil {
		return c.socket.why()
	}
	select {
	case <-c.sent:
		return nil
	case <-c.socket.over:
		return c.socket.why()
	}
}

// left is called by melody's writer.
func (c *Conn) left() {
	select {
	case c.sent <- struct{}{}:
	default:
	}
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
	c.opened <- nil
	c.begin, c.opened = nil, nil
}

// receive is called by melody's reader, frame by frame.
func (c *Conn) receive(text []byte) {
	switch {
	case c.closing.Load(): // what still comes is too late
	case !utf8.Valid(text):
		c.Close(CodeNotUTF8, "text frames are UTF-8")
	default:
		c.hear(text)
		// The client lives, even if its pong waits behind what it has sent.
		_ = c.socket.SetReadDeadline(time.Now().Add(c.o.Dead))
	}
}

// hear lets the conversation work on a stack that is given back. The reader's
// would keep its largest size for as long as the client is connected.
func (c *Conn) hear(text []byte) {
	heard := make(chan struct{})
	go func() { // ends with Receive
		defer close(heard)
		defer c.guard()
		c.talk.Receive(text)
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
