package httpd

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
)

// postRead is POST /v1/inbox/read: the user has read up to a cursor, or these
// items.
func (s *Server) postRead(c echo.Context, id auth.Identity) error {
	var body struct {
		Upto string   `json:"upto"`
		IDs  []string `json:"ids"`
	}
	if err := s.readJSON(c, &body, false); err != nil {
		return err
	}
	if body.Upto == "" && body.IDs == nil {
		return inbox.Fieldf("upto", "want upto, a cursor, or ids, a list")
	}
	counts, err := s.markRead(c.Request().Context(), id.User, id.Groups, body.Upto, body.IDs)
	if err != nil {
		return err
	}
	b := counts.AppendJSON([]byte{'{'})
	return write(c, http.StatusOK, typeJSON, append(b, '}', '\n'))
}

// getAlarm is GET /v1/alarms/:id.
func (s *Server) getAlarm(c echo.Context, id auth.Identity) error {
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

// postAck is POST /v1/alarms/:id/ack.
func (s *Server) postAck(c echo.Context, id auth.Identity) error {
	name, err := param(c, "id")
	if err != nil {
		return err
	}
	var body struct {
		Note string `json:"note"`
	}
	if err := s.readJSON(c, &body, true); err != nil {
		return err
	}
	rev, err := revOf(c.Request())
	if err != nil {
		return err
	}
	a, err := s.o.Alarms.Do(c.Request().Context(), alarm.Command{
		Op:   alarm.Acknowledge,
		User: id.User, Groups: id.Groups, ID: name, Rev: rev, Note: body.Note,
	})
	if err != nil {
		return err
	}
	return writeAlarm(c, &a)
}

// revOf is the revision that If-Match asks for, 0 for none.
func revOf(r *http.Request) (uint64, error) {
	text := strings.TrimSpace(r.Header.Get("If-Match"))
	if text == "" || text == "*" {
		return 0, nil
	}
	quoted := strings.TrimPrefix(text, "W/")
	n := len(quoted)
	if n > 2 && quoted[0] == '"' && quoted[n-1] == '"' {
		if rev, err := strconv.ParseUint(quoted[1:n-1], 10, 64); err == nil && rev > 0 {
			return rev, nil
		}
	}
	return 0, fmt.Errorf(`%w: want one revision in quotes, such as "3", not %.40s`, errPrecondition, text)
}

func writeAlarm(c echo.Context, a *alarm.Alarm) error {
	h := c.Response().Header()
	h.Set("ETag", `"`+strconv.FormatUint(a.Rev, 10)+`"`)
	h.Set("Cache-Control", "no-store")
	return write(c, http.StatusOK, typeJSON, append(a.AppendJSON(nil), '\n'))
}

// A noticeBody is what POST /v1/notices takes.
type noticeBody struct {
	ID    string          `json:"id"`
	To    json.RawMessage `json:"to"`
	Title string          `json:"title"`
	Body  string          `json:"body"`
	Data  json.RawMessage `json:"data"`
}

// recipients reads to: {"users":[…]}, {"groups":[…]} or "everyone".
func (b *noticeBody) recipients(n *alarm.Notice) error {
	var to struct {
		Users  []string `json:"users"`
		Groups []string `json:"groups"`
	}
	switch {
	case string(b.To) == `"everyone"`:
		n.Everyone = true
		return nil
	case len(b.To) == 0 || b.To[0] != '{' || json.Unmarshal(b.To, &to) != nil:
		return inbox.Fieldf("to", `want {"users":[…]}, {"groups":[…]} or "everyone"`)
	}
	n.Users, n.Groups = to.Users, to.Groups
	return nil
}

// postNotice is POST /v1/notices. An Idempotency-Key is the id of a notice that
// has none.
func (s *Server) postNotice(c echo.Context, id auth.Identity) error {
	var body noticeBody
	if err := s.readJSON(c, &body, false); err != nil {
		return err
	}
	if body.ID == "" {
		body.ID = c.Request().Header.Get("Idempotency-Key")
	}
	n := alarm.Notice{ID: body.ID, Title: body.Title, Body: body.Body, Data: body.Data}
	if string(n.Data) == "null" {
		n.Data = nil
	}
	if err := body.recipients(&n); err != nil {
		return err
	}
	results, err := s.o.Alarms.Notify(c.Request().Context(), id.User, n)
	if err != nil {
		return err
	}
	type result struct {
		ID        string `json:"id"`
		Seq       uint64 `json:"seq"`
		To        string `json:"to,omitempty"`
		Duplicate bool   `json:"duplicate"`
	}
	answer := struct {
		Results []result `json:"results"`
	}{make([]result, len(results))}
	for i, r := range results {
		answer.Results[i] = result{ID: r.ID, Seq: r.Seq, To: r.To, Duplicate: r.Duplicate}
	}
	return writeJSON(c, http.StatusAccepted, answer)
}
