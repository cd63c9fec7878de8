package httpd

import (
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	explaining "tocsin/server/explain"
	"tocsin/server/inbox"
	"tocsin/transports"
)

// getDeliveries is GET /v1/alarms/:id/deliveries: whom the alarm's last
// announcement, or the entry ?seq=, has reached.
func (s *Server) getDeliveries(c echo.Context, _ *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	var seq uint64
	if text := c.QueryParam("seq"); text != "" {
		if seq, err = strconv.ParseUint(text, 10, 64); err != nil || seq == 0 {
			return &transports.ParamError{Param: "seq", Detail: "want the seq of an entry"}
		}
	}
	if s.o.Explain == nil {
		return explaining.ErrOff
	}
	d, err := s.o.Explain.Deliveries(c.Request().Context(), name, seq)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, d)
}

// getExplain is GET /v1/explain: why a user got an alarm, or the alarms of a
// device, or did not. Whoever is no admin may ask about himself.
func (s *Server) getExplain(c echo.Context, id *auth.Identity) error {
	q := explaining.Question{Alarm: c.QueryParam("alarm"), Device: c.QueryParam("device"), User: c.QueryParam("user")}
	switch {
	case q.User == "":
		return &transports.ParamError{Param: "user", Detail: "required"}
	case (q.Alarm == "") == (q.Device == ""):
		return &transports.ParamError{Param: "alarm", Detail: "want either alarm, an id, or device, a name"}
	case s.o.Explain == nil:
		return errNotFound
	}
	if q.User == id.User {
		q.Groups = id.Groups
	}
	if !id.Has(auth.ScopeAdmin) || !s.administers(c) {
		if q.User != id.User {
			return errNotFound
		}
		q.Self = true
	}
	r, err := s.o.Explain.Explain(c.Request().Context(), q)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, r)
}

// getConnections is GET /v1/connections: who is connected, and to which node.
func (s *Server) getConnections(c echo.Context, _ *auth.Identity) error {
	type connection struct {
		Connection string  `json:"connection"`
		User       string  `json:"user"`
		Transport  string  `json:"transport"`
		Node       string  `json:"node"`
		Since      string  `json:"since"`
		Subscribed bool    `json:"subscribed"`
		Position   *uint64 `json:"position"` // null: the node did not say
	}
	clients := s.o.Cluster.Clients(c.Request().Context(), c.QueryParam("user"))
	answer := struct {
		Connections []connection `json:"connections"`
		Head        uint64       `json:"head"`
	}{make([]connection, len(clients)), s.o.View.Head()}
	for i := range clients {
		p := &clients[i]
		var position *uint64
		if p.Placed {
			position = &p.Position
		}
		answer.Connections[i] = connection{p.Connection, p.User, p.Transport, p.Node,
			p.Since.UTC().Format(inbox.TimeFormat), p.Subscribed, position}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, answer)
}
