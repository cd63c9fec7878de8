package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"tocsin/transports"
)

// Errors of forms. Both are for a 403.
var (
	// ErrOrigin: the form was not sent from a page of ours.
	ErrOrigin = errors.New("the form does not come from this site")
	// ErrCSRF: the form does not belong to this session.
	ErrCSRF = errors.New("the form does not belong to this session: reload the page and try again")
)

// maxForm bounds a form, in bytes: a token is the largest thing in one.
const maxForm = 64 << 10

// Acknowledge answers POST /inbox/ack: id, once or many times, note and the place
// to return to. With all, shown has the ids instead. Errors: ErrOrigin, ErrCSRF, a
// transports.ParamError, those of Options.Do and Options.AckAll.
func Acknowledge(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	p, err := o.form(w, r, v)
	if err != nil {
		return err
	}
	ids, note := r.PostForm["id"], strings.TrimSpace(r.PostForm.Get("note"))
	if r.PostForm.Has("all") {
		ids = r.PostForm["shown"]
	}
	switch {
	case len(ids) == 0 || ids[0] == "" || o.Do == nil:
		return &transports.ParamError{Param: "id", Detail: "want the id of an alarm"}
	case len(ids) == 1:
		err = o.Do(ctx, v.Client, transports.Command{Op: "ack", Alarm: ids[0], Note: note})
	case o.AckAll == nil:
		return &transports.ParamError{Param: "id", Detail: "want the id of one alarm"}
	default:
		err = o.AckAll(ctx, v.Client, ids, note)
	}
	if err != nil {
		return err
	}
	redirect(w, p)
	return nil
}

// A shelf is a time for which an alarm may be set aside here.
type shelf struct {
	Value, Words string
	time         time.Duration
}

var shelves = [...]shelf{{"1h", "1 hour", time.Hour}, {"8h", "8 hours", 8 * time.Hour}, {"24h", "24 hours", 24 * time.Hour}}

// Operate answers POST /inbox/do: op, one of unack, clear, shelve, unshelve and
// comment, id, note, for, one of 1h, 8h and 24h, and the place to return to.
// Errors: ErrOrigin, ErrCSRF, a transports.ParamError, those of Options.Do.
func Operate(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	o = o.withDefaults()
	p, err := o.form(w, r, v)
	if err != nil {
		return err
	}
	f := r.PostForm
	what := transports.Command{Op: f.Get("op"), Alarm: f.Get("id"), Note: strings.TrimSpace(f.Get("note"))}
	if what.Alarm == "" || o.Do == nil {
		return &transports.ParamError{Param: "id", Detail: "want the id of an alarm"}
	}
	if what.Op == "shelve" {
		i := slices.IndexFunc(shelves[:], func(s shelf) bool { return s.Value == f.Get("for") })
		if i < 0 {
			return &transports.ParamError{Param: "for", Detail: "want 1h, 8h or 24h"}
		}
		what.Until = o.Now().Add(shelves[i].time)
	}
	if err := o.Do(ctx, v.Client, what); err != nil {
		return err
	}
	redirect(w, p)
	return nil
}

// Read answers POST /inbox/read: everything that the page showed is read.
// Errors: ErrOrigin, ErrCSRF, a transports.ParamError, those of Options.Read.
func Read(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	p, err := o.form(w, r, v)
	if err != nil {
		return err
	}
	if p.cursor == "" || o.Read == nil {
		return &transports.ParamError{Param: "cursor", Detail: "want the cursor of the page that was read"}
	}
	if err := o.Read(ctx, v.User, v.Groups, p.cursor); err != nil {
		return err
	}
	redirect(w, p)
	return nil
}

// Login answers POST /inbox/login: the token, and the place to go on from. There
// is no session yet that a CSRF token could belong to, so the origin decides.
// Errors: ErrOrigin, a transports.ParamError, those of Options.Login.
func Login(ctx context.Context, w http.ResponseWriter, r *http.Request, o Options) error {
	p, err := o.parseForm(w, r)
	if err != nil {
		return err
	}
	token := strings.TrimSpace(r.PostForm.Get("token"))
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	if err := o.Login(ctx, w, r, token); err != nil {
		return err
	}
	redirect(w, p)
	return nil
}

// Logout answers POST /inbox/logout. Errors: ErrOrigin, ErrCSRF, a
// transports.ParamError, those of Options.Logout.
func Logout(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	if _, err := o.form(w, r, v); err != nil {
		return err
	}
	if err := o.Logout(ctx, w, r); err != nil {
		return err
	}
	redirect(w, place{})
	return nil
}

// form reads a form that changes something, and the place that it was sent from.
func (o *Options) form(w http.ResponseWriter, r *http.Request, v Visitor) (place, error) {
	p, err := o.parseForm(w, r)
	if err != nil {
		return p, err
	}
	if !o.CheckCSRF(v.Session, r.PostForm.Get("csrf")) {
		return p, ErrCSRF
	}
	return p, nil
}

func (o *Options) parseForm(w http.ResponseWriter, r *http.Request) (place, error) {
	if !o.sameOrigin(r) {
		return place{}, ErrOrigin
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return place{}, err
		}
		return place{}, &transports.ParamError{Param: "body", Detail: "want a form: " + err.Error()}
	}
	return placeOf(r), nil
}

// sameOrigin says whether a form was sent from a page of this host. Text browsers
// do not know Origin, but say as much in Referer. Without either nothing vouches
// for the form.
func (o *Options) sameOrigin(r *http.Request) bool {
	if referer := r.Header.Values("Referer"); len(r.Header.Values("Origin")) == 0 && len(referer) == 1 {
		u, err := url.Parse(referer[0])
		if err != nil {
			return false
		}
		by := *r
		by.Header = http.Header{"Origin": {u.Scheme + "://" + u.Host}}
		r = &by
	}
	if o.SameOrigin == nil {
		return sameHost(r)
	}
	return o.SameOrigin(r)
}

// sameHost is the plainest SameOrigin.
func sameHost(r *http.Request) bool {
	origin := r.Header.Values("Origin")
	if len(origin) != 1 {
		return false
	}
	scheme, host, _ := strings.Cut(origin[0], "://")
	return (scheme == "http" || scheme == "https") && host != "" && strings.EqualFold(host, r.Host)
}
