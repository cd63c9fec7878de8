package httpd

import (
	"context"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/oplink"
)

// Oplink are the settings of protocol B, JSON operations (docs/compat).
type Oplink struct {
	// Path is where it is served: /message-center by default.
	Path string
}

// byOplink is what its connections, and its publishers without a token, are called.
const byOplink = "oplink"

func (s *Server) serveOplink(o *Compat) error {
	if o.Oplink == nil {
		return nil
	}
	readers, err := s.newService(byOplink, byOplink, ws.Options{})
	if err != nil {
		return err
	}
	publishers, err := s.newService("", "publish-oplink", ws.Options{})
	if err != nil {
		return err
	}
	talk := &oplink.Options{DialogueOptions: s.lasting(readers)}
	talk.Authenticate = func(ctx context.Context, token string) (transports.Identity, bool, error) {
		id, err := s.resolve(ctx, token)
		return id, err != nil && explain(err).status >= http.StatusInternalServerError, err
	}
	publish := &oplink.PublishingOptions{DialogueOptions: s.lasting(publishers), Publish: s.publishMesh}
	s.echo.GET(o.Oplink.Path, func(c echo.Context) error {
		if err := s.loaded(); err != nil {
			return err
		}
		return s.upgrade(c, readers, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
			t := oplink.Begin(conn, host, talk)
			return t, t.End
		})
	})
	s.doors["/v1/mesh/publish"] = true
	s.echo.POST("/v1/mesh/publish", meshErrors(s.publishes(byOplink, s.postMesh)))
	s.echo.GET("/v1/mesh/ws", s.publishes(byOplink, func(c echo.Context, id *auth.Identity) error {
		return s.upgrade(c, publishers, func(conn *ws.Conn, host transports.Host) (ws.Conversation, func(error)) {
			p := oplink.BeginPublishing(conn, *identity(id), host, publish)
			return p, p.End
		})
	}))
	return nil
}

// lasting is what the dialogues of an older protocol have in common.
func (s *Server) lasting(sv *service) transports.DialogueOptions {
	o := s.dialogues(sv)
	o.Lasting = true
	return o
}

// resolve says who a token or an opaque session speaks for, if he may read an inbox.
func (s *Server) resolve(ctx context.Context, token string) (transports.Identity, error) {
	id, err := s.o.Auth.Resolve(ctx, token)
	if err == nil && !id.Has(auth.ScopeInbox) {
		err = &scopeError{auth.ScopeInbox}
	}
	if err != nil {
		s.traceRefused(token, "", err)
		return transports.Identity{}, err
	}
	return *identity(id), nil
}

// postMesh is POST /v1/mesh/publish.
func (s *Server) postMesh(c echo.Context, id *auth.Identity) error {
	note(c).often = true
	body, err := s.readBody(c, maxBody) // of whatever type its clients call it
	if err != nil {
		return err
	}
	m, err := ingest.ParseMesh(body)
	if err != nil {
		return err
	}
	results, err := s.o.Alarms.Notify(c.Request().Context(), id.User, m.Notice)
	if err != nil {
		return err
	}
	return write(c, http.StatusOK, typeJSON, append(appendMesh(nil, m, alarm.Notified{Results: results}), '\n'))
}

// publishMesh is the same for many at once, over a WebSocket.
func (s *Server) publishMesh(ctx context.Context, c transports.Client, objects [][]byte) [][]byte {
	answers := make([][]byte, len(objects))
	var notices []alarm.Notice
	var of []int // the objects that they are
	meshes := make([]ingest.Mesh, len(objects))
	for i, object := range objects {
		var err error
		if meshes[i], err = ingest.ParseMesh(object); err != nil {
			answers[i] = appendMesh(nil, meshes[i], alarm.Notified{Err: err})
			continue
		}
		notices, of = append(notices, meshes[i].Notice), append(of, i)
	}
	for k, told := range s.o.Alarms.NotifyAll(ctx, c.User, notices) {
		answers[of[k]] = appendMesh(nil, meshes[of[k]], told)
	}
	return answers
}

// appendMesh answers an object in the words of its protocol: r says how many of its
// messages were stored, and E what is wrong.
func appendMesh(b []byte, m ingest.Mesh, told alarm.Notified) []byte {
	b = append(b, `{"E":`...)
	if told.Err != nil {
		b = appendMeshError(b, told.Err)
	} else {
		r := told.Results[0]
		b = append(b, `null,"r":{"s":1,"f":0,"id":`...)
		b = inbox.AppendString(b, r.ID)
		b = append(b, `,"seq":`...)
		b = strconv.AppendUint(b, r.Seq, 10)
		b = append(b, `,"duplicate":`...)
		b = append(strconv.AppendBool(b, r.Duplicate), '}')
	}
	if len(m.Ref) > 0 {
		b = append(append(b, `,"i":`...), m.Ref...)
	}
	return append(b, '}')
}

func appendMeshError(b []byte, err error) []byte {
	code, message := inWords(err)
	b = append(b, `{"c":`...)
	b = strconv.AppendInt(b, int64(code), 10)
	b = append(b, `,"m":`...)
	return append(inbox.AppendString(b, message), '}')
}

// meshErrors adds E to the problems of a door: its clients look at nothing else.
func meshErrors(next echo.HandlerFunc) echo.HandlerFunc {
	return problemsWith(next, func(b []byte, err error) []byte { return appendMeshError(append(b, `"E":`...), err) })
}
