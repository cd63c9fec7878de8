package httpd

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/topics"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/stomp"
)

// Stomp are the settings of protocol E, STOMP and SockJS (docs/compat).
type Stomp struct {
	// Path is where it is served: /stomp by default.
	Path string
	// SockJSPath is the endpoint of SockJS: /endpoint-websocket by default.
	SockJSPath string
	// SockJSClient is where frames of other origins' pages get the client's script;
	// empty is a public copy of it.
	SockJSClient string
	// SockJSCookie: load balancers find a session's node by the cookie JSESSIONID.
	SockJSCookie bool
	// Topics broadcast; required.
	Topics Topics
	// Apps gives the topic of what is sent to /app/<name>, by name.
	Apps map[string]string
	// PublishersOnly: who sends must have the scope publish.
	PublishersOnly bool
}

// Topics broadcast. Errors are those of the package topics. They may be called by
// many goroutines at once.
type Topics interface {
	Publish(ctx context.Context, m topics.Message) (seq uint64, err error)
	Listen(name string, l topics.Listener) (leave func())
}

var _ Topics = (*topics.Topics)(nil)

// byStomp is what connections of STOMP are called, over whichever carrier.
const byStomp = "stomp"

// stompSubprotocols are the names that STOMP has for a WebSocket.
var stompSubprotocols = []string{"v12.stomp", "v11.stomp", "v10.stomp"}

func (s *Server) serveStomp(o *Compat) error {
	if o.Stomp == nil {
		return nil
	}
	if o.Stomp.Topics == nil || o.Places == nil {
		return errors.New("httpd: STOMP needs Topics and Places")
	}
	// Clients may send either kind of frames; they get text.
	sv, err := s.newService(byStomp, byStomp, ws.Options{Subprotocols: stompSubprotocols, Either: true})
	if err != nil {
		return err
	}
	s.stomp = s.newStomp(o, sv)
	serve := func(c echo.Context) error { return s.getStomp(c, sv) }
	s.echo.GET(cmp.Or(o.Stomp.Path, "/stomp"), serve)
	s.doors[chatPath] = true
	s.echo.GET(chatPath, s.getChat)
	return s.serveStompOverSockJS(o.Stomp, sv)
}

// newStomp is what conversations of STOMP have in common.
func (s *Server) newStomp(o *Compat, sv *service) *stomp.Options {
	dialogues := s.dialogues(sv)
	dialogues.Lasting = true // a client that is sent away would miss what is live only
	return &stomp.Options{
		DialogueOptions: dialogues,
		Authenticate:    s.resolve,
		Problem: func(err error) stomp.Problem {
			p := explain(err)
			return stomp.Problem{Status: p.status, Title: p.title, JSON: p.appendJSON(nil, ""), Retry: p.retry}
		},
		Topics: broadcasts{o.Stomp.Topics}, Places: o.Places,
		Apps: o.Stomp.Apps, PublishersOnly: o.Stomp.PublishersOnly,
		Beat: s.o.Limits.Ping / 2,
	}
}

// getStomp is GET /stomp: STOMP over WebSocket.
func (s *Server) getStomp(c echo.Context, sv *service) error {
	who, err := s.stompGreeted(c)
	if err != nil {
		return err
	}
	return s.upgrade(c, sv, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
		talk := s.beginStomp(conn, who, host)
		return talk, talk.End
	})
}

// beginStomp begins a conversation of STOMP over whatever carries it; host is the
// attendance that enters it, who is what stompGreeted said of its handshake.
func (s *Server) beginStomp(conn transports.Conn, who *transports.Identity, host transports.Host) *stomp.Conversation {
	if a, is := host.(*attendance); is {
		host = &stompSession{attendance: a}
	}
	return stomp.Begin(conn, who, host, s.stomp)
}

// stompGreeted is who the handshake says; nil, if CONNECT has to. A cookie of
// former days is no reason to refuse one who may have a token to say.
func (s *Server) stompGreeted(c echo.Context) (*transports.Identity, error) {
	token, from, err := auth.FromRequest(c.Request(), s.o.Auth.AllowQuery)
	opaque := err == nil && from != auth.FromTicket && strings.Count(token, ".") != 2 && len(s.o.Auth.Sessions) > 0
	if !opaque {
		who, err := s.greeted(c, auth.ScopeInbox)
		if err != nil && from.Ambient() {
			return nil, s.loaded()
		}
		return who, err
	}
	who, err := s.stomp.Authenticate(c.Request().Context(), token)
	switch {
	case err != nil && from.Ambient():
		return nil, s.loaded()
	case err != nil:
		return nil, err
	}
	note(c).user = who.User
	return &who, s.loaded()
}

// A stompSession is an attendance that keeps a register: what happens in the
// session is in the server's log, and is told to hooks, of topics, too.
type stompSession struct {
	*attendance
	logged bool
}

var _ stomp.Register = (*stompSession)(nil)

func (a *stompSession) log(what, destination string) {
	args := []any{"session", a.Session(), "user", a.present.User()}
	if destination != "" {
		args = append(args, "destination", destination)
	}
	for _, name := range slices.Sorted(maps.Keys(a.present.Attributes())) {
		args = append(args, "attribute."+name, a.present.Attributes()[name])
	}
	a.s.o.Logger.Info("stomp: "+what, args...)
}

// Session implements stomp.Register.
func (a *stompSession) Session() string { return a.present.Name() }

// Known implements transports.Host.
func (a *stompSession) Known(d *transports.Dialogue, id transports.Identity) {
	a.attendance.Known(d, id)
	if a.logged {
		return
	}
	a.logged = true
	a.log("connected", "")
}

// Subscribed implements stomp.Register.
func (a *stompSession) Subscribed(destination string) (done func()) {
	end := a.present.Listen(destination)
	a.log("subscribed", destination)
	return func() {
		end()
		a.log("unsubscribed", destination)
	}
}

// Delivers implements transports.Host.
func (a *stompSession) Delivers() (reached func(inbox.Reach), done func()) {
	reached, end := a.attendance.Delivers()
	a.log("subscribed", stomp.Inbox)
	return reached, func() {
		end()
		a.log("unsubscribed", stomp.Inbox)
	}
}

// Ended implements transports.Host.
func (a *stompSession) Ended(why error) {
	if a.logged {
		a.log("disconnected", "")
	}
	a.attendance.Ended(why)
}

// broadcasts are topics as conversations want them.
type broadcasts struct{ Topics }

var _ stomp.Topics = broadcasts{}

func (b broadcasts) Listen(name string, l stomp.Listener) (leave func()) {
	return b.Topics.Listen(name, ear{l})
}

func (b broadcasts) Publish(ctx context.Context, m stomp.Broadcast) error {
	_, err := b.Topics.Publish(ctx, topics.Message(m))
	return err
}

// An ear is a listener as topics want it.
type ear struct{ stomp.Listener }

func (e ear) Heard(m topics.Message) { e.Listener.Heard(stomp.Broadcast(m)) }
