package auth

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

func TestEveryAlgorithmVerifiesWithItsKey(t *testing.T) {
	k := ring()
	v := newVerifier(t, Options{HS256: secret, PEM: pemOf(t, k.rsa, k.ec, k.ed)})
	for _, alg := range []string{hs256, rs256, es256, edDSA} {
		for _, kid := range []string{"", "a-name-that-static-keys-do-not-have"} {
			id, err := v.Verify(t.Context(), tokenOf(t, alg, kid))
			if err != nil || id.User != "ada" {
				t.Errorf("%s with kid %q: %+v, %v", alg, kid, id, err)
			}
		}
	}
}

func TestKeysOfTheSameKindAreTriedInTurn(t *testing.T) {
	k := ring()
	v := newVerifier(t, Options{PEM: pemOf(t, k.rsa2, k.rsa)})
	if _, err := v.Verify(t.Context(), tokenOf(t, rs256, "")); err != nil {
		t.Error(err)
	}
}

func TestAForeignKeyIsRefused(t *testing.T) {
	k := ring()
	v := newVerifier(t, Options{HS256: []byte(strings.Repeat("x", 32)), PEM: pemOf(t, k.rsa2, k.ec2, k.ed2)})
	for _, alg := range []string{hs256, rs256, es256, edDSA} {
		token := tokenOf(t, alg, "")
		_, err := v.Verify(t.Context(), token)
		refused(t, token, err, ErrInvalid)
	}
}

func TestTheTokenDoesNotChooseTheAlgorithm(t *testing.T) {
	k := ring()
	der := x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)
	pkix, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	doc := pemOf(t, k.rsa)
	hs := func(key []byte) string {
		return rawToken(t, jwt.SigningMethodHS256, key, `{"alg":"HS256"}`, payload(t, nil))
	}
	unsigned := func(alg string) string {
		return b64(fmt.Appendf(nil, `{"alg":%q}`, alg)) + "." + b64([]byte(payload(t, nil))) + "."
	}
	rsaOnly := Options{PEM: doc}
	withSecret := Options{PEM: doc, HS256: secret}
	both := jwks(jwkOf(t, "r", k.rsa), jwkOf(t, "e", k.ec))
	for name, c := range map[string]struct {
		o     Options
		token string
	}{
		"alg none":                                       {rsaOnly, unsigned("none")},
		"alg None":                                       {rsaOnly, unsigned("None")},
		"alg none where there is a secret":               {withSecret, unsigned("none")},
		"alg empty":                                      {rsaOnly, unsigned("")},
		"RS256 without a signature":                      {rsaOnly, unsigned("RS256")},
		"HS256 without a signature":                      {withSecret, unsigned("HS256")},
		"HS256 signed with the public key's PEM":         {rsaOnly, hs(doc)},
		"HS256 signed with the PEM less its newline":     {rsaOnly, hs(doc[:len(doc)-1])},
		"HS256 signed with the public key's PKIX":        {rsaOnly, hs(pkix)},
		"HS256 signed with the public key's PKCS1":       {rsaOnly, hs(der)},
		"HS256 signed with the modulus":                  {rsaOnly, hs(k.rsa.N.Bytes())},
		"the same where HS256 has a secret of its own":   {withSecret, hs(doc)},
		"RS256 where only ES256 is allowed":              {Options{Algorithms: []string{es256}, JWKS: both}, tokenOf(t, rs256, "r")},
		"RS256 with the kid of an EC key":                {Options{JWKS: both}, tokenOf(t, rs256, "e")},
		"ES256 where there is only RSA":                  {rsaOnly, tokenOf(t, es256, "")},
		"PS256 with the RS256 key":                       {rsaOnly, rawToken(t, jwt.SigningMethodPS256, k.rsa, `{"alg":"PS256"}`, payload(t, nil))},
		"RS512 with the RS256 key":                       {rsaOnly, rawToken(t, jwt.SigningMethodRS512, k.rsa, `{"alg":"RS512"}`, payload(t, nil))},
		"a signature of RS512 that says RS256":           {rsaOnly, rawToken(t, jwt.SigningMethodRS512, k.rsa, `{"alg":"RS256"}`, payload(t, nil))},
		"HS512 with the secret":                          {withSecret, rawToken(t, jwt.SigningMethodHS512, secret, `{"alg":"HS512"}`, payload(t, nil))},
		"a signature of HS256 that says RS256":           {withSecret, rawToken(t, jwt.SigningMethodHS256, secret, `{"alg":"RS256"}`, payload(t, nil))},
		"the name in lower case":                         {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"rs256"}`, payload(t, nil))},
		"alg under a name that differs in case":          {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"ALG":"RS256"}`, payload(t, nil))},
		"no alg":                                         {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"typ":"JWT"}`, payload(t, nil))},
		"alg as a list":                                  {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"alg":["RS256"]}`, payload(t, nil))},
		"alg twice, the good one last":                   {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"none","alg":"RS256"}`, payload(t, nil))},
		"alg twice, spelt differently":                   {rsaOnly, rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"RS256","\u0061lg":"RS256"}`, payload(t, nil))},
		"a payload changed after signing":                {rsaOnly, swapPayload(tokenOf(t, rs256, ""), payload(t, map[string]any{"sub": "eve"}))},
		"a key without a name among several, none named": {Options{JWKS: jwks(jwkOf(t, "a", k.rsa), jwkOf(t, "b", k.rsa2))}, tokenOf(t, rs256, "")},
		"the name of another key of the same kind":       {Options{JWKS: jwks(jwkOf(t, "a", k.rsa), jwkOf(t, "b", k.rsa2))}, tokenOf(t, rs256, "b")},
		"a name that no key has":                         {Options{JWKS: jwks(jwkOf(t, "a", k.rsa))}, tokenOf(t, rs256, "c")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := newVerifier(t, c.o).Verify(t.Context(), c.token)
			refused(t, c.token, err, ErrInvalid)
		})
	}
}

