package auth

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// parseJWKS reads a document of keys (RFC 7517). What cannot serve here (other
// algorithms, encryption, private or broken keys) is skipped with a log line, as
// such documents are written for many readers. fits says which algorithms are
// wanted; published, that the document comes from a URL, where a secret is none.
// No usable key is an error.
func parseJWKS(doc []byte, published bool, fits func(alg string) bool, log *slog.Logger) ([]key, error) {
	m, err := object(doc)
	if err != nil {
		return nil, fmt.Errorf("read the JWKS document: %w", err)
	}
	list, err := elements(m["keys"], 1)
	if err != nil {
		return nil, errors.New("read the JWKS document: keys must be a list")
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("read the JWKS document: more than %d keys", maxKeys)
	}
	var keys []key
	for i, raw := range list {
		k, err := parseJWK(raw, published)
		if err == nil && !fits(k.alg) {
			err = fmt.Errorf("%s is not among the configured algorithms", k.alg)
		}
		if err != nil {
			log.Warn("skipped a key of the JWKS document", "index", i, "kid", k.kid, "reason", err)
			continue
		}
		keys = append(keys, k)
	}
	if keys, err = unambiguous(keys, log); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("no usable key in the JWKS document")
	}
	return keys, nil
}

// unambiguous drops keys of one name, as nobody can say which is meant, and
// refuses a document that holds secrets beside public keys: one of both is
// there by mistake.
func unambiguous(keys []key, log *slog.Logger) ([]key, error) {
	count := map[name]int{}
	secrets := 0
	for _, k := range keys {
		count[name{k.alg, k.kid}]++
		if k.alg == hs256 {
			secrets++
		}
	}
	if secrets > 0 && secrets < len(keys) {
		return nil, errors.New("the JWKS document mixes secrets and public keys")
	}
	return slices.DeleteFunc(keys, func(k key) bool {
		twice := k.kid != "" && count[name{k.alg, k.kid}] > 1
		if twice {
			log.Warn("skipped a key of the JWKS document", "kid", k.kid, "reason", "another key has its kid")
		}
		return twice
	}), nil
}

// A jwk is the members of one key.
type jwk map[string]json.RawMessage

// parseJWK reads one key. The kid is returned with an error, too.
func parseJWK(raw json.RawMessage, published bool) (key, error) {
	m, err := object(raw)
	if err != nil {
		return key{}, err
	}
	j := jwk(m)
	kid, ok := text(j["kid"])
	if _, given := j["kid"]; given && !ok {
		return key{}, errors.New("kid must be a string")
	}
	k, err := j.material(published)
	k.kid = kid
	if err != nil {
		return k, err
	}
	return k, j.checkPurpose(k.alg)
}

// material reads the key itself and binds it to its algorithm.
func (j jwk) material(published bool) (key, error) {
	kty, _ := text(j["kty"])
	if _, private := j["d"]; private && kty != "oct" {
		return key{}, errors.New("it is a private key: want the public one")
	}
	crv, _ := text(j["crv"])
	switch {
	case kty == "RSA":
		n, e, err := j.pair("n", "e")
		if err != nil {
			return key{}, err
		}
		return rsaKey(n, e)
	case kty == "EC" && crv == "P-256":
		x, y, err := j.pair("x", "y")
		if err != nil {
			return key{}, err
		}
		return ecKey(x, y)
	case kty == "OKP" && crv == "Ed25519":
		x, err := j.bytes("x")
		if err != nil {
			return key{}, err
		}
		if len(x) != ed25519.PublicKeySize {
			return key{}, errors.New("Ed25519 key that is not 32 bytes")
		}
		return publicKey(ed25519.PublicKey(x))
	case kty == "oct" && published:
		return key{}, errors.New("it is a secret, and was published")
	case kty == "oct":
		secret, err := j.bytes("k")
		if err != nil {
			return key{}, err
		}
		return secretKey(secret)
	}
	return key{}, errors.New("unsupported kty or crv")
}

// checkPurpose compares what the key says it is for with what it would do here.
func (j jwk) checkPurpose(alg string) error {
	if raw, given := j["alg"]; given {
		if s, ok := text(raw); !ok || s != alg {
			return fmt.Errorf("its alg is not %s", alg)
		}
	}
	if raw, given := j["use"]; given {
		if s, ok := text(raw); !ok || s != "sig" {
			return errors.New("its use is not sig")
		}
	}
	if raw, given := j["key_ops"]; given {
		ops, err := elements(raw, 1)
		verify := func(op json.RawMessage) bool { s, _ := text(op); return s == "verify" }
		if err != nil || !slices.ContainsFunc(ops, verify) {
			return errors.New("its key_ops do not contain verify")
		}
	}
	return nil
}

func (j jwk) pair(a, b string) (x, y []byte, err error) {
	if x, err = j.bytes(a); err != nil {
		return nil, nil, err
	}
	y, err = j.bytes(b)
	return x, y, err
}

// bytes decodes a base64url member, which must be there.
func (j jwk) bytes(member string) ([]byte, error) {
	s, ok := text(j[member])
	if !ok || s == "" {
		return nil, fmt.Errorf("%s must be a non-empty string", member)
	}
	b, err := segment(s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	return b, nil
}
