package httpd

import (
	"context"
	"net/netip"
	"slices"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
)

// Compat says which older protocols are served (docs/compat): nil ones are not.
type Compat struct {
	AlarmPush *AlarmPush // A, alarm push in protobuf
	Oplink    *Oplink    // B, JSON operations
	AppPush   *AppPush   // C, app push with the token in the path
	Notices   *Notices   // D, notices with an offline store
	Stomp     *Stomp     // E, STOMP and SockJS

	// Places keep cursors for clients that keep none themselves; required.
	Places Places
	// PublishFrom are the networks whose hosts may publish by the doors of these
	// protocols without a token. It is the address of the connection that counts,
	// so a proxy's where there is one that the Limiter does not trust.
	PublishFrom []netip.Prefix
}

// Places keep cursors, on all nodes, under the name of a protocol and a user.
// Errors are those of the package inbox. They may be called by many goroutines at
// once.
type Places interface {
	// Get returns the cursor that is kept, empty if none is.
	Get(ctx context.Context, name, user string) (cursor string, err error)
	// Set keeps the cursor that choose makes of the one that is kept.
	Set(ctx context.Context, name, user string, choose func(old string) string) error
	// Hold says from where a connection that begins has to deliver, so that nothing
	// is lost to a user whose clients keep no cursor, and gives it a place to hold
	// that was left within an hour; each is empty, if there is none.
	Hold(ctx context.Context, name, user string) (place, from string, err error)
	// Keep moves the place to where the connection has come for certain; an empty
	// one becomes one. It returns the place that is held then.
	Keep(ctx context.Context, name, user, place, cursor string) (string, error)
	// Leave is the last Keep.
	Leave(ctx context.Context, place, cursor string) error
}

// serveCompat makes the services of the older protocols and their routes.
func (s *Server) serveCompat() error {
	o := s.o.Compat
	if o == nil {
		return nil
	}
	for _, serve := range []func(*Compat) error{
		s.serveAlarmPush,
		s.serveOplink,
		s.serveAppPush,
		s.serveNotices,
		s.serveStomp,
	} {
		if err := serve(o); err != nil {
			return err
		}
	}
	return nil
}

// publishes lets those publish by a door of an older protocol who have a token
// with the scope, or come from a network that needs none; they are called after
// the door.
func (s *Server) publishes(door string, h handler) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := s.publisher(c, door)
		if err != nil {
			return err
		}
		return h(c, id)
	}
}

func (s *Server) publisher(c echo.Context, door string) (*auth.Identity, error) {
	id, err := s.identify(c, auth.ScopePublish)
	if err == nil || !s.trusted(c) {
		return id, err
	}
	if err := s.admit(c, door, auth.ScopePublish); err != nil {
		return nil, err
	}
	return &auth.Identity{User: door, Scopes: []string{auth.ScopePublish}}, s.loaded()
}

// trusted says whether a request comes from one of PublishFrom.
func (s *Server) trusted(c echo.Context) bool {
	from := note(c).from
	return slices.ContainsFunc(s.o.Compat.PublishFrom, func(n netip.Prefix) bool { return n.Contains(from) })
}

// problemsWith answers with the problem that an error is, and further members that
// the clients of a door look for.
func problemsWith(next echo.HandlerFunc, members func(b []byte, err error) []byte) echo.HandlerFunc {
	return func(c echo.Context) error {
		err := next(c)
		if err == nil || c.Response().Committed {
			return err
		}
		p := explain(err)
		if p.status == gone.status {
			return err
		}
		note(c).err, note(c).status = err, p.status
		p.setHeader(c.Response().Header())
		body := p.appendJSON(nil, requestID(c))
		body = members(append(body[:len(body)-1], ','), err)
		return write(c, p.status, typeProblem, append(body, '}', '\n'))
	}
}
