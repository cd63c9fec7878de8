package httpd

import (
	"context"
	"encoding/json"
	"net"
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/transports"
)

// A Trail keeps who did what. Errors are those of the package audit. Its methods may
// be called by many goroutines at once.
type Trail interface {
	Note(ctx context.Context, r audit.Record)
	Keep(ctx context.Context, r audit.Record)
	List(ctx context.Context, q audit.Query) (audit.Page, error)
}

var _ Trail = (*audit.Trail)(nil)

// from is the address that a request came from, without the port; behind trusted
// proxies the client's.
func from(c echo.Context) string {
	if addr := note(c).from; addr.IsValid() {
		return addr.String()
	}
	host, _, err := net.SplitHostPort(c.Request().RemoteAddr)
	if err != nil {
		return c.Request().RemoteAddr
	}
	return host
}

// operated notes commands to alarms that were done.
func (s *Server) operated(ctx context.Context, c transports.Client, op string, ids []string, text string) {
	if s.o.Trail == nil || len(ids) == 0 {
		return
	}
	s.o.Trail.Note(ctx, audit.Record{By: c.User, From: c.From, What: audit.Alarm + op, On: ids, Note: text})
}

// administered keeps what an administrator did; details is what else there is to say.
func (s *Server) administered(c echo.Context, id *auth.Identity, what string, on []string, details any) {
	if s.o.Trail == nil {
		return
	}
	r := audit.Record{By: id.User, From: from(c), What: what, On: on, Request: requestID(c)}
	if details != nil {
		r.Details, _ = json.Marshal(details) // ours always can be
	}
	s.o.Trail.Keep(c.Request().Context(), r)
}

// getAudit is GET /v1/audit: who did what, the newest first.
func (s *Server) getAudit(c echo.Context, _ *auth.Identity) error {
	if s.o.Trail == nil {
		return errNotFound
	}
	in := c.QueryParams()
	q := audit.Query{User: in.Get("user"), What: in.Get("what"), After: in.Get("after")}
	var err error
	if q.Limit, err = limitOf(in, audit.DefaultPage, audit.MaxPage); err != nil {
		return err
	}
	if q.Since, err = transports.TimeOf("since", in.Get("since")); err != nil {
		return err
	}
	page, err := s.o.Trail.List(c.Request().Context(), q)
	if err != nil {
		return inQuery(err)
	}
	type record struct {
		Time string `json:"time"`
		audit.Record
	}
	answer := struct {
		Records []record `json:"records"`
		Next    *string  `json:"next"`
	}{make([]record, len(page.Records)), orNull(page.Next)}
	for i, r := range page.Records {
		answer.Records[i] = record{inTime(r.Time), r}
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, answer)
}
