package httpd

import (
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/metrics"
	"tocsin/server/presence"
	"tocsin/transports/native"
)

// An attendance is what is known of one WebSocket's client from when he comes
// until he goes, however often his token is renewed. It is a native.Host.
type attendance struct {
	s       *Server
	counted *metrics.Transport
	inbox   bool // he has one; publishers' presence is not noted
	seat    *seat
	present *presence.Connection // nil until he is known
}

var _ native.Host = (*attendance)(nil)

// enter counts the conversation in.
func (a *attendance) enter(c *native.Conversation) {
	if a.seat == nil {
		a.seat = a.s.sessions.enter(a.inbox, c.End)
	}
}

// Known implements native.Host. Publishers take no share of the streams that a
// user may have: many devices may have one token.
func (a *attendance) Known(c *native.Conversation, id native.Identity) {
	a.enter(c) // Begin may call this
	if a.inbox && a.present == nil {
		a.present = a.s.o.Presence.Connect(id.User, byWebSocket)
	}
	if who, ok := id.Proof.(*auth.Identity); ok {
		a.s.sit(a.seat, who)
	}
}

// Delivers implements native.Host.
func (a *attendance) Delivers() (reached func(inbox.Reach), done func()) {
	session := a.present.Subscribe()
	return a.s.reached(session, byWebSocket), session.End
}

// Ended implements native.Host.
func (a *attendance) Ended(why error) {
	if a.present != nil {
		a.present.Close()
	}
	a.counted.Closed(reasonOf(why))
	a.s.sessions.leave(a.seat)
}
