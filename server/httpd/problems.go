package httpd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	explaining "tocsin/server/explain"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/limit"
	"tocsin/server/trace"
	"tocsin/transports"
	"tocsin/transports/carrier/sockjs"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/native"
	"tocsin/transports/page"
	"tocsin/transports/stomp"
)

// Errors of the edge itself.
var (
	errForbidden    = errors.New("the token does not allow this")
	errOrigin       = errors.New("pages of this origin may not do this")
	errMediaType    = errors.New("the body is of a type that is not understood here")
	errDraining     = errors.New("the node is going down")
	errNotFound     = errors.New("there is nothing here")
	errMethod       = errors.New("the method is not offered here")
	errSlow         = errors.New("the body did not arrive in time")
	errTooMany      = errors.New("too many requests")
	errPrecondition = errors.New("the header If-Match is not understood")
)

// A limitError is a size that was passed.
type limitError struct {
	what  string
	limit int
}

func (e *limitError) Error() string { return fmt.Sprintf("%s: at most %d", e.what, e.limit) }

// A handshakeError is a WebSocket's handshake that is not taken.
type handshakeError struct{ *ws.HandshakeError }

// kind is the problem that the refusal is.
func (e *handshakeError) kind() kind {
	switch e.Status {
	case http.StatusForbidden:
		return kind{"origin", 403, "Not allowed from this page", 0}
	case http.StatusMethodNotAllowed:
		return kind{"method-not-allowed", 405, "Not offered here", 0}
	case http.StatusUpgradeRequired:
		return kind{"upgrade-required", 426, "Connect by WebSocket", 0}
	case http.StatusServiceUnavailable:
		return kind{"draining", 503, "The node is going down", time.Second}
	case http.StatusBadRequest:
		return malformed
	}
	return internal
}

// A kind is one kind of problem: the name in its type, and what goes with it.
type kind struct {
	name   string
	status int
	title  string
	// retry is when to try again; every 429 and 503 says so.
	retry time.Duration
}

var (
	malformed   = kind{"malformed", 400, "The request cannot be understood", 0}
	invalid     = kind{"invalid", 422, "A value is out of bounds", 0}
	tooLarge    = kind{"too-large", 413, "More than is taken at once", 0}
	noToken     = kind{"unauthenticated", 401, "Say who you are", 0}
	badToken    = kind{"invalid-token", 401, "The token is not acceptable", 0}
	oldToken    = kind{"expired-token", 401, "The token has expired or was taken back", 0}
	unavailable = kind{"storage-unavailable", 503, "The storage does not answer", time.Second}
	internal    = kind{"internal", 500, "Something went wrong here", 0}
	gone        = kind{"", 499, "", 0} // the client is: nothing is written
)

