package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"
)

// Options of a Verifier. At least one source of keys is needed: HS256, PEM, JWKS
// or JWKSURL; they add up.
type Options struct {
	// Algorithms that are accepted: HS256, RS256, ES256, EdDSA. Empty: those of
	// the configured keys, and of a JWKSURL every one but HS256.
	Algorithms []string

	// HS256 is the secret, at least MinSecret bytes.
	HS256 []byte
	// PEM holds one or more public keys: RSA of at least 2048 bits, P-256 or
	// Ed25519; as PKIX, PKCS #1 or certificate. They have no names: a token with
	// whatever kid is tried with each.
	PEM []byte
	// JWKS is a document of keys. Those it has no use for are skipped with a log
	// line.
	JWKS []byte
	// JWKSURL is where such a document is fetched: https, or http on the
	// loopback; the same goes for redirects. While it does not answer, the keys
	// of its last good answer are used; before the first one New succeeds all the
	// same, and tokens that need it get ErrUnavailable.
	JWKSURL string
	// JWKSRefresh is the time between two fetches, 15 minutes unless set. After a
	// failure the next one comes sooner, beginning with the cooldown.
	JWKSRefresh time.Duration
	// JWKSCooldown is the least time between two fetches that a token's unknown
	// key may cause, 10 seconds unless set.
	JWKSCooldown time.Duration
	// HTTPClient fetches the document; nil is a plain client. It is copied, and
	// its redirects are limited. A fetch has 5 seconds.
	HTTPClient *http.Client

	// Leeway is added to exp and taken from nbf and iat, for clocks that differ:
	// 5 seconds if 0, none if negative, at most 5 minutes.
	Leeway time.Duration
	// Audience, if set, must be in the token's aud; Issuer be its iss. A claim
	// that nothing is demanded of is not looked at.
	Audience, Issuer string

	// CacheSize is how many verified tokens are remembered: DefaultCacheSize if
	// 0, none if negative.
	CacheSize int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets what is skipped and what fails; nil is nobody.
	Logger *slog.Logger
}

// A Verifier verifies tokens. Its methods may be called by many goroutines.
type Verifier struct {
	claims  claimsReader
	accepts func(alg string) bool
	now     func() time.Time

	static    []key
	cacheSize int
	keys      atomic.Pointer[keySet]
	remote    *remote // nil without a JWKSURL
}

// New makes a Verifier. With a JWKSURL it waits for the first answer, up to 5
// seconds, and starts the goroutine that keeps the keys fresh; ctx ends it, and
// the Verifier goes on with the keys it has. An error means that the options
// contradict themselves or hold no key source that could ever work.
func New(ctx context.Context, o Options) (*Verifier, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("configure authentication: %w", err)
	}
	v := &Verifier{
		claims:    claimsReader{leeway: o.Leeway, audience: o.Audience, issuer: o.Issuer},
		now:       o.Now,
		cacheSize: o.CacheSize,
	}
	if v.static, err = o.staticKeys(); err != nil {
		return nil, fmt.Errorf("configure authentication: %w", err)
	}
	v.accepts = o.acceptance(v.static)
	v.setRemote(nil)
	if o.JWKSURL == "" {
		return v, nil
	}
	if v.remote, err = newRemote(o, v.accepts, v.setRemote); err != nil {
		return nil, fmt.Errorf("configure authentication: %w", err)
	}
	v.remote.fetch(ctx)
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("await the first keys: %w", err)
	}
	// Ends with ctx.
	go v.remote.run(ctx)
	return v, nil
}

// setRemote replaces the keys that came from the URL.
func (v *Verifier) setRemote(keys []key) {
	v.keys.Store(newKeySet(slices.Concat(v.static, keys), v.cacheSize))
}

// Verify returns who the token speaks for, or ErrMissing, ErrInvalid, ErrExpired
// or ErrUnavailable, wrapped. It waits only for the document of keys, when the
// token's key is unknown; ctx ends the waiting.
func (v *Verifier) Verify(ctx context.Context, token string) (Identity, error) {
	if token == "" {
		return Identity{}, ErrMissing
	}
	if len(token) > MaxToken {
		return Identity{}, invalid("longer than %d bytes", MaxToken)
	}
	sum := sha256.Sum256([]byte(token))
	set := v.keys.Load()
	c, known := set.seen.get(sum)
	if !known {
		var err error
		if c, set, err = v.open(ctx, token); err != nil {
			return Identity{}, err
		}
	}
	if err := c.checkTime(v.now()); err != nil {
		if known && errors.Is(err, ErrExpired) {
			set.seen.drop(sum)
		}
		return Identity{}, err
	}
	if !known {
		set.seen.put(sum, c)
	}
	return c.Identity, nil
}

// open verifies a token's signature and reads its claims, whose times are not
// judged yet. It returns the keys that it was verified under.
func (v *Verifier) open(ctx context.Context, s string) (claims, *keySet, error) {
	payload, set, err := v.verifySignature(ctx, s)
	if err != nil {
		return claims{}, nil, err
	}
	c, err := v.claims.read(payload)
	return c, set, err
}

// verifySignature returns the payload that was signed.
func (v *Verifier) verifySignature(ctx context.Context, s string) ([]byte, *keySet, error) {
	t, err := parseToken(s)
	if err != nil {
		return nil, nil, err
	}
	if !v.accepts(t.alg) {
		return nil, nil, invalid("header: alg is not among the configured ones")
	}
	set := v.keys.Load()
	err = set.verify(t)
	// A secret is never fetched, so only public keys are worth a look.
	if errors.Is(err, errUnknownKey) && v.remote != nil && t.alg != hs256 {
		if err := v.remote.await(ctx); err != nil {
			return nil, nil, err
		}
		set = v.keys.Load()
		err = set.verify(t)
	}
	if err != nil {
		return nil, nil, err
	}
	payload, err := segment(t.payload)
	if err != nil {
		return nil, nil, invalid("payload: %v", err)
	}
	return payload, set, nil
}
