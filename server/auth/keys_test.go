package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"strings"
	"testing"
	"time"
)

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// must is for what cannot fail with the keys of the tests.
func must[T any](t testing.TB, v T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func certificate(t testing.TB) []byte {
	k := ring()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "id"}, NotAfter: time.Unix(1, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, k.ec.Public(), k.ec)
	return block("CERTIFICATE", must(t, der, err))
}

func TestPEMInEveryFormThatHoldsAPublicKey(t *testing.T) {
	k := ring()
	for name, c := range map[string]struct {
		doc []byte
		alg string
	}{
		"PKIX":                     {pemOf(t, k.rsa), rs256},
		"PKCS1":                    {block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)), rs256},
		"a certificate":            {certificate(t), es256},
		"text before, as openssl":  {append([]byte("Public-Key: (256 bit)\n"), pemOf(t, k.ec)...), es256},
		"several, of several kind": {pemOf(t, k.rsa, k.ed, k.ec), edDSA},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := newVerifier(t, Options{PEM: c.doc}).Verify(t.Context(), tokenOf(t, c.alg, "")); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPEMThatIsRefused(t *testing.T) {
	k := ring()
	small := must(t, big.NewInt(1), nil)
	small.Lsh(small, 1023).SetBit(small, 0, 1)
	smallDER, err := x509.MarshalPKIXPublicKey(&rsa.PublicKey{N: small, E: 65537})
	must(t, smallDER, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(t, p384, err)
	private, err := x509.MarshalPKCS8PrivateKey(k.ed)
	must(t, private, err)
	for name, c := range map[string]struct {
		doc  []byte
		want string
	}{
		"a small RSA key":       {block("PUBLIC KEY", smallDER), "1024 bits"},
		"a curve not in use":    {pemOf(t, p384), "P-256"},
		"a private key":         {block("PRIVATE KEY", private), "private key"},
		"an old private key":    {block("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.rsa)), "private key"},
		"a request":             {block("CERTIFICATE REQUEST", []byte{1}), "unsupported type"},
		"a broken block":        {block("PUBLIC KEY", []byte{1, 2, 3}), "decode the key"},
		"no block":              {[]byte("keys"), "no block"},
		"something at the end":  {append(pemOf(t, k.ec), "-----BEGIN PUBLIC"...), "something else"},
		"the second one broken": {append(pemOf(t, k.ec), block("PUBLIC KEY", []byte{1})...), "block 2"},
		"more than the limit":   {bytes.Repeat(pemOf(t, k.ed), maxKeys+1), "more than 64"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), Options{PEM: c.doc})
			reason(t, err, c.want)
		})
	}
}

