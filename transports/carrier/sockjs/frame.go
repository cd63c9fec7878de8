package sockjs

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"tocsin/transports"
)

// A framed is a connection of another carrier, a WebSocket, on which messages go
// in the frames of SockJS. It is the conversation of that carrier, and the
// connection of ours.
type framed struct {
	transports.Conn
	c    *Carrier
	talk Conversation

	flight  transports.Buffer // of Try
	closing atomic.Bool
	said    atomic.Int64 // when something was last sent, in Unix nanoseconds

	mu    sync.Mutex
	timer *time.Timer // of the next heartbeat; guarded by mu
}

var _ transports.Conn = (*framed)(nil)

// Close codes of the connection below.
const (
	codeNormal   = 1000
	codeProtocol = 1002
	codeTooLarge = 4413 // of docs/protocol.md §6
)

// Frame begins a conversation on a connection that carries whole messages itself,
// and returns what that connection's carrier converses with.
func (c *Carrier) Frame(conn transports.Conn, begin Begin) Conversation {
	f := &framed{Conn: conn, c: c}
	f.said.Store(time.Now().UnixNano())
	_ = conn.Send(openFrame) // it fits; an error is one of the connection, which ends
	f.talk = begin(f)
	f.mu.Lock()
	defer f.mu.Unlock()
	// Its goroutine ends with the frame that it sends.
	f.timer = time.AfterFunc(c.o.Heartbeat, f.beat)
	return f
}

// Headroom implements transports.Conn.
func (f *framed) Headroom() int { return 0 }

// Try implements transports.Conn.
func (f *framed) Try(message []byte) (done bool, err error) {
	if f.closing.Load() {
		return false, ErrClosed
	}
	f.flight.Hold()
	for range f.Conn.Headroom() {
		f.flight.B = append(f.flight.B, 0)
	}
	f.flight.B = appendMessage(f.flight.B, message)
	if done, err = f.Conn.Try(f.flight.B); done || err != nil {
		f.flight.Release()
	}
	f.said.Store(time.Now().UnixNano())
	return done, err //nolint:wrapcheck // it is the connection's
}

// Settle implements transports.Conn.
func (f *framed) Settle() error {
	defer f.flight.Release()
	return f.Conn.Settle() //nolint:wrapcheck // it is the connection's
}

// Send implements transports.Conn.
func (f *framed) Send(text []byte) error {
	if f.closing.Load() {
		return ErrClosed
	}
	var frame transports.Buffer
	frame.Hold()
	defer frame.Release()
	frame.B = appendMessage(frame.B, text)
	f.said.Store(time.Now().UnixNano())
	return f.Conn.Send(frame.B) //nolint:wrapcheck // it is the connection's
}

// appendMessage writes the frame of one message.
func appendMessage(b, message []byte) []byte {
	b = append(b, "a["...)
	b = appendString(b, message, false)
	return append(b, ']')
}

// Close implements transports.Conn: the client gets a frame of SockJS, which says
// why, and then the end of the connection.
func (f *framed) Close(code int, reason string) {
	if f.closing.Swap(true) {
		return
	}
	go func() { // ends when the client has taken what is in flight, or has had its time
		_ = f.Conn.Send(closeFrame(code, reason)) // the close comes either way
		f.Conn.Close(codeNormal, "")
	}()
}

// Receive implements Conversation.
func (f *framed) Receive(payload []byte) {
	if f.closing.Load() || len(payload) == 0 {
		return
	}
	messages, err := parseMessages(payload, true, f.c.o.MaxMessage)
	if err != nil {
		code := codeProtocol
		if errors.Is(err, errTooLarge) {
			code = codeTooLarge
		}
		f.closing.Store(true)
		f.Conn.Close(code, err.Error())
		return
	}
	for _, m := range messages {
		if f.closing.Load() {
			return
		}
		f.talk.Receive(m)
	}
}

// Gone implements Conversation.
func (f *framed) Gone() {
	f.closing.Store(true)
	f.mu.Lock()
	f.timer.Stop()
	f.mu.Unlock()
	f.talk.Gone()
}

// beat sends a heartbeat when nothing was sent for as long, and looks again when
// the next one may be due.
func (f *framed) beat() {
	if f.closing.Load() {
		return
	}
	next := f.c.o.Heartbeat - time.Since(time.Unix(0, f.said.Load()))
	if next <= 0 {
		f.said.Store(time.Now().UnixNano())
		if f.Conn.Send(heartbeatFrame) != nil {
			return // it is over
		}
		next = f.c.o.Heartbeat
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.timer.Reset(next)
}
