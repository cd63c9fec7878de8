package httpd

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
	"tocsin/transports/page"
)

// routes are all that the public listener answers (docs/protocol.md §4, §5, §9).
func (s *Server) routes() {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = s.fail
	e.Use(s.access, s.headers, s.recover, s.cors, s.limited)
	s.echo = e
	for _, path := range publishingDoors {
		s.doors[path] = true
	}

	e.GET("/v1/inbox", s.as(auth.ScopeInbox, s.getInbox))
	e.GET("/v1/inbox/sse", s.getStream)
	e.GET("/v1/inbox/ws", s.getSocket)
	e.POST("/v1/inbox/read", s.as(auth.ScopeInbox, s.postRead))

	e.POST("/v1/alarms", s.as(auth.ScopePublish, s.postAlarms))
	e.GET("/v1/alarms", s.as(auth.ScopeInbox, s.getAlarms))
	e.GET("/v1/alarms/:id", s.as(auth.ScopeInbox, s.getAlarm))
	e.GET("/v1/alarms/:id/history", s.as(auth.ScopeInbox, s.getHistory))
	e.POST("/v1/alarms/ack", s.as(auth.ScopeInbox, s.postAckAll))
	for _, op := range alarm.Ops {
		e.POST("/v1/alarms/:id/"+string(op), s.as(auth.ScopeInbox, s.postCommand(op)))
	}
	e.GET("/v1/counts", s.as(auth.ScopeInbox, s.getCounts))
	e.POST("/v1/notices", s.as(auth.ScopePublish, s.postNotice))

	e.POST("/v1/ingest/cloudevents", s.as(auth.ScopePublish, s.postCloudEvents))
	e.POST("/v1/ingest/alertmanager", s.as(auth.ScopePublish, s.postAlertmanager))
	e.POST("/v1/ingest/pagerduty", s.postPagerDuty)
	e.POST("/v1/ingest/pagerduty/v2/enqueue", s.postPagerDuty) // where its clients append the path
	e.POST("/v1/ingest/lines", s.as(auth.ScopePublish, s.postLines))
	e.GET("/v1/publish/ws", s.getPublishSocket)
	e.GET("/v1/deadletters", s.as(auth.ScopeAdmin, s.getDeadLetters))

	e.GET("/v1/devices", s.as(auth.ScopeAdmin, s.getDevices))
	e.GET("/v1/users", s.as(auth.ScopeAdmin, s.getUsers))
	e.GET("/v1/devices/:id", s.as(auth.ScopeAdmin, s.getDevice))
	e.PUT("/v1/devices/:id", s.as(auth.ScopeAdmin, s.putDevice))
	e.DELETE("/v1/devices/:id", s.as(auth.ScopeAdmin, s.deleteDevice))
	e.GET("/v1/users/:id", s.as(auth.ScopeAdmin, s.getUser))
	e.PUT("/v1/users/:id", s.as(auth.ScopeAdmin, s.putUser))
	e.DELETE("/v1/users/:id", s.as(auth.ScopeAdmin, s.deleteUser))
	e.POST("/v1/directory", s.as(auth.ScopeAdmin, s.postDirectory))

	e.GET("/v1/alarms/:id/deliveries", s.as(auth.ScopeAdmin, s.getDeliveries))
	e.GET("/v1/explain", s.as(auth.ScopeInbox, s.getExplain))
	e.GET("/v1/connections", s.as(auth.ScopeAdmin, s.getConnections))
	e.DELETE("/v1/users/:id/connections", s.as(auth.ScopeAdmin, s.deleteConnections))
	e.GET("/v1/presence", s.as(auth.ScopeAdmin, s.getPresence))
	e.GET("/v1/audit", s.as(auth.ScopeAdmin, s.getAudit))
	e.GET("/v1/stats", s.as(auth.ScopeAdmin, s.getStats))
	e.GET("/v1/trace", s.as(auth.ScopeAdmin, s.getTrace))

	e.GET("/v1/transports", s.getTransports)
	e.POST("/v1/ticket", s.as(auth.ScopeInbox, s.postTicket))
	e.POST("/v1/backup", s.as(auth.ScopeAdmin, s.postBackup))
	e.POST("/v1/revocations", s.as(auth.ScopeAdmin, s.postRevocation))
	e.GET("/problems/:name", problemText)
	e.GET("/openapi.yaml", getOpenAPI)
	s.pages(e)
}

// A handler answers a request whose sender is known.
type handler func(c echo.Context, id *auth.Identity) error

// as lets those in whose token has the scope.
func (s *Server) as(scope string, h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		if scope == auth.ScopeAdmin && !s.administers(c) {
			return errNotFound
		}
		id, err := s.identify(c, scope)
		if err != nil {
			return err
		}
		return h(c, id)
	}
}

// administers says whether administration is there for who comes this way.
func (s *Server) administers(c echo.Context) bool { return !s.o.AdminApart || inside(c) }

// identify says who sent the request, and that he may use what needs the scope.
func (s *Server) identify(c echo.Context, scope string) (*auth.Identity, error) {
	r := c.Request()
	id, from, err := s.o.Auth.Authenticate(r.Context(), r)
	if err != nil {
		return nil, s.strange(c, err)
	}
	note(c).user = id.User
	// What a browser sends by itself must come from a page of our own. Forms of
	// the page see to that themselves, for browsers that do not know Origin.
	changes := r.Method != http.MethodGet && r.Method != http.MethodHead && !note(c).opens
	if from.Ambient() && (changes && !strings.HasPrefix(c.Path(), page.Path) && !auth.SameOrigin(r) || s.elsewhere(r)) {
		return nil, errOrigin
	}
	if !id.Has(scope) {
		return nil, &scopeError{scope}
	}
	if err := s.admit(c, id.User, scope); err != nil {
		return nil, err
	}
	return id, s.loaded()
}

// elsewhere says whether a page of an origin that is not listed has made the request:
// it would not see the answer, but a stream would cost its reader one of his own.
// Links from anywhere may be followed.
func (s *Server) elsewhere(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		return !s.origins.Named(origin) && !auth.SameOrigin(r)
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return r.Header.Get("Sec-Fetch-Mode") != "navigate"
	}
	return false
}

// loaded says whether readers can be served.
func (s *Server) loaded() error {
	select {
	case <-s.o.View.Ready():
		return nil
	default:
		return fmt.Errorf("the view is being loaded: %w", inbox.ErrStale)
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
