package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

// getAlarms is GET /v1/alarms: the user's alarms, filtered, a page at a time
// (docs/protocol.md §9).
func (s *Server) getAlarms(c echo.Context, id *auth.Identity) error {
	in := c.QueryParams()
	q := inbox.Query{
		State: in.Get("state"), Device: in.Get("device"), Group: in.Get("group"), Type: in.Get("type"),
		Text: in.Get("q"), After: in.Get("after"),
	}
	var err error
	if q.Limit, err = limitOf(in, inbox.DefaultList, inbox.MaxList); err != nil {
		return err
	}
	if word := in.Get("severity_min"); word != "" {
		var ok bool
		if q.SeverityMin, ok = inbox.ParseSeverity(word); !ok {
			return &transports.ParamError{Param: "severity_min", Detail: fmt.Sprintf("want one of %v, not %.40q", inbox.Severities, word)}
		}
	}
	ctx := c.Request().Context()
	l, err := s.o.View.List(ctx, id.User, id.Groups, q)
	if err != nil {
		return inQuery(err)
	}
	now, err := s.counters(ctx, id)
	if err != nil {
		return err
	}
	size := 256
	for _, body := range l.Bodies {
		size += len(body)
	}
	b := append(make([]byte, 0, size), `{"alarms":[`...)
	for i, body := range l.Bodies {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, alarm.Text(body)...)
	}
	b = appendNext(append(b, ']'), l.Next)
	b = strconv.AppendInt(append(b, `,"total":`...), int64(l.Total), 10)
	b = inbox.AppendString(append(b, `,"cursor":`...), l.Cursor)
	b = now.Counts.AppendJSON(append(b, ','))
	c.Response().Header().Set("Cache-Control", "no-store")
	return write(c, http.StatusOK, typeJSON, append(b, '}', '\n'))
}

// inQuery makes an error about a field one about a parameter of the query.
func inQuery(err error) error {
	var field *inbox.FieldError
	if errors.As(err, &field) {
		name, detail := field.InField()
		return &transports.ParamError{Param: name, Detail: detail}
	}
	return err
}

// limitOf reads how many a page may have.
func limitOf(in url.Values, usual, most int) (int, error) {
	text := in.Get("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, &transports.ParamError{Param: "limit", Detail: fmt.Sprintf("want 1 to %d, not %.40q", most, text), Limit: most}
	}
	return n, nil
}

// appendNext writes where the next page begins, null for nowhere.
func appendNext(b []byte, next string) []byte {
	b = append(b, `,"next":`...)
	if next == "" {
		return append(b, "null"...)
	}
	return inbox.AppendString(b, next)
}

// counters reads the user's counters, with the cursor that they are as of.
func (s *Server) counters(ctx context.Context, id *auth.Identity) (inbox.Batch, error) {
	r, err := s.o.View.Open(id.User, id.Groups, inbox.Start{})
	if err != nil {
		return inbox.Batch{}, err
	}
	defer r.Close()
	return r.Read(ctx, 1)
}

// getCounts is GET /v1/counts, for bells: what they show, and a tag that changes
// with it.
func (s *Server) getCounts(c echo.Context, id *auth.Identity) error {
	now, err := s.counters(c.Request().Context(), id)
	if err != nil {
		return err
	}
	h := c.Response().Header()
	tag := `"` + now.Version() + `"`
	h.Set("ETag", "W/"+tag) // the cursor in the body moves on by itself
	h.Set("Cache-Control", "no-store")
	for _, line := range c.Request().Header.Values("If-None-Match") {
		for known := range strings.SplitSeq(line, ",") {
			if strings.TrimPrefix(strings.TrimSpace(known), "W/") == tag {
				return c.NoContent(http.StatusNotModified)
			}
		}
	}
	b := now.Counts.AppendJSON([]byte{'{'})
	b = inbox.AppendString(append(b, `,"cursor":`...), now.Cursor)
	return write(c, http.StatusOK, typeJSON, append(b, '}', '\n'))
}

// getAlarm is GET /v1/alarms/:id.
func (s *Server) getAlarm(c echo.Context, id *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	a, err := s.o.Alarms.Get(c.Request().Context(), id.User, id.Groups, name)
	if err != nil {
		return err
	}
	return writeAlarm(c, &a)
}

// getHistory is GET /v1/alarms/:id/history.
func (s *Server) getHistory(c echo.Context, id *auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	in := c.QueryParams()
	limit, err := limitOf(in, alarm.DefaultHistory, alarm.MaxHistory)
	if err != nil {
		return err
	}
	b, err := s.history(c.Request().Context(), client(id), name, in.Get("after"), limit)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return write(c, http.StatusOK, typeJSON, append(b, '\n'))
}

// history tells what happened to an alarm, as JSON.
func (s *Server) history(ctx context.Context, c transports.Client, id, after string, limit int) ([]byte, error) {
	changes, next, err := s.o.Alarms.History(ctx, c.User, c.Groups, id, after, limit)
	if err != nil {
		return nil, inQuery(err)
	}
	b := append(make([]byte, 0, 64+1024*len(changes)), `{"entries":[`...)
	for i := range changes {
		if i > 0 {
			b = append(b, ',')
		}
		b = changes[i].AppendJSON(b)
	}
	return append(appendNext(append(b, ']'), next), '}'), nil
}
