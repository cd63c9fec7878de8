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
	// FromQuery is `?access_token=`: a secret in a URL, not to be logged.
	FromQuery Source = "query"
)

const queryToken = "access_token"

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
	{FromQuery, accessToken},
}

// FromRequest finds the request's token and says where it stood. allowQuery
// admits it in the URL; where that is switched off the parameter is like any
// unknown one. The errors are ErrMissing and ErrInvalid, wrapped; with ErrInvalid
// from tells where the bad token stood.
func FromRequest(r *http.Request, allowQuery bool) (token string, from Source, err error) {
	for _, s := range sources {
		if s.from == FromQuery && !allowQuery {
			continue
		}
		token, used, err := s.find(r)
		if err != nil {
			return "", s.from, err
		}
		if used {
			return token, s.from, nil
		}
	}
	if !allowQuery && strings.Contains(r.URL.RawQuery, queryToken+"=") {
		return "", "", fmt.Errorf("%w: tokens in the URL are switched off", ErrMissing)
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

// accessToken reads ?access_token= (RFC 6750 §2.3).
func accessToken(r *http.Request) (string, bool, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	values, used := query[queryToken]
	// A pair that cannot be read is left out by the parser; if it is the token,
	// passing over it would make the request somebody else's.
	named := used || strings.Contains(r.URL.RawQuery, queryToken)
	switch {
	case err != nil && named:
		return "", true, invalid("the query with the access_token cannot be read")
	case !used:
		return "", false, nil
	case len(values) > 1 || !isToken(values[0]):
		return "", true, invalid("want one access_token in the query")
	}
	return values[0], true, nil
}

// isToken says whether the text can be a token of RFC 6750: ASCII without spaces
// or controls. What it means is for Verify.
func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
