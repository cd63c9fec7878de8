package httpd

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/presence"
	"tocsin/transports"
	"tocsin/transports/poll"
	"tocsin/transports/sse"
)

func client(id *auth.Identity) transports.Client {
	return transports.Client{User: id.User, Groups: id.Groups, Expires: id.Expires}
}

// client is the client with the address that the request came from.
func (s *Server) client(c echo.Context, id *auth.Identity) transports.Client {
	who := client(id)
	who.From = from(c)
	return who
}

// getInbox is GET /v1/inbox (docs/protocol.md §4). While the node goes down, no
// poll waits.
func (s *Server) getInbox(c echo.Context, id *auth.Identity) error {
	note(c).long, note(c).often = true, true
	o := poll.Options{
		View: s.o.View, Pump: s.pump, Limits: s.o.Limits, Busy: s.limits.Load().Busy, Idle: s.limits.Load().Idle,
		Draining: s.Draining(), Problem: s.late(requestID(c)),
	}
	name, counted := byPoll, s.poll
	if poll.Waits(c.Request()) {
		name, counted = byLongPoll, s.longPoll
	}
	o.Delivered = counted.Delivered
	present, answered := s.o.Presence.Poll(id.User, name, id.Groups)
	o.Reached = s.reached(present, name)
	if v := s.revolver.Load(); v != nil && !inside(c) {
		o.Next = func(conn net.Conn, read []byte) { v.next(conn, read, s.o.IdleTimeout) }
	}
	waits := false
	leave := func() {}
	counted.Opened()
	err := poll.Serve(c.Response(), c.Request(), client(id), o, func(end func(error)) {
		waits = true
		leave = s.join(id, false, nil, end)
	}, func(why error) {
		counted.Closed(reasonOf(why))
		s.traceEnded(id.User, name, why)
		answered()
		leave()
	})
	if !waits {
		answered()
		counted.Closed(reasonOf(err))
	}
	if err == nil {
		note(c).status = http.StatusOK // in a while, if it waits
	}
	return err
}

// late puts into words why a poll that waited cannot be answered, when its
// request is no more there to do so.
func (s *Server) late(requestID string) func(error) (int, http.Header, []byte) {
	return func(err error) (int, http.Header, []byte) {
		p := explain(err)
		h := http.Header{}
		body := append(p.appendJSON(nil, requestID), '\n')
		p.setHeader(h)
		h.Set("Content-Length", strconv.Itoa(len(body)))
		return p.status, h, body
	}
}

// getStream is GET /v1/inbox/sse (docs/protocol.md §5).
func (s *Server) getStream(c echo.Context) error {
	note(c).long = true
	id, err := s.identify(c, auth.ScopeInbox)
	if err == nil && s.Draining() {
		err = errDraining
	}
	if err != nil {
		return stopReconnecting(c, err)
	}
	var leave func()
	var connection *presence.Connection
	var reached func(inbox.Reach)
	err = sse.Serve(c.Response(), c.Request(), client(id), sse.Options{
		View: s.o.View, Pump: s.pump, Limits: s.o.Limits, Delivered: s.sse.Delivered,
		Reached: func(r inbox.Reach) { reached(r) }, // once it was opened
	}, func(st *transports.Stream) {
		connection = s.o.Presence.Connect(id.User, bySSE)
		reached = s.reached(connection.Subscribe(), bySSE)
		leave = s.join(id, true, connection, st.End)
		s.sse.Opened()
	}, func(why error) {
		s.sse.Closed(reasonOf(why))
		s.traceEnded(id.User, bySSE, why)
		connection.Close()
		leave()
	})
	if err == nil {
		note(c).status = http.StatusOK // the stream goes on
	}
	return stopReconnecting(c, err)
}

// stopReconnecting answers 204 to a browser that comes back with a token that is
// of no use any more: it is the only status that ends its EventSource quietly.
// On a first request the error itself helps whoever writes the client.
func stopReconnecting(c echo.Context, err error) error {
	if err == nil || c.Response().Committed || !transports.IsPlace(transports.CursorOf(c.Request())) {
		return err
	}
	if status := explain(err).status; status != http.StatusUnauthorized && status != http.StatusForbidden {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return c.NoContent(http.StatusNoContent)
}

// reasonOf puts the end of a session into one of a few words.
func reasonOf(err error) string {
	var reason transports.Reason
	switch {
	case err == nil:
		return "answered"
	case errors.As(err, &reason):
		return string(reason)
	case errors.Is(err, context.Canceled):
		return "gone"
	}
	return "error"
}