func TestAKeyOfADocumentIsChosenByItsName(t *testing.T) {
	k := ring()
	v := newVerifier(t, Options{JWKS: jwks(
		jwkOf(t, "r2", k.rsa2), jwkOf(t, "r", k.rsa, "alg", "RS256", "use", "sig"), jwkOf(t, "e", k.ec), jwkOf(t, "d", k.ed))})
	for alg, kid := range map[string]string{rs256: "r", es256: "e", edDSA: "d"} {
		if _, err := v.Verify(t.Context(), tokenOf(t, alg, kid)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	// One key of these algorithms: the token need not name it.
	for _, alg := range []string{es256, edDSA} {
		if _, err := v.Verify(t.Context(), tokenOf(t, alg, "")); err != nil {
			t.Errorf("%s without kid: %v", alg, err)
		}
	}
	_, err := v.Verify(t.Context(), tokenOf(t, rs256, ""))
	reason(t, err, "names no key (kid) and there are several")
}

func TestASecretOfADocument(t *testing.T) {
	oct := asJSON(t, map[string]any{"kty": "oct", "k": b64(secret), "kid": "s"})
	v := newVerifier(t, Options{JWKS: jwks(oct)})
	if _, err := v.Verify(t.Context(), tokenOf(t, hs256, "s")); err != nil {
		t.Error(err)
	}
	_, err := New(t.Context(), Options{JWKS: jwks(oct, jwkOf(t, "e", ring().ec))})
	reason(t, err, "mixes secrets and public keys")
}

func TestUnusableKeysOfADocumentAreSkippedWithALogLine(t *testing.T) {
	k := ring()
	good := jwkOf(t, "good", k.ed)
	short := asJSON(t, map[string]any{"kty": "oct", "k": b64(secret[:31])})
	for name, c := range map[string]struct {
		key  string
		want string
	}{
		"for encryption":             {jwkOf(t, "x", k.rsa, "use", "enc"), "use is not sig"},
		"for another algorithm":      {jwkOf(t, "x", k.rsa, "alg", "PS256"), "alg is not RS256"},
		"alg of another kind":        {jwkOf(t, "x", k.ec, "alg", "RS256"), "alg is not ES256"},
		"RSA said to be HS256":       {jwkOf(t, "x", k.rsa, "alg", "HS256"), "alg is not RS256"},
		"a private one":              {jwkOf(t, "x", k.rsa, "d", "AQAB"), "private key"},
		"kid a number":               {`{"kid":7,"kty":"OKP"}`, "kid must be a string"},
		"key_ops without verify":     {`{"key_ops":["encrypt"],` + jwkOf(t, "x", k.ed)[1:], "key_ops"},
		"key_ops not a list":         {jwkOf(t, "x", k.ed, "key_ops", "verify"), "key_ops"},
		"an unknown kind":            {`{"kty":"AKP"}`, "unsupported kty"},
		"kty missing":                {`{"kid":"x"}`, "unsupported kty"},
		"a curve not in use":         {jwkOf(t, "x", k.ec, "crv", "P-384"), "unsupported kty or crv"},
		"a point beside the curve":   {jwkOf(t, "x", k.ec, "y", b64(make([]byte, 32))), "not a point"},
		"a short coordinate":         {jwkOf(t, "x", k.ec, "y", "AQAB"), "not 32 bytes"},
		"a coordinate missing":       {jwkOf(t, "x", k.ec, "y", ""), "y must be"},
		"an Ed25519 key too short":   {jwkOf(t, "x", k.ed, "x", "AQAB"), "not 32 bytes"},
		"an X25519 key":              {jwkOf(t, "x", k.ed, "crv", "X25519"), "unsupported kty or crv"},
		"a small modulus":            {jwkOf(t, "x", k.rsa, "n", b64(bytes.Repeat([]byte{255}, 128))), "1024 bits"},
		"a huge modulus":             {jwkOf(t, "x", k.rsa, "n", b64(bytes.Repeat([]byte{255}, 2048))), "16384 bits"},
		"an exponent of 1":           {jwkOf(t, "x", k.rsa, "e", "AQ"), "exponent"},
		"an even exponent":           {jwkOf(t, "x", k.rsa, "e", "BA"), "exponent"},
		"an exponent without end":    {jwkOf(t, "x", k.rsa, "e", b64(bytes.Repeat([]byte{255}, 64))), "exponent"},
		"base64 with padding":        {jwkOf(t, "x", k.rsa, "e", "AQAB===="), "base64url"},
		"a short secret":             {short, "31 bytes"},
		"not an object":              {`"key"`, "not a JSON object"},
		"not among the algorithms":   {jwkOf(t, "x", k.rsa), "configured algorithms"},
		"two of one name (one gone)": {jwkOf(t, "x", k.ed2) + "," + jwkOf(t, "x", k.ed2), "another key has its kid"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			o := Options{JWKS: jwks(c.key, good), Logger: slog.New(slog.NewTextHandler(&out, nil))}
			if c.want == "configured algorithms" {
				o.Algorithms = []string{edDSA}
			}
			v := newVerifier(t, o)
			if !strings.Contains(out.String(), c.want) {
				t.Errorf("logged %q, want %q", out.String(), c.want)
			}
			if _, err := v.Verify(t.Context(), tokenOf(t, edDSA, "good")); err != nil {
				t.Errorf("the good key beside it: %v", err)
			}
			_, err := New(t.Context(), Options{JWKS: jwks(c.key), Algorithms: o.Algorithms})
			reason(t, err, "no usable key")
		})
	}
}

func TestDocumentsThatAreRefusedAsAWhole(t *testing.T) {
	for name, doc := range map[string]string{
		"no JSON":             "<html>",
		"no object":           "[]",
		"no keys":             "{}",
		"keys an object":      `{"keys":{}}`,
		"keys twice":          `{"keys":[],"keys":[]}`,
		"more than the limit": string(jwks(strings.TrimSuffix(strings.Repeat("{},", maxKeys+1), ","))),
		"a tail":              `{"keys":[]} x`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(t.Context(), Options{JWKS: []byte(doc)})
			reason(t, err, "JWKS document")
		})
	}
}
