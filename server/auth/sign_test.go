package auth

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestASignedTokenSaysWhatWasAsked(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	now := start.Add(700 * time.Millisecond)
	token, err := Sign(secret, Issue{User: "ada", Groups: []string{"b", "a", "b"}, Scope: "publish  admin", TTL: time.Hour, ID: "t-1"}, now)
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	if id.User != "ada" || !slices.Equal(id.Groups, []string{"a", "b"}) || id.Scopes.String() != "admin publish" || id.TokenID != "t-1" ||
		!id.IssuedAt.Equal(start) || !id.Expires.Equal(start.Add(time.Hour)) {
		t.Errorf("got %+v", id)
	}
	token, err = Sign(secret, Issue{User: "ada", TTL: time.Second}, now)
	if err != nil {
		t.Fatal(err)
	}
	if id, err = v.Verify(t.Context(), token); err != nil || !id.Has(ScopeInbox) || len(id.Groups) != 0 || id.TokenID != "" {
		t.Errorf("got %+v, %v", id, err)
	}
}

func TestATokenThatWouldBeRefusedIsNotSigned(t *testing.T) {
	for name, c := range map[string]struct {
		secret []byte
		i      Issue
		want   string
	}{
		"a short secret":    {secret[:31], Issue{User: "ada", TTL: time.Hour}, "31 bytes: want at least 32"},
		"no user":           {secret, Issue{TTL: time.Hour}, "user must be a non-empty string"},
		"a long user":       {secret, Issue{User: strings.Repeat("x", 129), TTL: time.Hour}, "longer than 128"},
		"bad UTF-8":         {secret, Issue{User: "a\xff", TTL: time.Hour}, "UTF-8"},
		"an empty group":    {secret, Issue{User: "ada", Groups: []string{""}, TTL: time.Hour}, "groups: entry 0"},
		"too many groups":   {secret, Issue{User: "ada", Groups: many(65), TTL: time.Hour}, "more than 64"},
		"no time":           {secret, Issue{User: "ada"}, "at least a second"},
		"a long id":         {secret, Issue{User: "ada", TTL: time.Hour, ID: strings.Repeat("x", 257)}, "longer than 256"},
		"a scope too large": {secret, Issue{User: "ada", TTL: time.Hour, Scope: strings.Repeat("x", MaxToken)}, "longer than 8192 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Sign(c.secret, c.i, start)
			reason(t, err, c.want)
		})
	}
}
