package auth

import (
	"strings"
	"testing"
	"time"
)

// many is a list of n groups.
func many(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "g" + strings.Repeat("x", i%40)
	}
	return list
}

func TestClaimsThatAreRefused(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	type m = map[string]any
	for name, c := range map[string]struct {
		change m
		want   string
	}{
		"sub missing":                   {m{"sub": nil}, "sub must be a non-empty string"},
		"sub empty":                     {m{"sub": ""}, "sub must be a non-empty string"},
		"sub a number":                  {m{"sub": 7}, "sub must be a non-empty string"},
		"sub true":                      {m{"sub": true}, "sub must be a non-empty string"},
		"sub an object":                 {m{"sub": m{"name": "ada"}}, "sub must be a non-empty string"},
		"sub a list":                    {m{"sub": []string{"ada"}}, "sub must be a non-empty string"},
		"sub in another case":           {m{"sub": nil, "Sub": "ada"}, "sub must be a non-empty string"},
		"sub of 129 characters":         {m{"sub": strings.Repeat("é", 129)}, "longer than 128"},
		"sub with a newline":            {m{"sub": "ada\n"}, "control"},
		"sub with a NUL":                {m{"sub": "ada\x00"}, "control"},
		"sub with a C1 control":         {m{"sub": "ada\u0085"}, "control"},
		"sub with a replaced character": {m{"sub": "ada\ufffd"}, "UTF-8"},
		"exp missing":                   {m{"exp": nil}, "exp is missing"},
		"exp a string":                  {m{"exp": "9999999999"}, "exp must be a number"},
		"exp negative":                  {m{"exp": -1}, "exp must be a number"},
		"exp beyond all time":           {m{"exp": 1e300}, "exp must be a number"},
		"exp in milliseconds":           {m{"exp": start.UnixMilli()}, "exp must be a number"},
		"nbf a string":                  {m{"nbf": "0"}, "nbf must be a number"},
		"nbf in the future":             {m{"nbf": start.Unix() + 1}, "future"},
		"iat a list":                    {m{"iat": []int{1}}, "iat must be a number"},
		"iat in the future":             {m{"iat": start.Unix() + 1}, "future"},
		"groups one string":             {m{"groups": "fleet-7"}, "groups must be a list of strings, also for a single one"},
		"groups an object":              {m{"groups": m{"fleet-7": true}}, "groups must be a list of strings"},
		"groups of numbers":             {m{"groups": []any{"a", 7}}, "groups must be a list of strings"},
		"groups with an empty one":      {m{"groups": []string{"a", ""}}, "groups entry 1 must be a non-empty string"},
		"groups with a long one":        {m{"groups": []string{strings.Repeat("g", 65)}}, "longer than 64"},
		"groups with a control":         {m{"groups": []string{"a\tb"}}, "control"},
		"groups, 65 of them":            {m{"groups": many(65)}, "more than 64"},
		"scope a list":                  {m{"scope": []string{"inbox"}}, "scope must be a string"},
		"jti a number":                  {m{"jti": 7}, "jti must be a string"},
		"jti too long":                  {m{"jti": strings.Repeat("j", 257)}, "longer than 256"},
	} {
		t.Run(name, func(t *testing.T) {
			token := hsToken(t, payload(t, c.change))
			_, err := v.Verify(t.Context(), token)
			refused(t, token, err, ErrInvalid)
			reason(t, err, c.want)
		})
	}
}

func TestPayloadsThatTwoReadersWouldReadDifferently(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	for name, doc := range map[string]string{
		"sub twice":                     `{"sub":"ada","sub":"eve","exp":9999999999}`,
		"sub twice, the same":           `{"sub":"ada","sub":"ada","exp":9999999999}`,
		"sub twice, spelt differently":  `{"sub":"ada","\u0073ub":"eve","exp":9999999999}`,
		"an unknown claim twice":        `{"sub":"ada","exp":9999999999,"x":1,"x":1}`,
		"twice inside an object":        `{"sub":"ada","exp":9999999999,"x":{"y":1,"y":2}}`,
		"twice inside a list":           `{"sub":"ada","exp":9999999999,"x":[[{"y":1,"y":2}]]}`,
		"half a surrogate pair":         `{"sub":"ada\ud800","exp":9999999999}`,
		"a comment":                     `{"sub":"ada","exp":9999999999/*x*/}`,
		"a comma at the end":            `{"sub":"ada","exp":9999999999,}`,
		"a byte order mark":             "\ufeff" + `{"sub":"ada","exp":9999999999}`,
		"a second object":               `{"sub":"ada","exp":9999999999}{"sub":"eve"}`,
		"deeper than anybody would":     `{"sub":"ada","exp":9999999999,"x":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`,
		"as deep as the token is large": `{"x":` + strings.Repeat("[", 2500) + strings.Repeat("]", 2500) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			token := hsToken(t, doc)
			_, err := v.Verify(t.Context(), token)
			refused(t, token, err, ErrInvalid)
		})
	}
}

