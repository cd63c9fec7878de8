package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/trace"
	"tocsin/transports"
)

const (
	// traceFor is how long a trace lasts, in seconds, unless the client says; at most
	// maxTraceFor.
	traceFor, maxTraceFor = 600, 3600
	// traceAlive is how long a trace may be silent.
	traceAlive = 15 * time.Second
)

// getTrace is GET /v1/trace (docs/protocol.md §9): what happens to one user, a line
// each, while it happens.
func (s *Server) getTrace(c echo.Context, id *auth.Identity) error {
	in := c.QueryParams()
	user, seconds := in.Get("user"), traceFor
	if err := inbox.CheckText("user", user, 1, inbox.MaxUserChars); err != nil {
		return inQuery(err)
	}
	if text := in.Get("for"); text != "" {
		var err error
		if seconds, err = strconv.Atoi(text); err != nil || seconds < 1 || seconds > maxTraceFor {
			return &transports.ParamError{Param: "for", Detail: fmt.Sprintf("want 1 to %d seconds, not %.20q", maxTraceFor, text), Limit: maxTraceFor}
		}
	}
	f, err := s.o.Trace.Follow(user)
	if err != nil {
		return err
	}
	defer f.Close()
	note(c).long = true
	s.administered(c, id, audit.Trace, []string{user}, struct {
		Seconds int `json:"seconds"`
	}{seconds})
	s.o.Logger.Info("a user is traced", "user", user, "by", id.User, "seconds", seconds)
	ctx, leave := s.session(c.Request().Context(), id, false)
	defer leave()
	if !id.Expires.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, id.Expires, transports.Expired)
		defer stop()
	}
	w := &tracing{steadyWriter{c: c, rc: http.NewResponseController(c.Response()), timeout: s.o.AnswerTimeout, contentType: typeNDJSON}, s.o.Trace}
	return w.follow(ctx, f, user, time.Duration(seconds)*time.Second)
}

// A tracing is the answer that a trace is.
type tracing struct {
	steadyWriter
	t *trace.Tracer
}

// follow writes what happens until the time is over, the client has gone, or the
// session ends.
func (w *tracing) follow(ctx context.Context, f *trace.Follower, user string, span time.Duration) error {
	over := time.NewTimer(span)
	defer over.Stop()
	alive := time.NewTicker(traceAlive)
	defer alive.Stop()
	err := w.tell(trace.Line{What: trace.Tracing, User: user, Until: trace.Clock(time.Now().Add(span))}, true)
	for err == nil {
		select {
		case l := <-f.Lines():
			err = w.line(l, len(f.Lines()) == 0)
			if n := f.Missed(); n > 0 && err == nil {
				err = w.tell(trace.Line{What: trace.Missed, User: user, Count: n}, true)
			}
			alive.Reset(traceAlive)
		case <-alive.C:
			err = w.tell(trace.Line{What: trace.Alive}, true)
		case <-over.C:
			return w.tell(trace.Line{What: trace.End, Reason: "over"}, true)
		case <-ctx.Done():
			var reason transports.Reason
			if !errors.As(context.Cause(ctx), &reason) {
				return nil // the client has gone
			}
			return w.tell(trace.Line{What: trace.End, Reason: string(reason)}, true)
		}
	}
	return err
}

// tell writes a line of the answer's own.
func (w *tracing) tell(l trace.Line, flush bool) error { return w.line(w.t.Stamp(l), flush) }

func (w *tracing) line(l trace.Line, flush bool) error {
	text, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a line of a trace: %w", err)
	}
	if _, err = w.Write(append(text, '\n')); err == nil && flush {
		err = w.rc.Flush()
	}
	if err != nil {
		return fmt.Errorf("write a trace: %w", err)
	}
	return nil
}

// traceRequest tells of a request that was answered. Who it is from may not be known:
// then the token that was refused may name somebody.
func (s *Server) traceRequest(c echo.Context, status int, took time.Duration) {
	n, r := note(c), c.Request()
	l := trace.Line{What: trace.Request, User: n.user, Method: r.Method, URL: s.redact(r.URL), Status: status,
		ID: n.id, Remote: r.RemoteAddr, MS: float64(took.Microseconds()) / 1000}
	if n.err != nil {
		l.Reason = n.err.Error()
	}
	if n.user == "" {
		token, _, err := auth.FromRequest(r, true)
		if err != nil {
			return
		}
		l.What, l.User, l.Claimed = trace.Refused, auth.Claimed(token), true
	}
	s.o.Trace.Tell(l)
}

// traceRefused tells of a token that came otherwise than with a request, and was
// refused.
func (s *Server) traceRefused(token, transport string, err error) {
	if s.o.Trace.Wanted() {
		s.o.Trace.Tell(trace.Line{What: trace.Refused, User: auth.Claimed(token), Claimed: true, Transport: transport, Reason: err.Error()})
	}
}

// traceEnded tells why a session is over.
func (s *Server) traceEnded(user, transport string, why error) {
	if s.o.Trace.Wanted() {
		s.o.Trace.Tell(trace.Line{What: trace.Ended, User: user, Transport: transport, Reason: reasonOf(why)})
	}
}

// traceCommand tells what a user did.
func (s *Server) traceCommand(user, op, alarm string, n int, err error) {
	if !s.o.Trace.Wanted() {
		return
	}
	l := trace.Line{What: trace.Command, User: user, Op: op, Alarm: alarm, Count: n}
	if err != nil {
		l.Reason = err.Error()
	}
	s.o.Trace.Tell(l)
}

// traceReach tells what was delivered.
func (s *Server) traceReach(user, transport, connection string, r *inbox.Reach) {
	l := trace.Line{User: user, Transport: transport, Connection: connection, From: r.From, To: r.To, Snapshot: r.Snapshot}
	if r.Gap != "" {
		g := l
		g.What, g.Reason = trace.Gap, string(r.Gap)
		s.o.Trace.Tell(g)
	}
	if l.What = trace.Delivered; r.Snapshot || r.To > r.From {
		s.o.Trace.Tell(l)
	}
}
