package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
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
	o      Options // with its defaults
	claims claimsReader
	now    func() time.Time
	keys   atomic.Pointer[keySet]
	remote *remote // nil without a JWKSURL

	mu      sync.Mutex // guards what the keys are made of
	static  []key
	fetched []key
	hooks   []func()
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
		o:      o,
		claims: claimsReader{leeway: o.Leeway, audience: o.Audience, issuer: o.Issuer},
		now:    o.Now,
	}
	if v.static, err = o.staticKeys(); err != nil {
		return nil, fmt.Errorf("configure authentication: %w", err)
	}
	v.setRemote(nil)
	if o.JWKSURL == "" {
		return v, nil
	}
	if v.remote, err = newRemote(o, func(alg string) bool { return v.keys.Load().accepts(alg) }, v.setRemote); err != nil {
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
	v.install(func() { v.fetched = keys })
}

// Replace makes the keys that the options hold (HS256, PEM, JWKS) those of the
// configuration, in place of those of New or of the last Replace; what else the
// options say is that of New. Tokens of keys that are gone are refused from then on,
// and Changed is told. An error changes nothing.
func (v *Verifier) Replace(o Options) error {
	next := v.o
	next.HS256, next.PEM, next.JWKS = o.HS256, o.PEM, o.JWKS
	next, err := next.withDefaults()
	if err != nil {
		return fmt.Errorf("replace the keys: %w", err)
	}
	keys, err := next.staticKeys()
	if err != nil {
		return fmt.Errorf("replace the keys: %w", err)
	}
	v.install(func() { v.static = keys })
	return nil
}

// install makes a new set of keys after a change of what it is made of.
func (v *Verifier) install(change func()) {
	v.mu.Lock()
	change()
	v.keys.Store(newKeySet(slices.Concat(v.static, v.fetched), v.o.acceptance(v.static), v.o.CacheSize))
	hooks := v.hooks
	v.mu.Unlock()
	for _, f := range hooks {
		f()
	}
}

// Changed has f called after each change of the keys. It must not wait.
func (v *Verifier) Changed(f func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hooks = append(v.hooks, f)
}

// Vouches says whether the key that signed the token behind the identity is still
// among the keys. Where no token is behind it there is nothing to vouch for.
//
// Who ends what is open registers each session first and then asks.
func (v *Verifier) Vouches(id *Identity) bool {
	return id.key == "" || v.keys.Load().ids[id.key]
}

// Verify returns who the token speaks for, or ErrMissing, ErrInvalid, ErrExpired
// or ErrUnavailable, wrapped. It waits only for the document of keys, when the
// token's key is unknown; ctx ends the waiting.
func (v *Verifier) Verify(ctx context.Context, token string) (*Identity, error) {
	if token == "" {
		return nil, ErrMissing
	}
	if len(token) > MaxToken {
		return nil, invalid("longer than %d bytes", MaxToken)
	}
	sum := sha256.Sum256([]byte(token))
	set := v.keys.Load()
	c, known := set.seen.get(sum)
	if !known {
		var err error
		if c, set, err = v.open(ctx, token); err != nil {
			return nil, err
		}
	}
	if err := c.checkTime(v.now()); err != nil {
		if known && errors.Is(err, ErrExpired) {
			set.seen.drop(sum)
		}
		return nil, err
	}
	if !known {
		set.seen.put(sum, c)
	}
	return &c.Identity, nil
}

// open verifies a token's signature and reads its claims, whose times are not
// judged yet. It returns the keys that it was verified under.
func (v *Verifier) open(ctx context.Context, s string) (*claims, *keySet, error) {
	payload, by, set, err := v.verifySignature(ctx, s)
	if err != nil {
		return nil, nil, err
	}
	c, err := v.claims.read(payload)
	if err != nil {
		return nil, nil, err
	}
	c.key = by
	return &c, set, nil
}

// verifySignature returns the payload that was signed, and the id of the key.
func (v *Verifier) verifySignature(ctx context.Context, s string) (payload []byte, by string, set *keySet, err error) {
	t, err := parseToken(s)
	if err != nil {
		return nil, "", nil, err
	}
	set = v.keys.Load()
	if !set.accepts(t.alg) {
		return nil, "", nil, invalid("header: alg is not among the configured ones")
	}
	by, err = set.verify(t)
	// A secret is never fetched, so only public keys are worth a look.
	if errors.Is(err, errUnknownKey) && v.remote != nil && t.alg != hs256 {
		if err := v.remote.await(ctx); err != nil {
			return nil, "", nil, err
		}
		set = v.keys.Load()
		by, err = set.verify(t)
	}
	if err != nil {
		return nil, "", nil, err
	}
	if payload, err = segment(t.payload); err != nil {
		return nil, "", nil, invalid("payload: %v", err)
	}
	return payload, by, set, nil
}