// kinds is the one table from errors to problems. The first that matches counts.
var kinds = []struct {
	err error
	kind
}{
	{auth.ErrMissing, noToken},
	{auth.ErrRevoked, oldToken}, // is an ErrInvalid too
	{auth.ErrInvalid, badToken},
	{auth.ErrExpired, oldToken},
	{transports.Expired, oldToken},
	{transports.Revoked, oldToken},
	{transports.Kicked, kind{"kicked", 503, "An administrator has ended the connection", time.Second}},
	{auth.ErrUnavailable, kind{"keys-unavailable", 503, "The token cannot be judged now", 5 * time.Second}},
	{errForbidden, kind{"forbidden", 403, "Not allowed", 0}},
	{errOrigin, kind{"origin", 403, "Not allowed from this page", 0}},
	{sockjs.ErrOrigin, kind{"origin", 403, "Not allowed from this page", 0}},
	{page.ErrOrigin, kind{"origin", 403, "Not allowed from this page", 0}},
	{page.ErrCSRF, kind{"csrf", 403, "The form is not of this session", 0}},
	{stomp.ErrNoToken, noToken},
	{stomp.ErrForbidden, kind{"forbidden", 403, "Not allowed", 0}},
	{native.ErrForbidden, kind{"forbidden", 403, "Not allowed", 0}},
	{errNotFound, kind{"not-found", 404, "Not found", 0}},
	{explaining.ErrOff, kind{"not-found", 404, "Not found", 0}},
	{alarm.ErrNotFound, kind{"not-found", 404, "Not found", 0}},
	{errMethod, kind{"method-not-allowed", 405, "Not offered here", 0}},
	{transports.ErrNoStream, kind{"no-stream", 406, "Poll GET /v1/inbox instead", 0}},
	{errSlow, kind{"timeout", 408, "Too slow", 0}},
	{alarm.ErrIDReused, kind{"id-reused", 409, "The id belongs to another alarm", 0}},
	{alarm.ErrSuperseded, kind{"superseded", 409, "A newer occurrence has come", 0}},
	{inbox.ErrListing, kind{"list-changed", 409, "The list has to be begun again", 0}},
	{alarm.ErrChanged, kind{"changed", 412, "The alarm has changed", 0}},
	{inbox.ErrTooLarge, tooLarge},
	{errMediaType, kind{"media-type", 415, "Send JSON", 0}},
	{ingest.ErrNotCloudEvents, kind{"media-type", 415, "Send JSON", 0}},
	{errBusy, kind{"too-many-requests", 503, "Slow down", 5 * time.Second}},
	{limit.ErrRate, kind{"too-many-requests", 429, "Slow down", time.Second}},
	{limit.ErrConnections, kind{"too-many-connections", 429, "Too many connections from this address", time.Second}},
	{limit.ErrFull, kind{"overloaded", 503, "The node is full", time.Second}},
	{auth.ErrTooMany, kind{"too-many-requests", 429, "Slow down", 5 * time.Second}},
	{errTooMany, kind{"too-many-requests", 429, "Slow down", 5 * time.Second}},
	{trace.ErrTooMany, kind{"too-many-requests", 429, "Slow down", 5 * time.Second}},
	{sockjs.ErrFull, kind{"too-many-requests", 429, "Slow down", 5 * time.Second}},
	{sockjs.ErrClosed, kind{"draining", 503, "The node is going down", time.Second}},
	{errDraining, kind{"draining", 503, "The node is going down", time.Second}},
	{transports.Drain, kind{"draining", 503, "The node is going down", time.Second}},
	{inbox.ErrFull, kind{"storage-full", 503, "The storage is full", time.Minute}},
	{inbox.ErrStale, kind{"stale", 503, "The node has lost touch with the log", 3 * time.Second}},
	{inbox.ErrUnavailable, unavailable},
	{alarm.ErrMalformed, malformed},
	{inbox.ErrCursor, malformed},
	{errPrecondition, malformed},
	{context.Canceled, gone},
	{context.DeadlineExceeded, unavailable},
}

// A problem is what goes out (RFC 9457).
type problem struct {
	kind
	detail string
	field  string
	limit  int
	after  int // seconds, where the answer has no header to say when to try again
	// alarm is the present one, where a command met another than it named.
	alarm *alarm.Alarm
	// report is what an import did before it broke off.
	report any
	// challenge is the WWW-Authenticate of a 401 or a 403.
	challenge string
}

// explain makes a problem of an error.
func explain(err error) problem {
	p := problem{kind: internal}
	var at interface{ InField() (field, detail string) }
	var param *transports.ParamError
	var limit *limitError
	var handshake *handshakeError
	var body *http.MaxBytesError
	var edge *echo.HTTPError
	var conflict *alarm.ConflictError
	var partly *importError
	if errors.As(err, &partly) {
		p.report = partly.report
	}
	switch {
	case errors.As(err, &limit):
		p.kind, p.limit, p.detail = tooLarge, limit.limit, limit.Error()
	case errors.As(err, &body):
		p.kind, p.limit = tooLarge, int(body.Limit)
		p.detail = fmt.Sprintf("the body: at most %d bytes", body.Limit)
	case errors.As(err, &param):
		p.kind, p.field, p.limit, p.detail = malformed, param.Param, param.Limit, param.Detail
	case errors.As(err, &handshake):
		p.kind, p.detail = handshake.kind(), handshake.Reason
	case errors.As(err, &at):
		p.kind = invalid
		p.field, p.detail = at.InField()
	case errors.As(err, &edge):
		err = ofEcho(edge)
		fallthrough
	default:
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errSlow // of reading a body: nothing else here has a deadline on a socket
		}
		p.find(err)
	}
	p.limited(err)
	if errors.As(err, &conflict) {
		p.alarm = &conflict.Present
	}
	p.challenge = challenge(p.kind, err)
	return p
}

// find looks the error up. What is not in the table is nobody's business
// outside, so its text stays here.
func (p *problem) find(err error) {
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			p.kind, p.detail = k.kind, err.Error()
			if k.status >= 500 {
				p.detail = k.err.Error() // what wraps it names our insides
			}
			return
		}
	}
}

