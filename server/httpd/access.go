package httpd

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
)

// postTicket is POST /v1/ticket (docs/protocol.md §1): it opens one connection,
// once, for a client that cannot send headers.
func (s *Server) postTicket(c echo.Context, id *auth.Identity) error {
	if s.o.Auth.Tickets == nil {
		return errNotFound
	}
	ticket, ttl, err := s.o.Auth.Tickets.Issue(c.Request().Context(), id)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, struct {
		Ticket    string `json:"ticket"`
		ExpiresIn int    `json:"expires_in"`
	}{ticket, int(ttl / time.Second)})
}

// postRevocation is POST /v1/revocations: tokens are taken back, by their id or
// by their user. Whoever is connected with one is sent away.
func (s *Server) postRevocation(c echo.Context, id *auth.Identity) error {
	if s.o.Auth.Revocations == nil {
		return errNotFound
	}
	var r auth.Revocation
	if err := s.readJSON(c, &r, false); err != nil {
		return err
	}
	if err := s.o.Auth.Revocations.Revoke(c.Request().Context(), r); err != nil {
		return err
	}
	s.administered(c, id, audit.Revoke, []string{r.User + r.TokenID}, struct { // one of them is empty
		TokenID string    `json:"jti,omitempty"`
		User    string    `json:"sub,omitempty"`
		Before  time.Time `json:"before,omitzero"`
	}{r.TokenID, r.User, r.Before})
	return c.NoContent(http.StatusNoContent)
}

// Names of the transports, also where it is said over what somebody is connected.
const (
	byWebSocket = "websocket"
	bySSE       = "sse"
	byLongPoll  = "longpoll"
	byPoll      = "poll"
	byPage      = "page"
)

// transport is one line of GET /v1/transports.
type transport struct {
	Name        string  `json:"name"`
	URL         string  `json:"url"`
	Subprotocol string  `json:"subprotocol,omitempty"`
	Ping        float64 `json:"ping_seconds,omitempty"`
	MaxWait     float64 `json:"max_wait_seconds,omitempty"`
	Busy        float64 `json:"interval_busy_seconds,omitempty"`
	Idle        float64 `json:"interval_idle_seconds,omitempty"`
}

// getTransports says what is offered, the best first, and the limits that a
// client has to know (docs/protocol.md §9). It needs no token: a client asks
// before it connects.
func (s *Server) getTransports(c echo.Context) error {
	l := s.o.Limits
	c.Response().Header().Set("Cache-Control", "public, max-age=60")
	return writeJSON(c, http.StatusOK, struct {
		Transports []transport    `json:"transports"`
		Limits     map[string]int `json:"limits"`
	}{
		Transports: []transport{
			{Name: byWebSocket, URL: "/v1/inbox/ws", Subprotocol: subprotocol, Ping: l.Ping.Seconds()},
			{Name: bySSE, URL: "/v1/inbox/sse", Ping: l.Ping.Seconds()},
			{Name: byLongPoll, URL: "/v1/inbox", MaxWait: maxWait},
			{Name: byPoll, URL: "/v1/inbox", Busy: s.limits.Load().Busy.Seconds(), Idle: s.limits.Load().Idle.Seconds()},
			{Name: byPage, URL: "/inbox", Busy: s.limits.Load().Busy.Seconds(), Idle: s.limits.Load().Idle.Seconds()},
		},
		Limits: map[string]int{
			"connections_per_user": s.limits.Load().Connections,
			"frame_bytes":          maxFrame,
			"page_entries":         maxPage,
			"batch_alarms":         s.limits.Load().MaxBatchEvents,
			"batch_bytes":          s.limits.Load().MaxBatchBytes,
		},
	})
}

// Limits that the transports keep, for clients to know.
const (
	maxWait  = 55       // seconds of a long poll
	maxFrame = 64 << 10 // bytes of a client's frame
	maxPage  = 1000     // entries of a poll
)
