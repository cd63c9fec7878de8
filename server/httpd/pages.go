package httpd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
	"tocsin/transports/page"
	"tocsin/web"
)

// pages are the routes for browsers: the page without script, and those with it.
func (s *Server) pages(e *echo.Echo) {
	e.GET(page.Path, s.page(func(ctx context.Context, c echo.Context, v page.Visitor, o page.Options) error {
		present, answered := s.o.Presence.Poll(v.User, byPage, v.Groups)
		defer answered()
		o.Reached = s.reached(present, byPage)
		s.html.Opened()
		err := page.Serve(ctx, c.Response(), c.Request(), v, o)
		s.html.Closed(reasonOf(err))
		return err
	}))
	e.GET(page.PathAlarm, s.page(func(ctx context.Context, c echo.Context, v page.Visitor, o page.Options) error {
		return page.ServeAlarm(ctx, c.Response(), c.Request(), v, o)
	}))
	for path, form := range map[string]func(context.Context, http.ResponseWriter, *http.Request, page.Visitor, page.Options) error{
		page.PathAck: page.Acknowledge, page.PathDo: page.Operate, page.PathRead: page.Read, page.PathLogout: page.Logout,
	} {
		e.POST(path, s.page(func(ctx context.Context, c echo.Context, v page.Visitor, o page.Options) error {
			s.slowBody(c)
			return form(ctx, c.Response(), c.Request(), v, o)
		}))
	}
	e.POST(page.PathLogin, func(c echo.Context) error {
		s.slowBody(c)
		return s.answerPage(c, page.Login(c.Request().Context(), c.Response(), c.Request(), s.pageOptions()))
	})
	for _, path := range []string{page.PathStyle, page.PathScript, page.PathIcon} {
		e.GET(path, echo.WrapHandler(http.HandlerFunc(page.Asset)))
	}
	site := echo.WrapHandler(web.Handler())
	for _, path := range web.Paths() {
		e.GET(path, func(c echo.Context) error {
			if path == web.Console && !s.administers(c) {
				return errNotFound
			}
			return site(c)
		})
	}
	e.GET(web.Assets+"*", site)
}

// page wraps a handler of the page: who asks is known to it, and errors become
// pages.
func (s *Server) page(h func(context.Context, echo.Context, page.Visitor, page.Options) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		id, err := s.identify(c, auth.ScopeInbox)
		if err != nil {
			return s.answerPage(c, err)
		}
		ctx, leave := s.session(c.Request().Context(), id, false)
		defer leave()
		v := page.Visitor{Client: s.client(c, id), Session: auth.SessionToken(c.Request())}
		return s.answerPage(c, h(ctx, c, v, s.pageOptions()))
	}
}

// answerPage answers an error as a page: the login for those who are not known.
func (s *Server) answerPage(c echo.Context, err error) error {
	if err == nil || c.Response().Committed {
		return err
	}
	p := explain(err)
	if p.status == gone.status {
		return err
	}
	note(c).err = err
	if p.challenge != "" {
		c.Response().Header().Set("WWW-Authenticate", p.challenge)
	}
	told := page.Problem{Status: p.status, Title: p.title, Detail: p.detail, Retry: int(p.retry / time.Second)}
	switch {
	case p.kind == noToken:
		return page.LoginForm(c.Response(), c.Request(), nil)
	case p.status == http.StatusUnauthorized:
		return page.LoginForm(c.Response(), c.Request(), &told)
	}
	if p.retry > 0 {
		c.Response().Header().Set("Retry-After", fmt.Sprint(told.Retry))
	}
	return page.Fail(c.Response(), c.Request(), told)
}

func (s *Server) pageOptions() page.Options {
	return page.Options{
		View: s.o.View, Limits: s.o.Limits, Busy: s.limits.Load().Busy, Idle: s.limits.Load().Idle, Delivered: s.html.Delivered,
		SameOrigin: auth.SameOrigin, CSRF: auth.CSRFToken, CheckCSRF: auth.CheckCSRF,
		Do: func(ctx context.Context, c transports.Client, what transports.Command) error {
			_, err := s.do(ctx, c, what)
			return err
		},
		AckAll: s.ackAllShown, Look: s.look,
		Read: func(ctx context.Context, user string, groups []string, upto string) error {
			_, err := s.markRead(ctx, user, groups, upto, nil)
			return err
		},
		Login: s.login,
		Logout: func(_ context.Context, w http.ResponseWriter, r *http.Request) error {
			http.SetCookie(w, auth.ClearSessionCookie(secure(r)))
			return nil
		},
	}
}

// ackAllShown acknowledges what was ticked on a page, and says how many of them
// could not be.
func (s *Server) ackAllShown(ctx context.Context, c transports.Client, ids []string, text string) error {
	done, err := s.ackAll(ctx, c, "id", ids, text)
	failed := 0
	for i := range done {
		if done[i].Err != nil {
			failed++
			err = done[i].Err
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d were not acknowledged, the others were: %w", failed, len(ids), err)
	}
	return err
}

// look is what the page of one alarm shows.
func (s *Server) look(ctx context.Context, c transports.Client, id, after string) (text, history []byte, err error) {
	a, err := s.o.Alarms.Get(ctx, c.User, c.Groups, id)
	if err != nil {
		return nil, nil, err
	}
	history, err = s.history(ctx, c, id, after, alarm.DefaultHistory)
	return a.AppendJSON(nil), history, err
}

// login makes a session of a token.
func (s *Server) login(ctx context.Context, w http.ResponseWriter, r *http.Request, token string) error {
	if len(token) > auth.MaxSession {
		return inbox.Fieldf("token", "at most %d bytes fit the cookie, not %d", auth.MaxSession, len(token))
	}
	id, err := s.o.Auth.Verify(ctx, token)
	if err != nil {
		return err
	}
	if !id.Has(auth.ScopeInbox) {
		return &scopeError{auth.ScopeInbox}
	}
	http.SetCookie(w, auth.SessionCookie(token, id.Expires, secure(r)))
	return nil
}

// markRead is the one way in which anybody marks as read.
func (s *Server) markRead(ctx context.Context, user string, groups []string, upto string, ids []string) (inbox.Counts, error) {
	counts, err := s.o.View.MarkRead(ctx, s.o.Marks, user, groups, upto, ids)
	s.traceCommand(user, "read", "", len(ids), err)
	if errors.Is(err, inbox.ErrCursor) {
		err = &transports.ParamError{Param: "upto", Detail: err.Error()}
	}
	return counts, err
}
