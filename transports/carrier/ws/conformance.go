//go:build conformance

package ws

import "github.com/olahol/melody"

// NewMixed returns a Carrier that takes text and binary messages, and what a
// conversation sends from Receive is of the kind that it has just received. It is
// for an echo, which public suites of the protocol want of a server; all messages
// go the way that they go everywhere else.
func NewMixed(o Options) (*Carrier, error) {
	o.Either = true
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	as := func(binary bool, receive func(*melody.Session, []byte)) func(*melody.Session, []byte) {
		return func(s *melody.Session, message []byte) {
			connOf(s).binary = binary
			receive(s, message)
		}
	}
	c.m.HandleMessage(as(false, received))
	c.m.HandleMessageBinary(as(true, receivedBinary))
	return c, nil
}
