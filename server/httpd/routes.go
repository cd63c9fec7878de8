package httpd

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

// routes are all that the public listener answers (docs/protocol.md §4, §5, §9).
func (s *Server) routes() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.Use(s.access, s.headers, s.recover, s.cors)
	s.echo = e

	e.GET("/v1/inbox", s.as(auth.ScopeInbox, s.getInbox))
	e.GET("/v1/inbox/sse", s.getStream)
	e.POST("/v1/inbox/read", s.as(auth.ScopeInbox, s.postRead))

	e.POST("/v1/alarms", s.as(auth.ScopePublish, s.postAlarms))
	e.GET("/v1/alarms/:id", s.as(auth.ScopeInbox, s.getAlarm))
	e.POST("/v1/alarms/:id/ack", s.as(auth.ScopeInbox, s.postAck))
	e.POST("/v1/notices", s.as(auth.ScopePublish, s.postNotice))

	e.GET("/v1/devices/:id", s.as(auth.ScopeAdmin, s.getDevice))
	e.PUT("/v1/devices/:id", s.as(auth.ScopeAdmin, s.putDevice))
	e.DELETE("/v1/devices/:id", s.as(auth.ScopeAdmin, s.deleteDevice))
	e.GET("/v1/users/:id", s.as(auth.ScopeAdmin, s.getUser))
	e.PUT("/v1/users/:id", s.as(auth.ScopeAdmin, s.putUser))
	e.DELETE("/v1/users/:id", s.as(auth.ScopeAdmin, s.deleteUser))
	e.POST("/v1/directory", s.as(auth.ScopeAdmin, s.postDirectory))

	e.GET("/problems/:name", problemText)
}

// A handler answers a request whose sender is known.
type handler func(c echo.Context, id auth.Identity) error

// as lets those in whose token has the scope.
func (s *Server) as(scope string, h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := s.identify(c, scope)
		if err != nil {
			return err
		}
		return h(c, id)
	}
}

// identify says who sent the request, and that he may use what needs the scope.
func (s *Server) identify(c echo.Context, scope string) (auth.Identity, error) {
	token, _, err := auth.FromRequest(c.Request(), s.o.AllowQueryToken)
	if err != nil {
		return auth.Identity{}, err
	}
	id, err := s.o.Auth.Verify(c.Request().Context(), token)
	if err != nil {
		return auth.Identity{}, err
	}
	note(c).user = id.User
	if !id.Has(scope) {
		return auth.Identity{}, &scopeError{scope}
	}
	select {
	case <-s.o.View.Ready():
		return id, nil
	default:
		return auth.Identity{}, fmt.Errorf("the view is being loaded: %w", inbox.ErrStale)
	}
}

// param is a parameter of the path, decoded. The router gives the path's raw
// form where the URL has one, which is where decoding would lose a slash.
func param(c echo.Context, name string) (string, error) {
	value := c.Param(name)
	if c.Request().URL.RawPath == "" {
		return value, nil
	}
	decoded, err := url.PathUnescape(value)
	if err != nil {
		return "", &transports.ParamError{Param: name, Detail: "the path is not properly percent-encoded"}
	}
	return decoded, nil
}

// slowBody bounds how long the body may take; call the function that it returns
// once it has been read, as the connection is watched for its end from then on.
func (s *Server) slowBody(c echo.Context) (read func()) {
	rc := http.NewResponseController(c.Response())
	_ = rc.SetReadDeadline(time.Now().Add(s.o.BodyTimeout))
	return func() { _ = rc.SetReadDeadline(time.Time{}) }
}
