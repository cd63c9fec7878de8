package e2e

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A mint makes tokens, good and bad ones, without the library that the server
// verifies them with.
type mint struct {
	t      *testing.T
	secret []byte
	rsa    *rsa.PrivateKey
	ec     *ecdsa.PrivateKey
	ed     ed25519.PrivateKey
	// public is the PEM document of the three, rsaPEM that of the first alone.
	public, rsaPEM, ecPEM []byte
	audience, issuer      string
}

type claims = map[string]any

func newMint(t *testing.T, secret []byte) *mint {
	t.Helper()
	f := &mint{t: t, secret: secret}
	var err error
	if f.rsa, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
		t.Fatal(err)
	}
	if f.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	if _, f.ed, err = ed25519.GenerateKey(rand.Reader); err != nil {
		t.Fatal(err)
	}
	f.rsaPEM, f.ecPEM = f.pem(f.rsa.Public()), f.pem(f.ec.Public())
	f.public = append(append(append(f.public, f.rsaPEM...), f.ecPEM...), f.pem(f.ed.Public())...)
	return f
}

func (f *mint) pem(public crypto.PublicKey) []byte {
	f.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		f.t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// file writes the public keys where a server can read them.
func (f *mint) file(dir string) string {
	f.t.Helper()
	path := filepath.Join(dir, "keys.pem")
	if err := os.WriteFile(path, f.public, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return path
}

// raw signs whatever it is given, as the algorithm has it; alg is not looked at
// where header has one.
func (f *mint) raw(alg, header, payload string, key any) string {
	f.t.Helper()
	signed := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(signed))
	var signature []byte
	var err error
	switch k := key.(type) {
	case nil:
	case []byte:
		mac := hmac.New(sha256.New, k)
		mac.Write([]byte(signed))
		signature = mac.Sum(nil)
	case *rsa.PrivateKey:
		if alg == "PS256" {
			signature, err = rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], nil)
		} else {
			signature, err = rsa.SignPKCS1v15(rand.Reader, k, crypto.SHA256, sum[:])
		}
	case *ecdsa.PrivateKey:
		r, s, e := ecdsa.Sign(rand.Reader, k, sum[:])
		if err = e; err == nil {
			signature = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
		}
	case ed25519.PrivateKey:
		signature = ed25519.Sign(k, []byte(signed))
	}
	if err != nil {
		f.t.Fatal(err)
	}
	return signed + "." + b64(signature)
}

// payload is that of a good token, with changes; nil takes a claim away.
func (f *mint) payload(change claims) string {
	f.t.Helper()
	now := time.Now().Unix()
	c := claims{"sub": "alice", "scope": "inbox publish admin", "groups": []string{"red"}, "iat": now, "exp": now + 3600}
	if f.audience != "" {
		c["aud"], c["iss"] = f.audience, f.issuer
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	text, err := json.Marshal(c)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// header is one of these members.
func (f *mint) header(members claims) string {
	f.t.Helper()
	text, err := json.Marshal(members)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(text)
}

// hs is a token signed with the secret.
func (f *mint) hs(change claims) string {
	return f.raw("HS256", `{"alg":"HS256"}`, f.payload(change), f.secret)
}

// of is a good token of a user with a scope.
func (f *mint) of(user, scope string, groups ...string) string {
	return f.hs(claims{"sub": user, "scope": scope, "groups": append([]string{}, groups...)})
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }
