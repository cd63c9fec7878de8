package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// sessionName is the cookie that holds a token itself, so a session needs no
// memory on any node and ends with its token.
const sessionName = "tocsin_session"

// MaxSession is the longest token, in bytes, that fits the session cookie:
// browsers drop a cookie beyond 4096 bytes without a word, some of them counting
// its attributes.
const MaxSession = 4000

// SessionCookie makes the cookie that keeps the token, of at most MaxSession
// bytes, until expires; secure keeps it to https. Scripts cannot read it, and
// other sites' forms and frames do not send it.
func SessionCookie(token string, expires time.Time, secure bool) *http.Cookie {
	return &http.Cookie{
		Name: sessionName, Value: token, Path: "/", Expires: expires,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}
}

// ClearSessionCookie makes the cookie that removes the session's; secure is that of
// SessionCookie.
func ClearSessionCookie(secure bool) *http.Cookie {
	return &http.Cookie{
		Name: sessionName, Path: "/", MaxAge: -1,
		HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: secure,
	}
}

// SessionToken returns the token in the request's session cookie, empty if there
// is no such cookie or more than one. It is not verified.
func SessionToken(r *http.Request) string {
	token, _, err := sessionCookie(r)
	if err != nil {
		return ""
	}
	return token
}

// sessionCookie reads the cookie. The parser of net/http would leave out what it
// cannot read, as if it had not been sent.
func sessionCookie(r *http.Request) (token string, used bool, err error) {
	for _, line := range r.Header.Values("Cookie") {
		for pair := range strings.SplitSeq(line, ";") {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			if name != sessionName {
				continue
			}
			// Two can only be the work of another site under the same domain.
			if used || !isToken(value) {
				return "", true, invalid("want one %s cookie with a token", sessionName)
			}
			token, used = value, true
		}
	}
	return token, used, nil
}

// csrfLabel keeps these codes apart from whatever else may one day be made with
// the same key.
const csrfLabel = "tocsin csrf 1"

// CSRFToken returns what a form of the session must carry: only who knows the
// session can make it, and every node makes the same.
func CSRFToken(session string) string {
	mac := hmac.New(sha256.New, []byte(session))
	mac.Write([]byte(csrfLabel))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// CheckCSRF says whether the form's token is the session's, in constant time. No
// token is that of an empty session.
func CheckCSRF(session, token string) bool {
	return session != "" && hmac.Equal([]byte(CSRFToken(session)), []byte(token))
}

// SameOrigin says whether the request names as its Origin the host it was sent
// to; false without one. The schemes are compared where TLS ends here: behind a
// proxy that ends it the server does not know the scheme its pages see.
func SameOrigin(r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) != 1 {
		return false
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
		return false
	}
	if u.Scheme != "https" && (u.Scheme != "http" || r.TLS != nil) {
		return false
	}
	return strings.EqualFold(hostPort(u.Host, u.Scheme), hostPort(r.Host, u.Scheme))
}

// hostPort adds the scheme's port if none is given.
func hostPort(host, scheme string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	port := "443"
	if scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}
