package httpd

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
)

// postRead is POST /v1/inbox/read: the user has read up to a cursor, or these
// items.
func (s *Server) postRead(c echo.Context, id *auth.Identity) error {
	var body struct {
		Upto string   `json:"upto"`
		IDs  []string `json:"ids"`
	}
	if err := s.readLongJSON(c, &body, maxIDsBody, false); err != nil {
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
func (s *Server) postNotice(c echo.Context, id *auth.Identity) error {
	note(c).often = true
	var body noticeBody
	if err := s.readLongJSON(c, &body, maxIDsBody, false); err != nil {
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