func swapPayload(token, payload string) string {
	parts := strings.Split(token, ".")
	return parts[0] + "." + b64([]byte(payload)) + "." + parts[2]
}

func TestAHeaderBringsNoKey(t *testing.T) {
	k := ring()
	own := json.RawMessage(jwkOf(t, "own", k.rsa2))
	v := newVerifier(t, Options{HS256: secret, PEM: pemOf(t, k.rsa)})
	for name, member := range map[string]map[string]any{
		"jwk":                {"jwk": own},
		"jku":                {"jku": "https://attacker.example/keys"},
		"x5u":                {"x5u": "https://attacker.example/cert"},
		"x5c":                {"x5c": []string{"MIIB"}},
		"crit":               {"crit": []string{"exp"}},
		"kid as a path":      {"kid": "../../../../dev/null"},
		"kid as SQL":         {"kid": "x' UNION SELECT 'secret'; --"},
		"kid as a number":    {"kid": 1},
		"kid as an object":   {"kid": own},
		"kid null":           {"kid": nil},
		"nothing but itself": {},
	} {
		t.Run(name, func(t *testing.T) {
			member["alg"] = "RS256"
			token := rawToken(t, jwt.SigningMethodRS256, k.rsa2, asJSON(t, member), payload(t, nil))
			_, err := v.Verify(t.Context(), token)
			refused(t, token, err, ErrInvalid)
		})
	}
	t.Run("refused even beside a good signature", func(t *testing.T) {
		for _, member := range refusedHeaders {
			token := rawToken(t, jwt.SigningMethodRS256, k.rsa, fmt.Sprintf(`{"alg":"RS256",%q:"x"}`, member), payload(t, nil))
			_, err := v.Verify(t.Context(), token)
			refused(t, token, err, ErrInvalid)
			reason(t, err, member)
		}
	})
	t.Run("a thumbprint is no key and does no harm", func(t *testing.T) {
		token := rawToken(t, jwt.SigningMethodRS256, k.rsa, `{"alg":"RS256","typ":"JWT","x5t":"abc"}`, payload(t, nil))
		if _, err := v.Verify(t.Context(), token); err != nil {
			t.Error(err)
		}
	})
}

