package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A Source is where a request carried its token.
type Source string

// The sources there are. What a browser sends by itself is ambient; all others
// are explicit and come before it.
const (
	// FromHeader is `Authorization: Bearer`.
	FromHeader Source = "header"
	// FromTicket is `?ticket=`. It opens one connection; it is no token, and
	// Verify refuses it.
	FromTicket Source = "ticket"
	// FromQuery is `?access_token=`: a secret in a URL, not to be logged.
	FromQuery Source = "query"
	// FromCookie is the session cookie.
	FromCookie Source = "cookie"
)

// Ambient says whether a browser sends it by itself, also for the page of
// somebody else: what then changes anything needs [SameOrigin], and as a form
// [CheckCSRF].
func (s Source) Ambient() bool { return s == FromCookie }

const (
	queryTicket = "ticket"
	queryToken  = "access_token"
)

// sources are asked in this order (docs/protocol.md §1). The first that the
// request uses decides: a bad token in it never gives way to the next, or a
// client would act as somebody else than it said.
var sources = []struct {
	from Source
	// find says whether the request uses the source. The error is ErrInvalid for
	// use that cannot be understood.
	find func(r *http.Request) (token string, used bool, err error)
}{
	{FromHeader, bearer},
	{FromTicket, inQuery(queryTicket)},
	{FromQuery, inQuery(queryToken)},
	{FromCookie, sessionCookie},
}

// FromRequest finds the request's token, or ticket, and says where it stood.
// allowQuery admits a token in the URL; where that is switched off a request with
// one carries none, whatever cookie it has. The errors are ErrMissing and
// ErrInvalid, wrapped; with ErrInvalid from tells where the bad token stood.
func FromRequest(r *http.Request, allowQuery bool) (token string, from Source, err error) {
	for _, s := range sources {
		token, used, err := s.find(r)
		switch {
		case s.from == FromQuery && used && !allowQuery:
			return "", "", fmt.Errorf("%w: tokens in the URL are switched off", ErrMissing)
		case err != nil:
			return "", s.from, err
		case used:
			return token, s.from, nil
		}
	}
	return "", "", ErrMissing
}

// bearer reads the Authorization header (RFC 6750 §2.1).
func bearer(r *http.Request) (string, bool, error) {
	values := r.Header.Values("Authorization")
	if len(values) == 0 {
		return "", false, nil
	}
	if len(values) > 1 {
		return "", true, invalid("more than one Authorization header")
	}
	scheme, token, _ := strings.Cut(values[0], " ")
	token = strings.Trim(token, " ")
	if !strings.EqualFold(scheme, "Bearer") || !isToken(token) {
		return "", true, invalid("the Authorization header must be Bearer and a token")
	}
	return token, true, nil
}

// inQuery reads a parameter of the URL (RFC 6750 §2.3).
func inQuery(name string) func(r *http.Request) (string, bool, error) {
	return func(r *http.Request) (string, bool, error) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		values, used := query[name]
		switch {
		case err != nil && (used || names(r.URL.RawQuery, name)):
			return "", true, invalid("the query with the %s cannot be read", name)
		case !used:
			return "", false, nil
		case len(values) > 1 || !isToken(values[0]):
			return "", true, invalid("want one %s in the query", name)
		}
		return values[0], true, nil
	}
}

// names says whether the query uses the parameter in a pair that the parser
// leaves out because it cannot read it: passing over it would make the request
// somebody else's.
func names(query, name string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(c rune) bool { return c == '&' || c == ';' }) {
		key, _, _ := strings.Cut(pair, "=")
		if plain, err := url.QueryUnescape(key); err == nil && plain == name {
			return true
		}
	}
	return false
}

// isToken says whether the text can be a token of RFC 6750: ASCII without spaces
// or controls. What it means is for Verify.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
