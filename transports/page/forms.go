package page

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"

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

// Acknowledge answers POST /inbox/ack: id, note and the place to return to.
// Errors: ErrOrigin, ErrCSRF, a transports.ParamError, those of Options.Ack.
func Acknowledge(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	p, err := o.form(w, r, v)
	if err != nil {
		return err
	}
	id := r.PostForm.Get("id")
	if id == "" || o.Ack == nil {
		return &transports.ParamError{Param: "id", Detail: "want the id of an alarm"}
	}
	if err := o.Ack(ctx, v.User, v.Groups, id, strings.TrimSpace(r.PostForm.Get("note"))); err != nil {
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
	return place{cursor: r.PostForm.Get("cursor"), paused: r.PostForm.Get("pause") != ""}, nil
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