// ofEcho turns the router's own errors into ours.
func ofEcho(e *echo.HTTPError) error {
	switch e.Code {
	case http.StatusNotFound:
		return errNotFound
	case http.StatusMethodNotAllowed:
		return errMethod
	case http.StatusTooManyRequests:
		return errTooMany
	case http.StatusUnsupportedMediaType:
		return errMediaType
	case http.StatusRequestEntityTooLarge:
		return inbox.ErrTooLarge
	}
	if e.Code >= 400 && e.Code < 500 {
		return fmt.Errorf("%w: %v", alarm.ErrMalformed, e.Message)
	}
	return e
}

// challenge is the answer's WWW-Authenticate (RFC 6750 §3).
func challenge(k kind, err error) string {
	var scope *scopeError
	switch {
	case k == noToken:
		return `Bearer realm="tocsin"`
	case k.status == http.StatusUnauthorized:
		return `Bearer realm="tocsin", error="invalid_token"`
	case errors.As(err, &scope):
		return `Bearer realm="tocsin", error="insufficient_scope", scope="` + scope.scope + `"`
	}
	return ""
}

// A scopeError is errForbidden with the scope that would allow it.
type scopeError struct{ scope string }

func (e *scopeError) Error() string { return "it takes the scope " + e.scope }
func (e *scopeError) Unwrap() error { return errForbidden }

// appendJSON writes the problem as an object; instance may be empty.
func (p *problem) appendJSON(b []byte, instance string) []byte {
	b = append(b, `{"type":"/problems/`...)
	b = append(b, p.name...)
	b = append(b, `","title":`...)
	b = inbox.AppendString(b, p.title)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(p.status), 10)
	for _, member := range [...][2]string{{"detail", p.detail}, {"field", p.field}, {"instance", instance}} {
		if member[1] != "" {
			b = append(b, `,"`...)
			b = append(b, member[0]...)
			b = append(b, `":`...)
			b = inbox.AppendString(b, member[1])
		}
	}
	if p.limit > 0 {
		b = append(b, `,"limit":`...)
		b = strconv.AppendInt(b, int64(p.limit), 10)
	}
	if p.after > 0 {
		b = append(b, `,"retry_after":`...)
		b = strconv.AppendInt(b, int64(p.after), 10)
	}
	if p.alarm != nil {
		b = p.alarm.AppendJSON(append(b, `,"alarm":`...))
	}
	if p.report != nil {
		if text, err := json.Marshal(p.report); err == nil {
			b = append(append(b, `,"report":`...), text...)
		}
	}
	return append(b, '}')
}

// fail is echo's error handler: it answers with the problem that the error is,
// unless an answer has begun.
func (s *Server) fail(err error, c echo.Context) {
	p := explain(err)
	note(c).err, note(c).status = err, p.status
	w := c.Response()
	if w.Committed {
		return // a stream that ended; what there was to say has been said
	}
	if p.status == gone.status {
		if c.Request().Context().Err() != nil {
			return
		}
		p = problem{kind: unavailable, detail: "the request was given up"}
	}
	s.o.Metrics.Problem(p.name)
	p.setHeader(w.Header())
	body := append(p.appendJSON(nil, requestID(c)), '\n')
	_ = write(c, p.status, typeProblem, body)
}

const typeProblem = "application/problem+json"

// setHeader sets what goes with the problem.
func (p *problem) setHeader(h http.Header) {
	if p.challenge != "" {
		h.Set("WWW-Authenticate", p.challenge)
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int(p.retry/time.Second)))
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", typeProblem)
}

// problemText is GET /problems/:name, for a human who follows the link.
func problemText(c echo.Context) error {
	all := append([]kind{malformed, invalid, tooLarge, internal}, make([]kind, len(kinds))...)
	for i := range kinds {
		all[4+i] = kinds[i].kind
	}
	for _, k := range all {
		if k.name == c.Param("name") && k.name != "" {
			text := fmt.Sprintf("%s (%d)\n\n%s.\n", k.name, k.status, strings.TrimSuffix(k.title, "."))
			return write(c, http.StatusOK, "text/plain; charset=utf-8", []byte(text))
		}
	}
	return errNotFound
}

// write sends a whole answer.
func write(c echo.Context, status int, contentType string, body []byte) error {
	h := c.Response().Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	c.Response().WriteHeader(status)
	if c.Request().Method == http.MethodHead {
		return nil
	}
	_, err := c.Response().Write(body)
	return err
}
