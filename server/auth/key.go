package auth

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"

	"github.com/golang-jwt/jwt/v5"
)

// The algorithms there are.
const (
	hs256 = "HS256"
	rs256 = "RS256"
	es256 = "ES256"
	edDSA = "EdDSA"
)

// methods is the only place where the name of an algorithm leads to code, and
// only keys ask it; a token's alg never does.
var methods = map[string]jwt.SigningMethod{
	hs256: jwt.SigningMethodHS256,
	rs256: jwt.SigningMethodRS256,
	es256: jwt.SigningMethodES256,
	edDSA: jwt.SigningMethodEdDSA,
}

// Limits of keys.
const (
	// MinSecret is the shortest secret of HS256, in bytes: the size of its hash
	// (RFC 7518 §3.2).
	MinSecret = 32
	minRSA    = 2048 // bits
	maxRSA    = 8192 // bits; a larger one makes every verification slow
	// maxKeys is how many keys one source may hold: those without a name are
	// tried in turn.
	maxKeys = 64
)

// A key verifies signatures of one algorithm and no other.
type key struct {
	alg string
	// kid is the name a token calls it by; keys of PEM and secrets have none.
	kid string
	// material is a []byte or a pointer to a public key, fit for alg.
	material any
	// id tells the key from all others, whatever it is called.
	id string
}

// idOf makes the id of a key of its material, which cannot be had back from it.
func idOf(alg string, material []byte) string {
	sum := sha256.New()
	sum.Write([]byte("tocsin key 1\x00" + alg + "\x00"))
	sum.Write(material)
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
}

func (k key) verify(t token) error {
	return methods[k.alg].Verify(t.signed, t.signature, k.material)
}

// publicKey binds a public key to the one algorithm of its type.
func publicKey(pub any) (key, error) {
	k, err := algorithmOf(pub)
	if err != nil {
		return key{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return key{}, fmt.Errorf("encode the key: %w", err)
	}
	k.id = idOf(k.alg, der)
	return k, nil
}

// algorithmOf is publicKey but for the id.
func algorithmOf(pub any) (key, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n < minRSA || n > maxRSA {
			return key{}, fmt.Errorf("RSA key of %d bits: want %d to %d", n, minRSA, maxRSA)
		}
		if pub.E < 3 || pub.E&1 == 0 {
			return key{}, errors.New("RSA key with a bad public exponent")
		}
		return key{alg: rs256, material: pub}, nil
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return key{}, errors.New("EC key that is not on P-256")
		}
		return key{alg: es256, material: pub}, nil
	case ed25519.PublicKey:
		return key{alg: edDSA, material: pub}, nil
	default:
		return key{}, fmt.Errorf("unsupported kind of key %T", pub)
	}
}

// rsaKey makes a public key of its modulus and exponent, big endian.
func rsaKey(n, e []byte) (key, error) {
	exp := new(big.Int).SetBytes(e)
	if !exp.IsInt64() || exp.Int64() > 1<<31-1 {
		return key{}, errors.New("RSA key with a bad public exponent")
	}
	return publicKey(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exp.Int64())})
}

// ecKey makes a public key of a point, which must lie on P-256.
func ecKey(x, y []byte) (key, error) {
	if len(x) != 32 || len(y) != 32 {
		return key{}, errors.New("EC key whose coordinates are not 32 bytes")
	}
	pub, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes.Join([][]byte{{4}, x, y}, nil))
	if err != nil {
		return key{}, errors.New("EC key that is not a point of P-256")
	}
	return publicKey(pub)
}

// secretKey binds a secret to HS256.
func secretKey(secret []byte) (key, error) {
	if err := checkSecret(secret); err != nil {
		return key{}, err
	}
	return key{alg: hs256, material: bytes.Clone(secret), id: idOf(hs256, secret)}, nil
}

// checkSecret refuses what must not sign tokens: what can be guessed, and what
// is meant to be published.
func checkSecret(secret []byte) error {
	if len(secret) < MinSecret {
		return fmt.Errorf("the secret of HS256 has %d bytes: want at least %d", len(secret), MinSecret)
	}
	if bytes.Contains(secret, []byte("-----BEGIN ")) {
		return errors.New("the secret of HS256 is a PEM document: keys of PEM are configured as such")
	}
	return nil
}

// errUnknownKey: no key at hand can have made the signature; another might come
// with the next document of keys.
var errUnknownKey = fmt.Errorf("%w: none of the known keys made its signature", ErrInvalid)

// A keySet is all keys at one moment, never changed, with the tokens verified
// under them: when the keys change the set is replaced, and its cache with it.
type keySet struct {
	accepts  func(alg string) bool
	ids      map[string]bool
	named    map[name]key
	nameless map[string][]key // by algorithm
	byAlg    map[string][]key
	seen     *cache[*claims]
}

type name struct{ alg, kid string }

// newKeySet makes a set; of two keys with one name the earlier stays.
func newKeySet(keys []key, accepts func(alg string) bool, cacheSize int) *keySet {
	s := &keySet{
		accepts: accepts, ids: map[string]bool{},
		named: map[name]key{}, nameless: map[string][]key{}, byAlg: map[string][]key{}, seen: newCache[*claims](cacheSize),
	}
	for _, k := range keys {
		if k.kid == "" {
			s.nameless[k.alg] = append(s.nameless[k.alg], k)
		} else if _, taken := s.named[name{k.alg, k.kid}]; taken {
			continue
		} else {
			s.named[name{k.alg, k.kid}] = k
		}
		s.ids[k.id] = true
		s.byAlg[k.alg] = append(s.byAlg[k.alg], k)
	}
	return s
}

// verify looks for the key that made the signature: the one the token names;
// else those without a name, in turn; else, if the token names none, the only
// one of its algorithm.
func (s *keySet) verify(t token) (id string, err error) {
	if k, ok := s.named[name{t.alg, t.kid}]; ok {
		if k.verify(t) != nil {
			return "", invalid("the signature does not match")
		}
		return k.id, nil
	}
	candidates := s.nameless[t.alg]
	if t.kid == "" && len(candidates) == 0 {
		if candidates = s.byAlg[t.alg]; len(candidates) > 1 {
			return "", invalid("header: it names no key (kid) and there are several")
		}
	}
	for _, k := range candidates {
		if k.verify(t) == nil {
			return k.id, nil
		}
	}
	return "", errUnknownKey
}
