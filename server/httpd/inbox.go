package httpd

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/poll"
	"tocsin/transports/sse"
)

func client(id auth.Identity) transports.Client {
	return transports.Client{User: id.User, Groups: id.Groups, Expires: id.Expires}
}

// getInbox is GET /v1/inbox (docs/protocol.md §4). While the node goes down, no
// poll waits.
func (s *Server) getInbox(c echo.Context, id auth.Identity) error {
	note(c).long = true
	ctx, stop := s.session(c.Request().Context(), id, false)
	defer stop()
	name := byPoll
	if poll.Waits(c.Request()) {
		name = byLongPoll
	}
	present, answered := s.o.Presence.Poll(id.User, name, id.Groups)
	defer answered()
	s.poll.Opened()
	err := poll.Serve(ctx, c.Response(), c.Request(), client(id), poll.Options{
		View: s.o.View, Limits: s.o.Limits, Busy: s.o.Busy, Idle: s.o.Idle,
		Delivered: s.poll.Delivered, Reached: present.Reached,
	})
	s.poll.Closed(reasonOf(err))
	return err
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
	ctx, stop := s.session(c.Request().Context(), id, true)
	defer stop()
	connection := s.o.Presence.Connect(id.User, bySSE)
	defer connection.Close()
	s.sse.Opened()
	err = sse.Serve(ctx, c.Response(), c.Request(), client(id), sse.Options{
		View: s.o.View, Limits: s.o.Limits, Delivered: s.sse.Delivered, Reached: connection.Subscribe().Reached,
	})
	s.sse.Closed(reasonOf(err))
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
