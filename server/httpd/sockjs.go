package httpd

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/carrier/sockjs"
	"tocsin/transports/carrier/ws"
)

// serveStompOverSockJS serves STOMP at an endpoint of SockJS, and there over plain
// WebSockets, too, for clients that dropped SockJS.
func (s *Server) serveStompOverSockJS(o *Stomp, raw *service) error {
	carrier, err := sockjs.New(sockjs.Options{
		Origins: s.o.Origins, ClientURL: o.SockJSClient, Cookie: o.SockJSCookie,
		WriteTimeout: s.o.Limits.WriteTimeout, BodyTimeout: s.o.BodyTimeout, Logger: s.o.Logger,
	})
	if err != nil {
		return err
	}
	framed, err := s.newService(byStomp, byStomp, ws.Options{MaxFrame: sockjs.MaxBody * (64 << 10)})
	if err != nil {
		return err
	}
	s.serveSockJS(cmp.Or(o.SockJSPath, "/endpoint-websocket"), &sockService{
		carrier: carrier, framed: framed.carrier, raw: raw.carrier,
		open: func(c echo.Context) (sockjs.Begin, error) { return s.openStomp(c, raw) },
	})
	return nil
}

// openStomp is who opens a session of STOMP. A script tag, which one of these
// transports is, can be on anybody's page, and the page would read what it gets:
// so what a browser sends by itself counts from pages that may connect, and is not
// looked at from others. They have CONNECT to say who they are.
func (s *Server) openStomp(c echo.Context, sv *service) (_ sockjs.Begin, err error) {
	if s.Draining() {
		return nil, errDraining
	}
	r := c.Request()
	var who *transports.Identity
	if _, from, _ := auth.FromRequest(r, s.o.Auth.AllowQuery); from.Ambient() && !s.ofOwnPage(r) {
		err = s.loaded()
	} else {
		note(c).opens = true
		who, err = s.stompGreeted(c)
	}
	if err != nil {
		return nil, err
	}
	from := note(c).from
	return func(conn transports.Conn) sockjs.Conversation {
		sv.counted.Opened()
		host := &attendance{s: s, counted: sv.counted, transport: sv.transport}
		talk := s.beginStomp(conn, who, host)
		host.enter(talk.End)
		host.wait(from, talk.End)
		return talk
	}, nil
}

// A sockService is an endpoint of SockJS. Its WebSockets are carried by ours.
type sockService struct {
	carrier *sockjs.Carrier
	// framed carries WebSockets with the frames of SockJS, raw those without.
	framed, raw *ws.Carrier
	// open judges the request that opens a session, and says what begins its
	// conversation.
	open func(c echo.Context) (sockjs.Begin, error)
}

// serveSockJS routes an endpoint.
func (s *Server) serveSockJS(path string, sv *sockService) {
	s.carriers = append(s.carriers, sv.carrier)
	h := func(c echo.Context) error { return s.sockJS(c, sv, path) }
	for _, route := range []string{path, path + "/*"} {
		s.sharing[route] = true
		s.echo.Any(route, h)
	}
}

func (s *Server) sockJS(c echo.Context, sv *sockService, path string) error {
	note(c).long, note(c).often = true, true
	r := c.Request()
	below := strings.TrimPrefix(r.URL.EscapedPath(), path)
	kind := sv.carrier.Upgrades(r, below)
	if kind == sockjs.Request {
		err := sv.carrier.Serve(c.Response(), r, below, func() (sockjs.Begin, error) { return sv.open(c) })
		note(c).theirs = err == nil
		return err
	}
	begin, err := sv.open(c)
	if err != nil {
		return err
	}
	carrier, talk := sv.raw, func(conn *ws.Conn) ws.Conversation { return begin(conn) }
	if kind == sockjs.WebSocket {
		carrier, talk = sv.framed, func(conn *ws.Conn) ws.Conversation { return sv.carrier.Frame(conn, begin) }
	}
	err = carrier.Serve(c.Response(), r, talk)
	var refused *ws.HandshakeError
	if errors.As(err, &refused) {
		return &handshakeError{refused}
	}
	note(c).status = http.StatusSwitchingProtocols
	return nil
}

// ofOwnPage says whether the request is known to come from a page of our own, or
// of an origin that is named in the settings.
func (s *Server) ofOwnPage(r *http.Request) bool {
	origin, site := r.Header.Get("Origin"), r.Header.Get("Sec-Fetch-Site")
	switch {
	case site == "same-origin", site == "none":
		return true
	case origin != "":
		return s.origins.Named(origin) || auth.SameOrigin(r)
	}
	// Without either it is an older browser, or a page without TLS. Frames and
	// streams of other origins cannot be read by a page, scripts can.
	return site == "" && !strings.HasSuffix(r.URL.Path, "/jsonp")
}
