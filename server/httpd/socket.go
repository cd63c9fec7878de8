package httpd

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/native"
)

// subprotocol is the name of the native conversation (docs/protocol.md §6).
const subprotocol = "tocsin.v1.json"

// newCarrier makes what carries the conversations.
func (s *Server) newCarrier() (*ws.Carrier, error) {
	return ws.New(ws.Options{
		Origins: s.o.Origins, Subprotocols: []string{subprotocol},
		Ping: s.o.Limits.Ping, Dead: s.o.DeadAfter, WriteTimeout: s.o.Limits.WriteTimeout,
		Logger: s.o.Logger,
	})
}

// getSocket is GET /v1/inbox/ws. Who is known by his handshake may start; others
// say who they are in their first message.
func (s *Server) getSocket(c echo.Context) error {
	note(c).long = true
	id, err := s.identify(c, auth.ScopeInbox)
	known := err == nil
	if errors.Is(err, auth.ErrMissing) {
		err = s.loaded()
	}
	if err == nil && s.Draining() {
		err = errDraining
	}
	if err != nil {
		return err
	}
	err = s.carrier.Serve(c.Response(), c.Request(), func(conn *ws.Conn) ws.Conversation {
		// The handshake's request ends when this is answered; the conversation goes
		// on until its connection ends, or the drain ends it.
		ctx, _, leave := s.sessions.enter(context.Background(), true)
		s.ws.Opened()
		var who *native.Identity
		if known {
			who = identity(id)
		}
		present := &attendance{registry: s.o.Presence}
		return native.Begin(ctx, conn, who, func(why error) {
			present.end()
			s.ws.Closed(reasonOf(why))
			leave()
		}, s.attended(present))
	})
	var refused *ws.HandshakeError
	if errors.As(err, &refused) {
		return &handshakeError{refused}
	}
	note(c).status = 101
	return nil
}

func identity(id auth.Identity) *native.Identity {
	return &native.Identity{Client: client(id), Publish: id.Has(auth.ScopePublish), Proof: id}
}

// newConversations is what conversations need of the server.
func (s *Server) newConversations() *native.Options {
	return &native.Options{
		View: s.o.View, Pump: s.pump, Commands: socketCommands{s}, Limits: s.o.Limits,
		AuthTimeout: s.o.AuthTimeout, Delivered: s.ws.Delivered,
		Authenticate: func(ctx context.Context, token string) (native.Identity, error) {
			id, err := s.o.Auth.Verify(ctx, token)
			if err != nil {
				return native.Identity{}, err
			}
			if !id.Has(auth.ScopeInbox) {
				return native.Identity{}, &scopeError{auth.ScopeInbox}
			}
			return *identity(id), nil
		},
		Join: func(known native.Identity, end func(error)) (leave func()) {
			who, _ := known.Proof.(auth.Identity)
			rise := s.sessions.sit(who, true, end)
			if s.revoked(who) {
				end(transports.Revoked)
			}
			return rise
		},
		Problem: func(err error) (int, []byte) {
			p := explain(err)
			return p.status, p.appendJSON(nil, "")
		},
	}
}

// socketCommands are the commands of conversations: the same as those of HTTP.
type socketCommands struct{ s *Server }

var _ native.Commands = socketCommands{}

func (k socketCommands) MarkRead(ctx context.Context, c transports.Client, upto string, ids []string) (inbox.Counts, error) {
	return k.s.markRead(ctx, c.User, c.Groups, upto, ids)
}

func (k socketCommands) Acknowledge(ctx context.Context, c transports.Client, id string, rev uint64, text string) ([]byte, error) {
	a, err := k.s.o.Alarms.Do(ctx, alarm.Command{Op: alarm.Acknowledge, User: c.User, Groups: c.Groups, ID: id, Rev: rev, Note: text})
	if err != nil {
		return nil, err
	}
	return a.AppendJSON(nil), nil
}

func (k socketCommands) Publish(ctx context.Context, c transports.Client, events []byte) ([]byte, error) {
	text := bytes.TrimSpace(events)
	if len(text) == 0 || text[0] != '[' {
		return nil, fmt.Errorf("%w: alarms is an array", alarm.ErrMalformed)
	}
	p := publishing{most: k.s.o.MaxBatchEvents}
	if err := p.readArray(text); err != nil {
		return nil, err
	}
	results := k.s.o.Alarms.Publish(ctx, c.User, p.events)
	if err := refused(results, len(p.lines), false); err != nil {
		return nil, err
	}
	return k.s.appendResults(nil, &p, results), nil
}
