package httpd

import (
	"net/netip"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/metrics"
	"tocsin/server/presence"
	"tocsin/transports"
)

// An attendance is what is known of one conversation's client from when he comes
// until he goes, however often his token is renewed. It is a transports.Host.
type attendance struct {
	s       *Server
	counted *metrics.Transport
	// transport is what the connection is called in the presence; empty for
	// publishers, whose presence is not noted.
	transport string
	from      string // the client's address
	seat      *seat
	present   *presence.Connection // nil until he is known
	known     bool
	waits     func() // ends the waiting for who he is; nil where nobody waits
}

var (
	_ transports.Host    = (*attendance)(nil)
	_ transports.Located = (*attendance)(nil)
)

// From implements transports.Located.
func (a *attendance) From() string { return a.from }

// enter counts the conversation in.
func (a *attendance) enter(end func(cause error)) {
	if a.seat == nil {
		a.seat = a.s.sessions.enter(a.transport != "", end)
	}
}

// wait counts the conversation among those of whom it is not known who they are, of
// which there may be only so many; unless it is known by now.
func (a *attendance) wait(from netip.Addr, end func(cause error)) {
	if !a.known {
		a.waits = a.s.o.Limiter.Anonymous(from, func() { end(transports.ErrNoAuth) })
	}
}

// settle ends the waiting.
func (a *attendance) settle() {
	if a.waits != nil {
		a.waits()
		a.waits = nil
	}
}

// Known implements transports.Host. Publishers take no share of the streams that a
// user may have: many devices may have one token.
func (a *attendance) Known(d *transports.Dialogue, id transports.Identity) {
	a.enter(d.End) // Begin may call this
	a.known = true
	a.settle()
	who, ok := id.Proof.(*auth.Identity)
	if a.transport != "" && a.present == nil {
		var attributes map[string]string
		if ok {
			attributes = who.Attributes
		}
		a.present = a.s.o.Presence.ConnectWith(id.User, a.transport, attributes)
		a.seat.present = a.present
	}
	if ok {
		a.s.sit(a.seat, who)
	}
}

// Delivers implements transports.Host.
func (a *attendance) Delivers() (reached func(inbox.Reach), done func()) {
	session := a.present.Subscribe()
	return a.s.reached(session, a.transport), session.End
}

// Ended implements transports.Host.
func (a *attendance) Ended(why error) {
	if a.present != nil {
		a.present.Close()
	}
	a.settle()
	a.counted.Closed(reasonOf(why))
	if a.present != nil {
		a.s.traceEnded(a.present.User(), a.transport, why)
	}
	a.s.sessions.leave(a.seat)
}