func TestClaimsThatAreAccepted(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	type m = map[string]any
	for name, change := range map[string]m{
		"sub of 128 characters":     {"sub": strings.Repeat("é", 128)},
		"sub with a space and a /":  {"sub": "Ada L/ä.>*"},
		"groups empty":              {"groups": []string{}},
		"groups, 64 of 64":          {"groups": append(many(63), strings.Repeat("g", 64))},
		"jti empty":                 {"jti": ""},
		"jti of 256 characters":     {"jti": strings.Repeat("j", 256)},
		"nbf now":                   {"nbf": start.Unix()},
		"iat now":                   {"iat": start.Unix()},
		"exp with a fraction":       {"exp": float64(start.Unix()) + 0.5},
		"exp with an exponent":      {"exp": 2.5e9},
		"an audience nobody wants":  {"aud": 7},
		"claims nobody knows":       {"x": m{"y": []any{1, "2", nil, m{}}}},
		"a claim that differs only": {"SUB": "eve"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := v.Verify(t.Context(), hsToken(t, payload(t, change))); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestScopeIsInboxByDefaultAndNothingWhenEmpty(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	for _, c := range []struct {
		scope any
		inbox bool
	}{{nil, true}, {"inbox", true}, {"", false}, {"publish", false}, {"admin", false}, {"Inbox", false}} {
		id, err := v.Verify(t.Context(), hsToken(t, payload(t, map[string]any{"scope": c.scope})))
		if err != nil || id.Has(ScopeInbox) != c.inbox {
			t.Errorf("scope %v: %q, %v", c.scope, id.Scopes, err)
		}
	}
}

func TestATokenEndsExactlyAtExpPlusLeeway(t *testing.T) {
	exp := start.Add(time.Minute)
	token := hsToken(t, payload(t, nil))
	for _, c := range []struct {
		leeway time.Duration
		at     time.Time
		want   error
	}{
		{-1, exp.Add(-1), nil},
		{-1, exp, ErrExpired},
		{-1, exp.Add(time.Second), ErrExpired},
		{0, exp.Add(5*time.Second - 1), nil},
		{0, exp.Add(5 * time.Second), ErrExpired},
		{0, exp.Add(6 * time.Second), ErrExpired},
		{time.Minute, exp.Add(time.Minute - 1), nil},
		{time.Minute, exp.Add(time.Minute), ErrExpired},
		{time.Minute, exp.Add(time.Minute + time.Second), ErrExpired},
	} {
		now := start
		v, err := New(t.Context(), Options{HS256: secret, Leeway: c.leeway, Now: func() time.Time { return now }})
		if err != nil {
			t.Fatal(err)
		}
		// Once with nothing remembered, once with the token remembered.
		for _, first := range []time.Time{c.at, start} {
			now = first
			id, _ := v.Verify(t.Context(), token)
			now = c.at
			_, err := v.Verify(t.Context(), token)
			if c.want == nil && err != nil {
				t.Errorf("leeway %v, %v after exp: %v", c.leeway, c.at.Sub(exp), err)
			} else if c.want != nil {
				refused(t, token, err, c.want)
				if first.Equal(start) && c.at.Before(id.Expires) {
					t.Errorf("leeway %v: refused at %v, before Expires %v", c.leeway, c.at, id.Expires)
				}
			}
		}
	}
}

func TestATokenBeginsAtNbfAndIatLessLeeway(t *testing.T) {
	for _, claim := range []string{"nbf", "iat"} {
		token := hsToken(t, payload(t, map[string]any{claim: start.Unix() + 10}))
		for _, c := range []struct {
			at time.Duration
			ok bool
		}{{5*time.Second - 1, false}, {5 * time.Second, true}} {
			v, err := New(t.Context(), Options{HS256: secret, Now: func() time.Time { return start.Add(c.at) }})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), token); (err == nil) != c.ok {
				t.Errorf("%s, %v after start: %v", claim, c.at, err)
			}
		}
	}
}

func TestIssuerAndAudienceAreCheckedWhereConfigured(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret, Audience: "tocsin", Issuer: "https://id.example"})
	type m = map[string]any
	for name, c := range map[string]struct {
		change m
		ok     bool
	}{
		"both":                {m{"iss": "https://id.example", "aud": "tocsin"}, true},
		"aud in a list":       {m{"iss": "https://id.example", "aud": []any{"other", "tocsin"}}, true},
		"aud missing":         {m{"iss": "https://id.example"}, false},
		"aud of another":      {m{"iss": "https://id.example", "aud": "other"}, false},
		"aud a list of lists": {m{"iss": "https://id.example", "aud": []any{[]string{"tocsin"}}}, false},
		"aud an object":       {m{"iss": "https://id.example", "aud": m{"tocsin": true}}, false},
		"iss missing":         {m{"aud": "tocsin"}, false},
		"iss of another":      {m{"iss": "https://id.example/", "aud": "tocsin"}, false},
		"iss a list":          {m{"iss": []string{"https://id.example"}, "aud": "tocsin"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			token := hsToken(t, payload(t, c.change))
			_, err := v.Verify(t.Context(), token)
			if c.ok && err != nil {
				t.Error(err)
			} else if !c.ok {
				refused(t, token, err, ErrInvalid)
			}
		})
	}
}
