package page

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// Paths of the page, its forms and what it loads, see Asset.
const (
	Path       = "/inbox"
	PathAlarm  = "/inbox/alarm"  // see ServeAlarm
	PathAck    = "/inbox/ack"    // POST, see Acknowledge
	PathDo     = "/inbox/do"     // POST, see Operate
	PathRead   = "/inbox/read"   // POST, see Read
	PathLogin  = "/inbox/login"  // POST, see Login
	PathLogout = "/inbox/logout" // POST, see Logout
	PathStyle  = "/inbox/style.css"
	PathScript = "/inbox/page.js"
	PathIcon   = "/inbox/icon.svg"
)

// DefaultRows is how many alarms and notices a page lists.
const DefaultRows = 100

// CSP is the Content-Security-Policy of every answer: nothing but our own style,
// icon and script, and no way from text to script.
const CSP = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// A Visitor is who looks, as the request was authenticated.
type Visitor struct {
	transports.Client
	// Session is what CSRF tokens are bound to: the content of the session's
	// cookie. Without one the forms of the page are refused.
	Session string
}

// Options are what pages are made from. View, CSRF and CheckCSRF are required,
// Login and Logout for their forms.
type Options struct {
	View *inbox.View
	// Limits must have their defaults filled in.
	Limits transports.Limits
	// Busy and Idle are the pauses before the next refresh, after something came
	// and when nothing did; 0 is 5 s and 30 s.
	Busy, Idle time.Duration
	// Rows is the most that a page lists; 0 is DefaultRows.
	Rows int
	// Delivered, unless nil, hears how many entries were read for the page.
	Delivered func(entries int)
	// Reached, unless nil, hears what a page that was written has shown.
	Reached func(inbox.Reach)

	// Do does something to an alarm of the user's, AckAll acknowledges many; their
	// errors are the caller's own. nil: the page has no such forms.
	Do     func(ctx context.Context, c transports.Client, what transports.Command) error
	AckAll func(ctx context.Context, c transports.Client, ids []string, note string) error
	// Look gives an alarm as JSON, and what happened to it as the answer of
	// GET /v1/alarms/{id}/history, from after on (docs/protocol.md §9). Its errors
	// are the caller's own. nil: there are no pages of single alarms.
	Look func(ctx context.Context, c transports.Client, id, after string) (alarm, history []byte, err error)
	// Read marks as read what was announced up to the cursor; nil: no such form.
	Read func(ctx context.Context, user string, groups []string, upto string) error
	// SameOrigin says whether the request's Origin is the host it was sent to;
	// false without one. nil compares the hosts as they are written.
	SameOrigin func(r *http.Request) bool
	// CSRF makes the token that goes into the session's forms, and CheckCSRF says
	// whether it is one.
	CSRF      func(session string) string
	CheckCSRF func(session, token string) bool
	// Login judges a token and makes a session of it, by a cookie on w. Its errors
	// are the caller's own. Logout ends the session.
	Login  func(ctx context.Context, w http.ResponseWriter, r *http.Request, token string) error
	Logout func(ctx context.Context, w http.ResponseWriter, r *http.Request) error

	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	o.Busy, o.Idle = cmp.Or(o.Busy, 5*time.Second), cmp.Or(o.Idle, 30*time.Second)
	o.Rows = cmp.Or(o.Rows, DefaultRows)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Serve answers GET /inbox. Errors are those of transports.Once. A cursor that is
// none is no error: the page says so and starts over.
func Serve(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	o = o.withDefaults()
	p := placeOf(r)
	l, err := o.list(ctx, v.Client, p.cursor)
	if err != nil {
		return err
	}
	if err := write(w, http.StatusOK, "inbox", o.show(v, p, l)); err != nil {
		return err
	}
	if o.Reached != nil {
		o.Reached(l.reach(o.Rows))
	}
	return nil
}

// A place is where the user is on the pages: what their URLs say.
type place struct {
	cursor string
	paused bool
	// selecting: the page stands still for alarms to be ticked.
	selecting bool
	// alarm is the one that is looked at alone; empty on the list.
	alarm string
	after string // in its history
}

// placeOf is the place that a request came from, by its URL or its form.
func placeOf(r *http.Request) place {
	if f := r.PostForm; f != nil {
		return place{cursor: f.Get("cursor"), paused: f.Get("pause") != "", alarm: f.Get("at")}
	}
	q := r.URL.Query()
	p := place{cursor: transports.CursorOf(r), paused: q.Get("pause") != "", selecting: q.Get("select") != ""}
	if r.URL.Path == PathAlarm {
		p.alarm, p.after = q.Get("id"), q.Get("after")
	}
	return p
}

// url writes the place; what cannot be a cursor or an alarm is left out.
func (p place) url() string {
	q, path := url.Values{}, Path
	if _, err := inbox.ParseCursor(p.cursor); err == nil {
		q.Set("cursor", p.cursor)
	}
	if p.paused {
		q.Set("pause", "1")
	}
	if p.selecting {
		q.Set("select", "1")
	}
	if _, _, ok := inbox.ParseID(p.alarm); ok {
		path = PathAlarm
		q.Set("id", p.alarm)
		if p.after != "" {
			q.Set("after", p.after)
		}
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// headers are those of all answers of this package. The policy for referrers is
// not stricter because browsers would then send forms with Origin: null.
func headers(h http.Header) {
	h.Set("Content-Security-Policy", CSP)
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
}

// write answers with a template.
func write(w http.ResponseWriter, status int, name string, data any) error {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	h := w.Header()
	headers(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(b.Len()))
	if status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", `Bearer realm="tocsin"`)
	}
	w.WriteHeader(status)
	// A client that is gone misses nothing: its URL has the cursor.
	_, _ = w.Write(b.Bytes())
	return nil
}

// redirect sends the browser to the place, by GET, after a form.
func redirect(w http.ResponseWriter, p place) {
	h := w.Header()
	headers(h)
	h.Set("Location", p.url())
	w.WriteHeader(http.StatusSeeOther)
}
