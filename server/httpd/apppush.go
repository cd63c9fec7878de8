package httpd

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/apppush"
	"tocsin/transports/carrier/ws"
)

// AppPush are the settings of protocol C, app push with the token in the path (docs/compat).
type AppPush struct {
	// Path is where it is served: /push by default.
	Path string
	// Idle is how long a client may send nothing; 0 is 605 s.
	Idle time.Duration
}

// byAppPush is its name where it is said over what somebody is connected.
const byAppPush = "app-push"

func (s *Server) serveAppPush(o *Compat) error {
	if o.AppPush == nil {
		return nil
	}
	// The conversation's own timer says when a client is gone, much later than others are.
	idle := cmp.Or(o.AppPush.Idle, 605*time.Second)
	sv, err := s.newService(byAppPush, byAppPush, ws.Options{Dead: idle + s.o.DeadAfter})
	if err != nil {
		return err
	}
	talks := &apppush.Options{
		DialogueOptions: s.dialogues(sv), Places: appPlaces{o.Places}, Idle: idle, Logger: s.o.Logger,
	}
	talks.Lasting = true
	s.secrets = append(s.secrets, o.AppPush.Path)
	s.echo.GET(o.AppPush.Path+"/*", func(c echo.Context) error { return s.getAppPush(c, sv, talks) })
	s.doors[o.AppPush.Path] = true
	s.echo.POST(o.AppPush.Path, s.publishes(byAppPush, s.postAppPush))
	return nil
}

// getAppPush is GET /push/<token>. A client that is not let in gets a connection
// all the same: only its close can tell him why.
func (s *Server) getAppPush(c echo.Context, sv *service, talks *apppush.Options) error {
	token, err := param(c, "*")
	if err != nil {
		return err
	}
	if err := s.loaded(); err != nil {
		return err
	}
	who, err := s.resolve(c.Request().Context(), token)
	status, reason := 0, ""
	if err != nil {
		if status, reason = refusal(err); status >= http.StatusInternalServerError {
			return err // not its fault: it comes back
		}
		note(c).err = err
	}
	note(c).user = who.User
	cursor := c.QueryParam("cursor")
	return s.upgrade(c, sv, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
		if status != 0 {
			talk := apppush.Refuse(conn, transports.Refusing(status, reason), host, talks)
			return talk, talk.End
		}
		talk := apppush.Begin(conn, who, cursor, host, talks)
		return talk, talk.End
	})
}

// postAppPush is POST /push: a message to users. It says how many of them are
// online, at whichever node.
func (s *Server) postAppPush(c echo.Context, id *auth.Identity) error {
	var body struct {
		ID      string          `json:"id"`
		Users   []string        `json:"users"`
		Title   string          `json:"title"`
		Message json.RawMessage `json:"message"`
	}
	if err := s.readLongJSON(c, &body, maxIDsBody, false); err != nil {
		return err
	}
	n := alarm.Notice{ID: body.ID, Users: body.Users, Title: body.Title}
	if n.ID == "" {
		n.ID = c.Request().Header.Get("Idempotency-Key")
	}
	switch {
	case bytes.HasPrefix(body.Message, []byte{'"'}):
		if err := json.Unmarshal(body.Message, &n.Body); err != nil {
			return explainJSON(err)
		}
	case string(body.Message) != "null":
		n.Data = body.Message
	}
	results, err := s.o.Alarms.Notify(c.Request().Context(), id.User, n)
	if err != nil {
		return err
	}
	users := make([]string, len(results))
	for i := range results {
		users[i] = results[i].To
	}
	return writeJSON(c, http.StatusOK, struct {
		Users  int `json:"users"`
		Online int `json:"online"`
	}{len(users), s.o.Cluster.Online(users)})
}

// appPlaces are the places of this protocol.
type appPlaces struct{ Places }

var _ apppush.Places = appPlaces{}

// Hold implements apppush.Places.
func (p appPlaces) Hold(ctx context.Context, user string) (place, from string, err error) {
	return p.Places.Hold(ctx, byAppPush, user)
}

// Keep implements apppush.Places.
func (p appPlaces) Keep(ctx context.Context, user, place, cursor string) (string, error) {
	return p.Places.Keep(ctx, byAppPush, user, place, cursor)
}
