package httpd

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/presence"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/notices"
)

// Notices are the settings of protocol D, notices with an offline store (docs/compat).
type Notices struct {
	// Path is where it is served: /notice by default.
	Path string
}

const (
	// noticesToken is the parameter, or header, with the token of its clients.
	noticesToken = "SESSION_TOKEN_KEY"
	// maxPushed is how many notices are taken at once.
	maxPushed = 1000
)

func (s *Server) serveNotices(o *Compat) error {
	if o.Notices == nil {
		return nil
	}
	sv, err := s.newService(notices.Name, notices.Name, ws.Options{})
	if err != nil {
		return err
	}
	keeper := notices.NewKeeper(o.Places, s.o.View, s.o.Logger)
	s.closers = append(s.closers, keeper.Close)
	talk := &notices.Options{DialogueOptions: s.lasting(sv), Send: s.sendNotice, Problem: inWords}
	s.echo.GET(o.Notices.Path+"/ws/socket", func(c echo.Context) error {
		id, err := s.identifyNotices(c)
		if err != nil {
			return err
		}
		place, err := keeper.Enter(c.Request().Context(), id.User)
		if err != nil {
			return err
		}
		begun := false
		err = s.upgrade(c, sv, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
			begun = true
			t := notices.Begin(conn, id, host, place, talk)
			return t, t.End
		})
		if !begun {
			place.Leave()
		}
		return err
	})
	s.doors[o.Notices.Path+"/push"] = true
	s.echo.POST(o.Notices.Path+"/push", noticeErrors(s.publishes(notices.Name, s.pushNotices)))
	s.echo.GET(o.Notices.Path+"/online", noticeErrors(s.getOnline))
	return nil
}

// identifyNotices says who connects: the token of this protocol comes before those
// that every request may carry.
func (s *Server) identifyNotices(c echo.Context) (transports.Identity, error) {
	token := c.QueryParam(noticesToken)
	if token == "" {
		token = c.Request().Header.Get(noticesToken)
	}
	if token == "" {
		id, err := s.identify(c, auth.ScopeInbox)
		if err != nil {
			return transports.Identity{}, err
		}
		return *identity(id), nil
	}
	id, err := s.resolve(c.Request().Context(), token)
	if err != nil {
		return id, err
	}
	note(c).user = id.User
	return id, s.loaded()
}

// sendNotice stores what a client of the protocol sends.
func (s *Server) sendNotice(ctx context.Context, c transports.Client, text []byte) error {
	n, err := ingest.ParseNotice(text, false)
	if err != nil {
		return err
	}
	_, err = s.o.Alarms.Notify(ctx, c.User, n)
	return err
}

// inWords is a problem in the words of the protocol.
func inWords(err error) (code int, message string) {
	p := explain(err)
	if message = p.title; p.detail != "" {
		message = p.detail
	}
	if p.field != "" {
		message = p.field + ": " + message
	}
	return p.status, message
}

// A pushed answers one notice of several.
type pushed struct {
	Code      int    `json:"code"`
	Message   string `json:"message,omitempty"`
	ID        string `json:"id,omitempty"`
	Seq       uint64 `json:"seq,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

// pushNotices is POST /notice/push: one notice, or a list.
func (s *Server) pushNotices(c echo.Context, id *auth.Identity) error {
	note(c).often = true
	body, err := s.readBody(c, s.limits.Load().MaxBatchBytes)
	if err != nil {
		return err
	}
	body = bytes.TrimSpace(body)
	list := []json.RawMessage{body}
	single := len(body) == 0 || body[0] != '['
	if !single {
		list = nil
		if err := json.Unmarshal(body, &list); err != nil {
			return explainJSON(err)
		}
	}
	if len(list) > maxPushed {
		return &limitError{"notices in one request", maxPushed}
	}
	results := make([]pushed, len(list))
	errs := make([]error, len(list))
	var all []alarm.Notice
	var of []int // their places in the list
	for i, text := range list {
		n, err := ingest.ParseNotice(text, true)
		if errs[i] = err; err == nil {
			all, of = append(all, n), append(of, i)
		}
	}
	for k, told := range s.o.Alarms.NotifyAll(c.Request().Context(), id.User, all) {
		if errs[of[k]] = told.Err; told.Err == nil {
			r := told.Results[0]
			results[of[k]] = pushed{Code: http.StatusOK, ID: r.ID, Seq: r.Seq, Duplicate: r.Duplicate}
		}
	}
	failed := 0
	for i, err := range errs {
		if err != nil {
			results[i].Code, results[i].Message = inWords(err)
			failed++
		}
	}
	if failed > 0 && (single || failed == len(list) && !slices.ContainsFunc(errs, func(err error) bool { return !passing(err) })) {
		return errs[0]
	}
	return writeNotices(c, results)
}

// An online is one user who is connected.
type online struct {
	User        string   `json:"userId"`
	Transports  []string `json:"transports"`
	Connections int      `json:"connections"`
}

// getOnline is GET /notice/online: who is connected to any node, over whatever, for those who
// administrate or come from a network that is trusted.
func (s *Server) getOnline(c echo.Context) error {
	if !s.trusted(c) {
		if !s.administers(c) {
			return errNotFound
		}
		if _, err := s.identify(c, auth.ScopeAdmin); err != nil {
			return err
		}
	}
	people, _, _, _ := s.o.Cluster.People(presence.Look{Limit: math.MaxInt})
	users := make([]online, len(people))
	for i, p := range people {
		users[i].User = p.User
		for _, over := range p.Over {
			users[i].Connections += over.Connections
			users[i].Transports = append(users[i].Transports, over.Transport)
		}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeNotices(c, users)
}

// writeNotices answers as the systems do that this protocol comes from.
func writeNotices(c echo.Context, data any) error {
	return writeJSON(c, http.StatusOK, struct {
		Code    int    `json:"code"`
		Message string `json:"message"`
		Data    any    `json:"data"`
	}{http.StatusOK, "success", data})
}

// noticeErrors adds code and message to the problems of a door: its clients look at
// nothing else.
func noticeErrors(next echo.HandlerFunc) echo.HandlerFunc {
	return problemsWith(next, func(b []byte, err error) []byte {
		code, message := inWords(err)
		b = fmt.Appendf(b, `"code":%d,"message":`, code)
		return inbox.AppendString(b, message)
	})
}
