package auth

import (
	"encoding/base64"
	"errors"
	"strings"
)

// MaxToken is the longest token, in bytes, that is looked at.
const MaxToken = 8 << 10

// base64url is the only spelling of a segment: no padding, and no bits left over
// that could be set at will.
var base64url = base64.RawURLEncoding.Strict()

// A token taken apart; nothing in it is trusted yet.
type token struct {
	alg, kid  string
	signed    string // header and payload, as they were signed
	payload   string
	signature []byte
}

// refusedHeaders are the members that would bring or fetch a key, and the one
// that demands extensions, of which none is understood here.
var refusedHeaders = []string{"jwk", "jku", "x5u", "x5c", "crit"}

// parseToken takes a compact token apart and reads its header. The payload stays
// encoded until the signature has been verified.
func parseToken(s string) (token, error) {
	if strings.Count(s, ".") != 2 {
		return token{}, invalid("want three parts with dots between them")
	}
	head, rest, _ := strings.Cut(s, ".")
	payload, sig, _ := strings.Cut(rest, ".")
	t := token{signed: s[:len(s)-len(sig)-1], payload: payload}

	raw, err := segment(head)
	if err != nil {
		return token{}, invalid("header: %v", err)
	}
	if t.signature, err = segment(sig); err != nil {
		return token{}, invalid("signature: %v", err)
	}
	header, err := object(raw)
	if err != nil {
		return token{}, invalid("header: %v", err)
	}
	for _, name := range refusedHeaders {
		if _, ok := header[name]; ok {
			return token{}, invalid("header: %s is not taken from a token", name)
		}
	}
	var ok bool
	if t.alg, ok = text(header["alg"]); !ok {
		return token{}, invalid("header: alg must be a string")
	}
	if kid, given := header["kid"]; given {
		if t.kid, ok = text(kid); !ok {
			return token{}, invalid("header: kid must be a string")
		}
	}
	return t, nil
}

// segment decodes one part of a token.
func segment(s string) ([]byte, error) {
	// The decoder passes over line ends, even in strict mode.
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("not base64url")
	}
	b, err := base64url.DecodeString(s)
	if err != nil {
		return nil, errors.New("not base64url")
	}
	return b, nil
}
