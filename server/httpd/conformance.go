//go:build conformance

package httpd

import (
	"errors"

	"github.com/labstack/echo/v4"

	"tocsin/transports"
	"tocsin/transports/carrier/sockjs"
	"tocsin/transports/carrier/ws"
)

const (
	// conformanceFrame bounds a message; the suite for WebSocket sends up to 16 MiB.
	conformanceFrame = 16<<20 + 1
	// conformanceLimit is that of a response, which the suite for SockJS counts on.
	conformanceLimit = 4 << 10
)

// An echoing is a conversation that answers everything with itself.
type echoing struct{ conn transports.Conn }

func (e echoing) Receive(message []byte) { _ = e.conn.Send(message) } // who is gone hears nothing
func (echoing) Gone()                    {}

// serveConformance serves what public suites of protocols want of a server
// (docs/conformance.md): a build for tests alone, as everybody may connect.
func (s *Server) serveConformance() error {
	o := ws.Options{MaxFrame: conformanceFrame, Origins: []string{transports.AnyOrigin}, Logger: s.o.Logger}
	echoes, err := ws.NewMixed(o)
	if err != nil {
		return err
	}
	s.carriers = append(s.carriers, echoes)
	s.echo.GET("/conformance/echo", func(c echo.Context) error {
		note(c).long = true
		err := echoes.Serve(c.Response(), c.Request(), func(conn *ws.Conn) ws.Conversation { return echoing{conn} })
		var refused *ws.HandshakeError
		if errors.As(err, &refused) {
			return &handshakeError{refused}
		}
		note(c).status = 101
		return nil
	})
	sockets, err := ws.New(o)
	if err != nil {
		return err
	}
	s.carriers = append(s.carriers, sockets)
	answer := func(conn transports.Conn) sockjs.Conversation { return echoing{conn} }
	leave := func(conn transports.Conn) sockjs.Conversation {
		conn.Close(3000, "Go away!")
		return echoing{conn}
	}
	for _, one := range []struct {
		path  string
		o     sockjs.Options
		begin sockjs.Begin
	}{
		{"/echo", sockjs.Options{}, answer},
		{"/disabled_websocket_echo", sockjs.Options{NoWebSocket: true}, answer},
		{"/cookie_needed_echo", sockjs.Options{Cookie: true}, answer},
		{"/close", sockjs.Options{}, leave},
	} {
		one.o.Origins, one.o.Logger, one.o.ResponseLimit = o.Origins, s.o.Logger, conformanceLimit
		carrier, err := sockjs.New(one.o)
		if err != nil {
			return err
		}
		s.serveSockJS(one.path, &sockService{carrier: carrier, framed: sockets, raw: sockets,
			open: func(echo.Context) (sockjs.Begin, error) { return one.begin, nil }})
	}
	return nil
}
