package httpd

import (
	"errors"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/carrier/sockjs"
	"tocsin/transports/carrier/ws"
)

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
		return sv.carrier.Serve(c.Response(), r, below, func() (sockjs.Begin, error) { return sv.open(c) })
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

// greetedOverSockJS is who the request says that opens a session, as greeted is
// for a handshake. A script tag, which some of these transports are, can be on
// anybody's page, and the page would read what it gets: so what a browser sends by
// itself counts from pages that may connect, and from others it is not looked at.
func (s *Server) greetedOverSockJS(c echo.Context, scope string) (*transports.Identity, error) {
	r := c.Request()
	_, from, _ := auth.FromRequest(r, s.o.Auth.AllowQuery)
	if from.Ambient() && !s.ofOwnPage(r) {
		return nil, s.loaded()
	}
	return s.greeted(c, scope)
}

// ofOwnPage says whether the request is known to come from a page of our own, or
// of an origin that is named in the settings.
func (s *Server) ofOwnPage(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return s.origins.Named(origin) || auth.SameOrigin(r)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return true
	case "":
		// An older browser, or a page without TLS. Frames and streams of other
		// origins cannot be read by a page, scripts can.
		return !strings.HasSuffix(r.URL.Path, "/jsonp")
	}
	return false
}
