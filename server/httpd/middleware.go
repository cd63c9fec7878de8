package httpd

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/limit"
)

// notes is what the access log says of a request beside the request itself.
type notes struct {
	id     string
	user   string
	err    error
	status int  // that the error would have had
	long   bool // a stream or a poll, whose duration says nothing
	often  bool // a poll or a publishing: so many that only what fails is logged
	began  time.Time
	body   bool     // the request has one that has not been read to its end
	opens  bool     // the request opens a session, which changes nothing
	theirs bool     // a status of 500 is for what the client did, as its protocol has it
	held   []func() // give memory back that bodies take
	kind   limit.Kind
	from   netip.Addr // the client's address, behind trusted proxies too; may not be valid
}

const notesKey = "tocsin.notes"

func note(c echo.Context) *notes {
	if n, ok := c.Get(notesKey).(*notes); ok {
		return n
	}
	n := &notes{}
	c.Set(notesKey, n)
	return n
}

func requestID(c echo.Context) string { return note(c).id }

// access gives the request its id and writes the log, without secrets: no
// headers, and of the query nothing that opens an inbox.
func (s *Server) access(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		n, r := note(c), c.Request()
		n.began, n.body = time.Now(), r.ContentLength != 0
		if n.body {
			r.Body = sentBody{r.Body}
		}
		if s.Draining() {
			// The next request comes over another connection, perhaps to another node.
			c.Response().Header().Set("Connection", "close")
		}
		if n.id = r.Header.Get("X-Request-Id"); !saneID(n.id) {
			n.id = rand.Text()
		}
		if err := next(c); err != nil {
			c.Error(err) // answered here, so that the log knows the status
		}
		status := n.status
		if c.Response().Committed {
			status = c.Response().Status
		}
		took := time.Since(n.began)
		if !n.long && c.Path() != "" {
			s.o.Metrics.Answered(methodOf(r)+" "+c.Path(), status, took)
		}
		if s.o.Trace.Wanted() {
			s.traceRequest(c, status, took)
		}
		level := slog.LevelInfo
		switch {
		case status >= 500 && !n.theirs:
			level = slog.LevelError
		case n.often && status < 400:
			level = slog.LevelDebug
		}
		if !s.o.Logger.Enabled(r.Context(), level) {
			return nil
		}
		attrs := []slog.Attr{
			slog.String("method", r.Method), slog.String("url", s.redact(r.URL)), slog.Int("status", status),
			slog.Int64("bytes", c.Response().Size), slog.Duration("took", took),
			slog.String("request", n.id), slog.String("remote", r.RemoteAddr),
		}
		if from := n.from.String(); n.from.IsValid() && !strings.HasPrefix(r.RemoteAddr, from+":") && !strings.HasPrefix(r.RemoteAddr, "["+from+"]:") {
			attrs = append(attrs, slog.String("from", from))
		}
		if n.user != "" {
			attrs = append(attrs, slog.String("user", n.user))
		}
		if n.err != nil {
			attrs = append(attrs, slog.String("reason", n.err.Error()))
		}
		s.o.Logger.LogAttrs(r.Context(), level, "request", attrs...)
		return nil
	}
}

// methodOf is the method as metrics have it: a client may call it anything.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return r.Method
	}
	return "other"
}

// saneID says whether a request id from outside may be repeated in headers and
// logs.
func saneID(id string) bool {
	if id == "" || len(id) > 64 {
		return false
	}
	return !strings.ContainsFunc(id, func(c rune) bool {
		return !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || strings.ContainsRune("._-", c))
	})
}

// A token is known by its beginning, that of a JSON object in base64.
var tokens = regexp.MustCompile(`eyJ[\w-]+\.[\w.-]*`)

// redact writes a URL for the log. What cannot be decoded is left out, as it may
// be anything; and so are tokens that are where none belongs, as a client writes them
// who has another server's address.
func (s *Server) redact(u *url.URL) string {
	shown := tokens.ReplaceAllLiteralString(u.EscapedPath(), "…")
	for _, secret := range s.secrets {
		if clean := path.Clean(u.Path); len(clean) > len(secret) && strings.EqualFold(clean[:len(secret)], secret) {
			shown = secret + "/…"
		}
	}
	if u.RawQuery == "" {
		return shown
	}
	pairs := strings.Split(u.RawQuery, "&")
	for i, pair := range pairs {
		key, _, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(key)
		switch {
		case err != nil:
			pairs[i] = "…"
		case name == "access_token" || name == "ticket" || strings.EqualFold(name, noticesToken) || strings.Contains(pair, ";"):
			pairs[i] = key + "=…"
		default:
			pairs[i] = tokens.ReplaceAllLiteralString(pair, "…")
		}
	}
	return shown + "?" + strings.Join(pairs, "&")
}

// headers are those of every answer; and every answer that is no stream must be
// taken in time, or one stalled client would hold its memory for ever.
func (s *Server) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		w := c.Response()
		h := w.Header()
		h.Set("X-Request-Id", requestID(c))
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		rc := http.NewResponseController(w.Writer)
		w.Before(func() {
			_ = rc.SetWriteDeadline(time.Now().Add(s.o.AnswerTimeout))
			if n := note(c); n.body {
				// net/http reads what is left of it before it answers.
				_ = rc.SetReadDeadline(n.began.Add(s.o.BodyTimeout))
			}
		})
		return next(c)
	}
}

// recover turns a panic into a 500 for one client, instead of the end of all.
func (s *Server) recover(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) (err error) {
		defer func() {
			r := recover()
			if r == nil {
				return
			}
			if r == http.ErrAbortHandler {
				panic(r)
			}
			s.o.Logger.Error("a handler panicked", "reason", r, "request", requestID(c), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", r)
		}()
		return next(c)
	}
}
