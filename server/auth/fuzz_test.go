package auth

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzVerify takes the input once as a token and once as the payload of a well
// signed one, so that the claims are reached, too.
func FuzzVerify(f *testing.F) {
	good := payload(f, nil)
	f.Add(hsToken(f, good))
	f.Add(tokenOf(f, edDSA, "d"))
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(good)) + ".")
	f.Add(good)
	f.Add(`{"sub":"ada","sub":"eve","exp":1e10,"groups":["a","*"],"scope":"inbox admin","jti":"x"}`)
	f.Add(`{"sub":"\ud800","exp":1795226400.5,"nbf":-1,"iat":null}`)
	f.Add("..")
	v, err := New(f.Context(), Options{HS256: secret, JWKS: jwks(jwkOf(f, "d", ring().ed)), Now: func() time.Time { return start }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, in string) {
		for _, token := range []string{in, rawToken(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256"}`, in)} {
			id, err := v.Verify(t.Context(), token)
			if err != nil {
				if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrMissing) {
					t.Fatalf("an error that is none of ours: %v", err)
				}
				continue
			}
			if id.User == "" || utf8.RuneCountInString(id.User) > MaxUser || strings.ContainsAny(id.User, "\x00\n\x7f") ||
				len(id.Groups) > MaxGroups || !start.Before(id.Expires) {
				t.Fatalf("accepted %+v", id)
			}
			again, err := v.Verify(t.Context(), token)
			if err != nil || again.User != id.User {
				t.Fatalf("then %+v, %v; before %+v", again, err, id)
			}
		}
	})
}
