package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

// maxIDsBody bounds the bodies that have lists of ids or users, in bytes: 200 of the
// longest ids there can be, a name of foreign letters being long in an id, or 1,000
// of a kilobyte each.
const maxIDsBody = 1 << 20

// do is the one way in which anybody does something to an alarm, whatever it came
// over.
func (s *Server) do(ctx context.Context, c transports.Client, what transports.Command) (alarm.Alarm, error) {
	a, err := s.o.Alarms.Do(ctx, alarm.Command{
		Op: alarm.Op(what.Op), User: c.User, Groups: c.Groups,
		ID: what.Alarm, Rev: what.Rev, Note: what.Note, Until: what.Until,
	})
	if err == nil {
		s.operated(ctx, c, what.Op, []string{what.Alarm}, what.Note)
	}
	s.traceCommand(c.User, what.Op, what.Alarm, 0, err)
	return a, err
}

// ackAll acknowledges many alarms; field is what the client calls the list. What
// is wrong with all of them is an error.
func (s *Server) ackAll(ctx context.Context, c transports.Client, field string, ids []string, text string) ([]alarm.Done, error) {
	if len(ids) < 1 || len(ids) > alarm.MaxCommands {
		return nil, inbox.Fieldf(field, "want 1 to %d ids, not %d", alarm.MaxCommands, len(ids))
	}
	commands := make([]alarm.Command, len(ids))
	for i, id := range ids {
		commands[i] = alarm.Command{Op: alarm.Acknowledge, User: c.User, Groups: c.Groups, ID: id, Note: text}
	}
	done, err := s.o.Alarms.DoAll(ctx, commands)
	s.traceCommand(c.User, string(alarm.Acknowledge), "", len(ids), err)
	if err != nil {
		return nil, err
	}
	var acked []string
	for i := range done {
		if done[i].Err == nil {
			acked = append(acked, ids[i])
		}
	}
	s.operated(ctx, c, string(alarm.Acknowledge), acked, text)
	for i := range done {
		var bad *inbox.FieldError
		if errors.As(done[i].Err, &bad) {
			return nil, bad // the note, which they have in common
		}
		if !ofStorage(done[i].Err) {
			return done, nil
		}
	}
	return nil, done[0].Err
}

// appendDone writes one result an id, in order.
func appendDone(b []byte, ids []string, done []alarm.Done) []byte {
	b = append(b, '[')
	for i := range done {
		if i > 0 {
			b = append(b, ',')
		}
		b = inbox.AppendString(append(b, `{"id":`...), ids[i])
		if err := done[i].Err; err != nil {
			p := explain(err)
			b = p.appendJSON(append(b, `,"problem":`...), "")
		} else {
			b = done[i].Alarm.AppendJSON(append(b, `,"alarm":`...))
		}
		b = append(b, '}')
	}
	return append(b, ']')
}

// postCommand is POST /v1/alarms/:id/ack and those of the other operations
// (docs/protocol.md §9).
func (s *Server) postCommand(op alarm.Op) handler {
	return func(c echo.Context, id *auth.Identity) error {
		name, err := param(c, "id")
		if err != nil {
			return err
		}
		var body struct {
			Note  string `json:"note"`
			Until string `json:"until"`
		}
		if err := s.readJSON(c, &body, true); err != nil {
			return err
		}
		what := transports.Command{Op: string(op), Alarm: name, Note: body.Note}
		if what.Until, err = transports.TimeOf("until", body.Until); err != nil {
			return err
		}
		if what.Rev, err = revOf(c.Request()); err != nil {
			return err
		}
		a, err := s.do(c.Request().Context(), s.client(c, id), what)
		if err != nil {
			return err
		}
		return writeAlarm(c, &a)
	}
}

// postAckAll is POST /v1/alarms/ack: many at once.
func (s *Server) postAckAll(c echo.Context, id *auth.Identity) error {
	var body struct {
		IDs  []string `json:"ids"`
		Note string   `json:"note"`
	}
	if err := s.readLongJSON(c, &body, maxIDsBody, false); err != nil {
		return err
	}
	done, err := s.ackAll(c.Request().Context(), s.client(c, id), "ids", body.IDs, body.Note)
	if err != nil {
		return err
	}
	b := append(make([]byte, 0, 16+1024*len(done)), `{"results":`...)
	c.Response().Header().Set("Cache-Control", "no-store")
	return write(c, http.StatusOK, typeJSON, append(appendDone(b, body.IDs, done), '}', '\n'))
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
