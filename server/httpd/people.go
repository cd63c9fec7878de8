package httpd

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/presence"
	"tocsin/transports"
)

// crowdJSON is how many are connected over one transport.
type crowdJSON struct {
	Users       int `json:"users"`
	Connections int `json:"connections"`
}

// crowds has a line for every transport, be nobody there.
func (s *Server) crowds(found map[string]presence.Crowd) map[string]crowdJSON {
	all := map[string]crowdJSON{}
	for name := range s.waits {
		all[name] = crowdJSON{}
	}
	for name, crowd := range found {
		all[name] = crowdJSON(crowd)
	}
	return all
}

// overJSON is how a user is connected over one transport.
type overJSON struct {
	Transport   string   `json:"transport"`
	Connections int      `json:"connections"`
	Since       string   `json:"since"`
	Seen        string   `json:"last_seen"`
	Nodes       []string `json:"nodes"`
}

// nodeJSON is a node of the cluster.
type nodeJSON struct {
	Node        string `json:"node"`
	Epoch       string `json:"epoch"`
	Users       int    `json:"users"`
	Connections int    `json:"connections"`
	Heard       string `json:"heard"`
}

func (s *Server) nodes() []nodeJSON {
	nodes := s.o.Cluster.Nodes()
	all := make([]nodeJSON, len(nodes))
	for i, n := range nodes {
		all[i] = nodeJSON{n.Name, n.Run, n.Users, n.Connections, inTime(n.Heard)}
	}
	return all
}

// personJSON is a user who is connected.
type personJSON struct {
	User  string     `json:"user"`
	Since string     `json:"since"`
	Seen  string     `json:"last_seen"`
	Over  []overJSON `json:"over"`
}

// getPresence is GET /v1/presence: who is connected to which nodes, over what.
func (s *Server) getPresence(c echo.Context, _ *auth.Identity) error {
	in := c.QueryParams()
	q := presence.Look{Prefix: in.Get("prefix"), Transport: in.Get("transport"), After: in.Get("after")}
	var err error
	if q.Limit, err = limitOf(in, inbox.DefaultBrowse, inbox.MaxBrowse); err != nil {
		return err
	}
	if _, known := s.waits[q.Transport]; q.Transport != "" && !known {
		return &transports.ParamError{Param: "transport", Detail: "want the name of a transport, as GET /v1/transports has it"}
	}
	people, next, total, crowds := s.o.Cluster.People(q)
	answer := struct {
		Users      []personJSON         `json:"users"`
		Next       *string              `json:"next"`
		Total      int                  `json:"total"`
		Transports map[string]crowdJSON `json:"transports"`
		Nodes      []nodeJSON           `json:"nodes"`
		Node       string               `json:"node"`
		Time       string               `json:"time"`
	}{make([]personJSON, len(people)), orNull(next), total, s.crowds(crowds), s.nodes(), s.o.Presence.Node(), inTime(time.Now())}
	for i, p := range people {
		one := personJSON{p.User, inTime(p.Since), inTime(p.Seen), make([]overJSON, len(p.Over))}
		for j, o := range p.Over {
			one.Over[j] = overJSON{o.Transport, o.Connections, inTime(o.Since), inTime(o.Seen), o.Nodes}
		}
		answer.Users[i] = one
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, answer)
}

// deleteConnections is DELETE /v1/users/:id/connections: whatever the user has
// open, at whichever node, ends, and may come back.
func (s *Server) deleteConnections(c echo.Context, id *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	ended, silent := s.o.Cluster.Kick(c.Request().Context(), name)
	answer := struct {
		Ended  int      `json:"ended"`
		Silent []string `json:"silent,omitempty"`
	}{ended, silent}
	s.administered(c, id, audit.Kick, []string{name}, answer)
	return writeJSON(c, http.StatusOK, answer)
}

// orNull is the text, nil for none.
func orNull(text string) *string {
	if text == "" {
		return nil
	}
	return &text
}

// browse reads which names of the directory are wanted.
func browse(c echo.Context) (q inbox.Browse, err error) {
	in := c.QueryParams()
	q = inbox.Browse{Prefix: in.Get("prefix"), Group: in.Get("group"), After: in.Get("after")}
	q.Limit, err = limitOf(in, inbox.DefaultBrowse, inbox.MaxBrowse)
	return q, err
}

// deviceJSON and userJSON are lines of lists: what POST /v1/directory takes.
type deviceJSON struct {
	Device string   `json:"device"`
	Groups []string `json:"groups"`
}

type userJSON struct {
	User   string   `json:"user"`
	Groups []string `json:"groups"`
}

// getDevices is GET /v1/devices.
func (s *Server) getDevices(c echo.Context, _ *auth.Identity) error {
	q, err := browse(c)
	if err != nil {
		return err
	}
	page, next, total := s.o.View.Devices(q)
	devices := make([]deviceJSON, len(page))
	for i, one := range page {
		devices[i] = deviceJSON{one.Name, one.Groups}
	}
	return writeJSON(c, http.StatusOK, struct {
		Devices []deviceJSON `json:"devices"`
		Next    *string      `json:"next"`
		Total   int          `json:"total"`
	}{devices, orNull(next), total})
}

// getUsers is GET /v1/users.
func (s *Server) getUsers(c echo.Context, _ *auth.Identity) error {
	q, err := browse(c)
	if err != nil {
		return err
	}
	page, next, total := s.o.View.Users(q)
	users := make([]userJSON, len(page))
	for i, one := range page {
		users[i] = userJSON{one.Name, one.Groups}
	}
	return writeJSON(c, http.StatusOK, struct {
		Users []userJSON `json:"users"`
		Next  *string    `json:"next"`
		Total int        `json:"total"`
	}{users, orNull(next), total})
}
