package httpd

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/limit"
	"tocsin/server/metrics"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/native"
)

// subprotocol is the name of the native conversation (docs/protocol.md §6).
const subprotocol = "tocsin.v1.json"

// A service is one kind of conversation over WebSocket.
type service struct {
	carrier *ws.Carrier
	counted *metrics.Transport
	// transport is what its connections are called in the presence; empty for
	// publishers, whose presence is not noted.
	transport string
}

// newService makes a service, whose carrier has the node's limits where its
// options say nothing.
func (s *Server) newService(transport, counted string, o ws.Options) (*service, error) {
	o.Origins, o.Logger = s.o.Origins, s.o.Logger
	o.Ping, o.WriteTimeout = cmp.Or(o.Ping, s.o.Limits.Ping), s.o.Limits.WriteTimeout
	o.Dead = cmp.Or(o.Dead, s.o.DeadAfter)
	carrier, err := ws.New(o)
	if err != nil {
		return nil, err
	}
	s.carriers = append(s.carriers, carrier)
	if transport != "" {
		s.await(transport)
	}
	return &service{carrier: carrier, counted: s.o.Metrics.Transport(counted), transport: transport}, nil
}

// upgrade answers a handshake of a service with the conversation that begin
// makes, whose dialogue's End it returns. What is wrong before there is one is
// the error.
func (s *Server) upgrade(c echo.Context, sv *service, begin func(*ws.Conn, transports.Host) (ws.Conversation, func(cause error))) error {
	note(c).long = true
	if s.Draining() {
		return errDraining
	}
	// The handshake's request ends when this is answered; the conversation goes on
	// until its connection ends, or the drain ends it.
	err := sv.carrier.Serve(c.Response(), c.Request(), func(conn *ws.Conn) ws.Conversation {
		sv.counted.Opened()
		host := &attendance{s: s, counted: sv.counted, transport: sv.transport, from: from(c)}
		talk, end := begin(conn, host)
		host.enter(end)
		host.wait(note(c).from, end)
		return talk
	})
	var refused *ws.HandshakeError
	if errors.As(err, &refused) {
		return &handshakeError{refused}
	}
	note(c).status = 101
	return nil
}

// newSockets makes what serves the native conversation, to readers and to
// publishers.
func (s *Server) newSockets() (err error) {
	native := ws.Options{Subprotocols: []string{subprotocol}}
	if s.ws, err = s.newService(byWebSocket, "websocket", native); err != nil {
		return err
	}
	s.publishers, err = s.newService("", "publish-websocket", native)
	return err
}

// getSocket is GET /v1/inbox/ws. Who is known by his handshake may start; others
// say who they are in their first message.
func (s *Server) getSocket(c echo.Context) error {
	return s.converse(c, auth.ScopeInbox, s.ws, s.conversations)
}

// getPublishSocket is GET /v1/publish/ws: the same for publishers without an inbox.
func (s *Server) getPublishSocket(c echo.Context) error {
	return s.converse(c, auth.ScopePublish, s.publishers, s.publishing)
}

// converse begins a native conversation with a client whose token has the scope.
func (s *Server) converse(c echo.Context, scope string, sv *service, o *native.Options) error {
	who, err := s.greeted(c, scope)
	if err != nil {
		return err
	}
	return s.upgrade(c, sv, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
		talk := native.Begin(conn, who, host, o)
		return talk, talk.End
	})
}

// greeted is who the handshake says; nil, if it says nothing, for the first
// message to tell.
func (s *Server) greeted(c echo.Context, scope string) (*transports.Identity, error) {
	id, err := s.identify(c, scope)
	switch {
	case errors.Is(err, auth.ErrMissing), errors.Is(err, errOrigin):
		return nil, s.loaded() // the handshake judges origins, and a cookie of elsewhere says nothing
	case err != nil:
		return nil, err
	}
	return identity(id), nil
}

func identity(id *auth.Identity) *transports.Identity {
	return &transports.Identity{Client: client(id), Publish: id.Has(auth.ScopePublish), Proof: id}
}

// dialogues is what the dialogues of a service have in common.
func (s *Server) dialogues(sv *service) transports.DialogueOptions {
	return transports.DialogueOptions{View: s.o.View, Pump: s.pump, AuthTimeout: s.o.AuthTimeout, Delivered: sv.counted.Delivered}
}

// newConversations is what conversations need of the server.
func (s *Server) newConversations() *native.Options {
	return &native.Options{
		DialogueOptions: s.dialogues(s.ws), Commands: socketCommands{s}, Limits: s.o.Limits,
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
func (s *Server) admits(scope string) func(context.Context, string) (transports.Identity, error) {
	return func(ctx context.Context, token string) (transports.Identity, error) {
		id, err := s.o.Auth.Verify(ctx, token)
		if err == nil && !id.Has(scope) {
			err = &scopeError{scope}
		}
		if err != nil {
			s.traceRefused(token, byWebSocket, err)
			return transports.Identity{}, err
		}
		if scope != auth.ScopePublish {
			if err := s.o.Limiter.AdmitUser(limit.Handshakes, id.User, 1); err != nil {
				return transports.Identity{}, err
			}
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
	p := publishing{door: doorWebSocket, most: k.s.limits.Load().MaxBatchEvents}
	if err := p.readArray(text); err != nil {
		return nil, err
	}
	ctx = visited(ctx, &visit{user: c.User})
	k.s.weigh(ctx, len(text))
	results := k.s.o.Alarms.Publish(ctx, c.User, p.events)
	k.s.traceCommand(c.User, "publish", "", len(p.events), nil)
	if err := refused(results, len(p.lines), false); err != nil {
		return nil, err
	}
	return k.s.appendResults(nil, &p, results), nil
}