func TestMalformedTokens(t *testing.T) {
	good := tokenOf(t, hs256, "")
	p := strings.Split(good, ".")
	v := newVerifier(t, Options{HS256: secret})
	for name, c := range map[string]struct {
		token string
		want  error
	}{
		"nothing":                   {"", ErrMissing},
		"a word":                    {"token", ErrInvalid},
		"two parts":                 {p[0] + "." + p[1], ErrInvalid},
		"four parts":                {good + ".x", ErrInvalid},
		"five parts, as encrypted":  {good + ".x.y", ErrInvalid},
		"dots":                      {"..", ErrInvalid},
		"an empty header":           {"." + p[1] + "." + p[2], ErrInvalid},
		"padding":                   {good + "=", ErrInvalid},
		"a newline at the end":      {good + "\n", ErrInvalid},
		"a newline inside a part":   {p[0][:4] + "\n" + p[0][4:] + "." + p[1] + "." + p[2], ErrInvalid},
		"a space before":            {" " + good, ErrInvalid},
		"standard base64":           {p[0] + "." + p[1] + "." + strings.Repeat("+/", 21) + "A", ErrInvalid},
		"unused bits set":           {setUnusedBits(good), ErrInvalid},
		"a header that is a list":   {rawToken(t, jwt.SigningMethodHS256, secret, `["HS256"]`, payload(t, nil)), ErrInvalid},
		"a header with a tail":      {rawToken(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256"}{}`, payload(t, nil)), ErrInvalid},
		"a payload that is a list":  {hsToken(t, `["ada"]`), ErrInvalid},
		"a payload that is a token": {hsToken(t, good), ErrInvalid},
		"a payload of bad UTF-8":    {hsToken(t, "{\"sub\":\"a\xff\",\"exp\":9999999999}"), ErrInvalid},
		"longer than the limit":     {strings.Repeat("a", MaxToken+1), ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := v.Verify(t.Context(), c.token)
			refused(t, c.token, err, c.want)
		})
	}
}

// setUnusedBits changes the last character of an HS256 signature in the two bits
// that decode to nothing.
func setUnusedBits(token string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return token[:len(token)-1] + string(alphabet[last|1])
}

func TestATokenMayBeAsLongAsTheLimitAndNoLonger(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	sized := func(pad int) string {
		return hsToken(t, payload(t, map[string]any{"pad": strings.Repeat("x", pad)}))
	}
	pad := 6000
	for len(sized(pad+1)) <= MaxToken {
		pad++
	}
	if _, err := v.Verify(t.Context(), sized(pad)); err != nil {
		t.Errorf("%d bytes: %v", len(sized(pad)), err)
	}
	_, err := v.Verify(t.Context(), sized(pad+1))
	reason(t, err, "longer than 8192 bytes")
}

func TestOptionsThatCannotWork(t *testing.T) {
	k := ring()
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no key":                       {Options{}, "no key"},
		"an algorithm nobody knows":    {Options{HS256: secret, Algorithms: []string{"HS512"}}, "HS512"},
		"none":                         {Options{HS256: secret, Algorithms: []string{"none"}}, "none"},
		"a short secret":               {Options{HS256: secret[:31]}, "31 bytes: want at least 32"},
		"an empty secret":              {Options{HS256: []byte{}}, "0 bytes"},
		"a public key as the secret":   {Options{HS256: pemOf(t, k.rsa)}, "PEM"},
		"a key its algorithms exclude": {Options{PEM: pemOf(t, k.rsa), Algorithms: []string{es256}}, "RS256"},
		"a secret its algorithms bar":  {Options{HS256: secret, Algorithms: []string{rs256}}, "HS256"},
		"empty PEM":                    {Options{PEM: []byte{}}, "no block"},
		"a broken document":            {Options{JWKS: []byte(`{`)}, "JWKS"},
		"a document without keys":      {Options{JWKS: jwks()}, "no usable key"},
		"too much leeway":              {Options{HS256: secret, Leeway: 1e12}, "leeway"},
		"a negative refresh":           {Options{HS256: secret, JWKSRefresh: -1}, "negative"},
		"http to another machine":      {Options{JWKSURL: "http://id.example/keys"}, "https"},
		"http to a name like loopback": {Options{JWKSURL: "http://localhost.example/keys"}, "https"},
		"a file":                       {Options{JWKSURL: "file:///etc/keys"}, "host"},
		"a path":                       {Options{JWKSURL: "/keys"}, "host"},
		"no URL":                       {Options{JWKSURL: "http://[::1"}, "not a URL"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), c.o)
			reason(t, err, c.want)
		})
	}
}

func TestIdentityIsReadInFull(t *testing.T) {
	v := newVerifier(t, Options{HS256: secret})
	id, err := v.Verify(t.Context(), hsToken(t, payload(t, map[string]any{
		"sub": "ada@example.org", "groups": []string{"fleet-7", "*", "fleet-7"}, "scope": " publish  inbox x:y ",
		"jti": "t-1", "iat": start.Unix() - 5,
	})))
	if err != nil {
		t.Fatal(err)
	}
	if id.User != "ada@example.org" || id.TokenID != "t-1" || !id.IssuedAt.Equal(start.Add(-5e9)) || !id.Expires.Equal(start.Add(60e9)) {
		t.Errorf("got %+v", id)
	}
	if want := []string{"*", "fleet-7"}; !slices.Equal(id.Groups, want) || cap(id.Groups) != len(want) {
		t.Errorf("groups %q with room for %d, want %q with no room to append", id.Groups, cap(id.Groups), want)
	}
	if !id.Has(ScopePublish) || !id.Has(ScopeInbox) || !id.Has("x:y") || id.Has(ScopeAdmin) || id.Has("") {
		t.Errorf("scopes %q", id.Scopes)
	}
}
