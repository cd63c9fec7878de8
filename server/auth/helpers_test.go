package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var (
	start  = time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	secret = []byte("a secret of more than thirty-two bytes")
)

// keyring is one private key of each kind, and a second one of each.
type keyring struct {
	rsa, rsa2 *rsa.PrivateKey
	ec, ec2   *ecdsa.PrivateKey
	ed, ed2   ed25519.PrivateKey
}

var ring = sync.OnceValue(func() keyring {
	var k keyring
	var errs [6]error
	k.rsa, errs[0] = rsa.GenerateKey(rand.Reader, 2048)
	k.rsa2, errs[1] = rsa.GenerateKey(rand.Reader, 2048)
	k.ec, errs[2] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.ec2, errs[3] = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	_, k.ed, errs[4] = ed25519.GenerateKey(rand.Reader)
	_, k.ed2, errs[5] = ed25519.GenerateKey(rand.Reader)
	if err := errors.Join(errs[:]...); err != nil {
		panic(err)
	}
	return k
})

// pemOf writes the public half of the keys, PKIX, one block each.
func pemOf(t testing.TB, keys ...crypto.Signer) []byte {
	t.Helper()
	var doc []byte
	for _, k := range keys {
		der, err := x509.MarshalPKIXPublicKey(k.Public())
		if err != nil {
			t.Fatal(err)
		}
		doc = append(doc, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})...)
	}
	return doc
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf writes the public half of a key, with more members or other ones.
func jwkOf(t testing.TB, kid string, k crypto.Signer, more ...string) string {
	t.Helper()
	m := map[string]any{}
	switch pub := k.Public().(type) {
	case *rsa.PublicKey:
		m = map[string]any{"kty": "RSA", "n": b64(pub.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		m = map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		m = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(pub)}
	}
	if kid != "" {
		m["kid"] = kid
	}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return asJSON(t, m)
}

func jwks(keys ...string) []byte {
	return []byte(`{"keys":[` + strings.Join(keys, ",") + `]}`)
}

func asJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// rawToken signs whatever it is given.
func rawToken(t testing.TB, method jwt.SigningMethod, signer any, header, payload string) string {
	t.Helper()
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	sig, err := method.Sign(signed, signer)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + b64(sig)
}

// payload is a good one at start, with some members replaced; nil leaves one out.
func payload(t testing.TB, change map[string]any) string {
	t.Helper()
	m := map[string]any{"sub": "ada", "exp": start.Unix() + 60}
	maps.Copy(m, change)
	maps.DeleteFunc(m, func(_ string, v any) bool { return v == nil })
	return asJSON(t, m)
}

// hsToken signs a payload with the secret.
func hsToken(t testing.TB, payload string) string {
	t.Helper()
	return rawToken(t, jwt.SigningMethodHS256, secret, `{"alg":"HS256"}`, payload)
}

// signers gives, for each algorithm, how a token is signed.
func signers() map[string]struct {
	method jwt.SigningMethod
	key    any
} {
	k := ring()
	return map[string]struct {
		method jwt.SigningMethod
		key    any
	}{
		hs256: {jwt.SigningMethodHS256, secret},
		rs256: {jwt.SigningMethodRS256, k.rsa},
		es256: {jwt.SigningMethodES256, k.ec},
		edDSA: {jwt.SigningMethodEdDSA, k.ed},
	}
}

// tokenOf is a good token of the algorithm; kid may be empty.
func tokenOf(t testing.TB, alg, kid string) string {
	t.Helper()
	header := fmt.Sprintf(`{"alg":%q}`, alg)
	if kid != "" {
		header = fmt.Sprintf(`{"alg":%q,"kid":%q}`, alg, kid)
	}
	s := signers()[alg]
	return rawToken(t, s.method, s.key, header, payload(t, nil))
}

// newVerifier makes one whose clock stands at start, without leeway, unless told
// otherwise.
func newVerifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	if o.Now == nil {
		o.Now = func() time.Time { return start }
	}
	if o.Leeway == 0 {
		o.Leeway = -1
	}
	v, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// refused fails unless err is the sentinel and tells nothing of the token.
func refused(t *testing.T, token string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got %v, want %v", err, want)
	}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error contains a part of the token: %v", err)
		}
	}
}

// reason fails unless the error's text contains the words.
func reason(t *testing.T, err error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("the reason is %v, want it to contain %q", err, words)
	}
}
