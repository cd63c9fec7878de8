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
	"tocsin/server/metrics"
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
	return s.socket(c, auth.ScopeInbox, s.ws, s.conversations)
}

// getPublishSocket is GET /v1/publish/ws: the same for publishers without an inbox.
func (s *Server) getPublishSocket(c echo.Context) error {
	return s.socket(c, auth.ScopePublish, s.publishers, s.publishing)
}

// socket begins a conversation with a client whose token has the scope.
func (s *Server) socket(c echo.Context, scope string, counted *metrics.Transport, o *native.Options) error {
	note(c).long = true
	id, err := s.identify(c, scope)
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
	// The handshake's request ends when this is answered; the conversation goes on
	// until its connection ends, or the drain ends it.
	err = s.carrier.Serve(c.Response(), c.Request(), func(conn *ws.Conn) ws.Conversation {
		counted.Opened()
		var who *native.Identity
		if known {
			who = identity(id)
		}
		host := &attendance{s: s, counted: counted, inbox: !o.PublishOnly}
		talk := native.Begin(conn, who, host, o)
		host.enter(talk)
		return talk
	})
	var refused *ws.HandshakeError
	if errors.As(err, &refused) {
		return &handshakeError{refused}
	}
	note(c).status = 101
	return nil
}

func identity(id auth.Identity) *native.Identity {
	return &native.Identity{Client: client(id), Publish: id.Has(auth.ScopePublish), Proof: &id}
}

// newConversations is what conversations need of the server.
func (s *Server) newConversations() *native.Options {
	return &native.Options{
		View: s.o.View, Pump: s.pump, Commands: socketCommands{s}, Limits: s.o.Limits,
		AuthTimeout: s.o.AuthTimeout, Delivered: s.ws.Delivered,
		Authenticate: s.admits(auth.ScopeInbox),
		Problem: func(err error) (int, []byte) {
			p := explain(err)
			return p.status, p.appendJSON(nil, "")
		},
	}
}

// newPublishing is what conversations of publishers need.
func (s *Server) newPublishing() *native.Options {
	o := s.newConversations()
	o.PublishOnly = true
	o.Authenticate = s.admits(auth.ScopePublish)
	return o
}

// admits says who a token speaks for, if it has the scope.
func (s *Server) admits(scope string) func(context.Context, string) (native.Identity, error) {
	return func(ctx context.Context, token string) (native.Identity, error) {
		id, err := s.o.Auth.Verify(ctx, token)
		if err != nil {
			return native.Identity{}, err
		}
		if !id.Has(scope) {
			return native.Identity{}, &scopeError{scope}
		}
		return *identity(id), nil
	}
}

// socketCommands are the commands of conversations: the same as those of HTTP.
type socketCommands struct{ s *Server }

var _ native.Commands = socketCommands{}

func (k socketCommands) MarkRead(ctx context.Context, c transports.Client, upto string, ids []string) (inbox.Counts, error) {
	return k.s.markRead(ctx, c.User, c.Groups, upto, ids)
}

func (k socketCommands) Do(ctx context.Context, c transports.Client, what transports.Command) ([]byte, error) {
	a, err := k.s.do(ctx, c, what)
	if err != nil {
		return nil, err
	}
	return a.AppendJSON(nil), nil
}

func (k socketCommands) AckAll(ctx context.Context, c transports.Client, ids []string, text string) ([]byte, error) {
	done, err := k.s.ackAll(ctx, c, "alarms", ids, text)
	if err != nil {
		return nil, err
	}
	return appendDone(nil, ids, done), nil
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
