package auth

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"tocsin/server/inbox"
)

func anyAlgorithm(string) bool { return true }

// What a document of keys gives are usable keys, and never a secret that somebody
// has published.
func FuzzJWKS(f *testing.F) {
	good := jwks(jwkOf(f, "d", ring().ed))
	f.Add([]byte(good), true)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"`+strings.Repeat("A", 43)+`"}]}`), false)
	f.Add([]byte(`{"keys":[{"kty":"oct","k":"`+strings.Repeat("A", 43)+`"}]}`), true)
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`), true)
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"","d":"x","key_ops":["verify"],"use":"sig","alg":"none"}]}`), true)
	f.Add([]byte(`{"keys":{}}`), true)
	f.Add([]byte(`[]`), false)
	f.Fuzz(func(t *testing.T, doc []byte, published bool) {
		keys, err := parseJWKS(doc, published, anyAlgorithm, slog.New(slog.DiscardHandler))
		if err != nil {
			return
		}
		checkKeys(t, keys)
		for _, k := range keys {
			if published && k.alg == hs256 {
				t.Error("a published secret is used")
			}
		}
	})
}

// checkKeys wants as many keys as there may be, each for an algorithm.
func checkKeys(t *testing.T, keys []key) {
	t.Helper()
	if len(keys) == 0 || len(keys) > maxKeys {
		t.Errorf("%d keys", len(keys))
	}
	for _, k := range keys {
		switch k.alg {
		case hs256, rs256, es256, edDSA:
		default:
			t.Errorf("a key is for %q", k.alg)
		}
	}
}

func FuzzPEM(f *testing.F) {
	f.Add(pemOf(f, ring().ed, ring().ec, ring().rsa))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: []byte{0x30, 6, 2, 1, 1, 2, 1, 3}}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{0x30, 0}}))
	f.Add(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte{0x30, 0}}))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\ntrailing"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if keys, err := parsePEM(data); err == nil {
			checkKeys(t, keys)
		}
	})
}

// Of whatever a request carries, one explicit source decides, and what it gives
// is a token or an error of ours.
func FuzzRequest(f *testing.F) {
	f.Add("Bearer abc", "ticket=t&access_token=a", sessionName+"=c", true)
	f.Add("", "access_token=a;b", sessionName+"=c; "+sessionName+"=d", false)
	f.Add("Basic YTpi", "%zz", "x", true)
	f.Add("bearer  ", "access%5ftoken=a", sessionName+"=\"c\"", true)
	f.Fuzz(func(t *testing.T, authorization, query, cookie string, allowQuery bool) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://h/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		r.Header.Set("Cookie", cookie)
		token, from, err := FromRequest(r, allowQuery)
		switch {
		case err != nil && !errors.Is(err, ErrMissing) && !errors.Is(err, ErrInvalid):
			t.Errorf("an error that is none of ours: %v", err)
		case err == nil && !isToken(token):
			t.Errorf("%q is taken for a token, from %s", token, from)
		case err == nil && authorization != "" && from != FromHeader:
			t.Errorf("the header is there, and it takes %s", from)
		case err == nil && from == FromQuery && !allowQuery:
			t.Error("a token in the URL is taken where that is switched off")
		}
	})
}

// checkIdentity wants what everything behind relies on.
func checkIdentity(t *testing.T, id Identity) {
	t.Helper()
	if id.User == "" || !utf8.ValidString(id.User) || utf8.RuneCountInString(id.User) > MaxUser || len(id.Groups) > MaxGroups || len(id.Attributes) > maxAttributes {
		t.Errorf("accepted %+v", id)
	}
}

// What a callback answers is somebody, or an error that says whose fault it is.
func FuzzCallback(f *testing.F) {
	f.Add([]byte(`{"uid":1001}`))
	f.Add([]byte(`{"uid":"ada","groups":["a"],"expires_in":3.5,"attributes":{"a":"b"}}`))
	f.Add([]byte(`{"uid":null,"expires_in":-1}`))
	f.Add([]byte(`{"uid":9223372036854775808}`))
	f.Add([]byte(`{"uid":1e3,"uid":2}`))
	f.Fuzz(func(t *testing.T, answer []byte) {
		c := &Callback{now: func() time.Time { return start }}
		id, err := c.read(answer)
		if err != nil {
			if !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) && !errors.Is(err, ErrUnavailable) {
				t.Errorf("an error that is none of ours: %v", err)
			}
			return
		}
		checkIdentity(t, id)
		if !id.Expires.IsZero() && !id.Expires.After(start) {
			t.Errorf("it ends at %v already", id.Expires)
		}
	})
}

// A revocation is about one token or one user, or an error that names the field.
func FuzzRevocation(f *testing.F) {
	f.Add([]byte(`{"jti":"a","before":"2026-11-21T02:00:00Z"}`))
	f.Add([]byte(`{"sub":"ada"}`))
	f.Add([]byte(`{"sub":"ada","jti":"a"}`))
	f.Add([]byte(`{"sub":"\u0000","before":"9999-12-31T23:59:59Z"}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var r Revocation
		if err := json.Unmarshal(body, &r); err != nil {
			return
		}
		n, err := r.normal(start)
		var field *inbox.FieldError
		switch {
		case err != nil && !errors.As(err, &field):
			t.Errorf("an error that names no field: %v", err)
		case err == nil && (n.TokenID == "") == (n.User == ""):
			t.Errorf("%s takes back %+v", body, n)
		}
	})
}

// Texts that are no ticket are not asked for, and what a store has kept is
// somebody's or refused.
func FuzzRedeem(f *testing.F) {
	f.Add("ABCDEFGHIJKLMNOPQRSTUVWXYZ", []byte(`{"user":"ada","groups":["a"],"scope":"inbox","expires":"2999-01-01T00:00:00Z"}`))
	f.Add("ABCDEFGHIJKLMNOPQRSTUVWXYZ", []byte(`{"user":"","expires":"x"}`))
	f.Add("../../x", []byte(`null`))
	f.Fuzz(func(t *testing.T, ticket string, kept []byte) {
		store := newMemory(0)
		store.set(ticketKey(ticket), kept)
		id, err := NewTickets(store, TicketOptions{Now: func() time.Time { return start }}).Redeem(t.Context(), ticket)
		switch {
		case err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired):
			t.Errorf("an error that is none of ours: %v", err)
		case err == nil && (id.User == "" || !isTicket(ticket)):
			t.Errorf("%q is redeemed for %+v", ticket, id)
		}
	})
}

// The codes of forms fit their session alone.
func FuzzCSRF(f *testing.F) {
	f.Add("session", "token")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, session, token string) {
		if CheckCSRF(session, token) != (session != "" && token == CSRFToken(session)) {
			t.Errorf("%q is the code of %q", token, session)
		}
		if _, err := base64.RawURLEncoding.DecodeString(CSRFToken(session)); err != nil {
			t.Error(err)
		}
	})
}
