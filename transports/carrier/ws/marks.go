package ws

import (
	"bytes"
	"encoding/binary"
	"time"

	"github.com/olahol/melody"
)

// A Marker is a Conversation that wants to know what has arrived at its client:
// what was sent before a ping has, when the ping is answered. Pings are counted
// from 1. Mark is called by other goroutines than the other methods, none of which
// may wait.
type Marker interface {
	// Mark is called right before a ping is written, or dropped.
	Mark(ping uint64)
	// Arrived is called when the client has answered that ping; not for every one.
	Arrived(ping uint64)
	// Pinged is called when the client has sent a ping of its own, which the
	// carrier answers.
	Pinged()
}

// barePing is a ping as melody writes it.
var barePing = []byte{0x89, 0}

// mark gives a ping its number, for a conversation that wants to know.
func (s *socket) mark(p []byte) []byte {
	m, ok := s.owner.talk.(Marker)
	if !ok || !bytes.Equal(p, barePing) {
		return p
	}
	return s.marked(m)
}

// marked is a ping with the next number.
func (s *socket) marked(m Marker) []byte {
	ping := s.pings.Add(1)
	m.Mark(ping)
	return binary.BigEndian.AppendUint64([]byte{barePing[0], 8}, ping)
}

// Ping pings the client now, besides the pings that it gets anyway, if the
// conversation is a Marker: unless something is being written, or its side takes
// nothing. It does not wait.
func (c *Conn) Ping() {
	if !c.begun.Load() || c.closing.Load() {
		return
	}
	m, ok := c.talk.(Marker)
	if !ok {
		return
	}
	if err := c.socket.wire.Offer(c.socket.marked(m)); err != nil {
		_ = c.socket.broken(err)
	}
}

// ponged is called by melody for a pong, of which it does not say what it holds, nor
// whether it answers anything. From then on they are heard here.
func ponged(s *melody.Session) { connOf(s).hearPongs() }

// hearPongs tells the conversation of the pongs that come from now on, if it is a
// Marker. Melody takes them for itself until the first message has come, or the
// first pong.
func (c *Conn) hearPongs() {
	m, ok := c.talk.(Marker)
	if !ok {
		return
	}
	c.session.WebsocketConnection().SetPongHandler(func(data string) error {
		if len(data) == 8 {
			m.Arrived(binary.BigEndian.Uint64([]byte(data)))
		}
		return c.lives()
	})
}

// hearPings tells the conversation of the client's pings.
func (c *Conn) hearPings(s *melody.Session) {
	m, ok := c.talk.(Marker)
	if !ok {
		return
	}
	answer := s.WebsocketConnection().PingHandler()
	s.WebsocketConnection().SetPingHandler(func(data string) error {
		m.Pinged()
		_ = c.lives()
		return answer(data)
	})
}

// lives notes that something came from the client.
func (c *Conn) lives() error { return c.socket.SetReadDeadline(time.Now().Add(c.o.Dead)) }
