//go:build conformance

package ws

import "github.com/olahol/melody"

// NewMixed returns a Carrier that takes text and binary messages, whatever
// Options.Binary says. What a conversation sends from Receive is of the kind that
// it received. It is for an echo, which suites of the protocol want of a server:
// such a build takes messages and gives them the way that all others do.
func NewMixed(o Options) (*Carrier, error) {
	c, err := New(o)
	if err != nil {
		return nil, err
	}
	as := func(binary bool) func(*melody.Session, []byte) {
		return func(s *melody.Session, message []byte) {
			conn := connOf(s)
			conn.binary = binary
			conn.receive(message)
		}
	}
	c.m.HandleMessage(as(false))
	c.m.HandleMessageBinary(as(true))
	return c, nil
}
