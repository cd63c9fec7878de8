package auth

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"
)

const (
	defaultLeeway   = 5 * time.Second
	maxLeeway       = 5 * time.Minute
	defaultRefresh  = 15 * time.Minute
	defaultCooldown = 10 * time.Second
)

// withDefaults checks the options and fills in what was left out.
func (o Options) withDefaults() (Options, error) {
	for _, alg := range o.Algorithms {
		if _, known := methods[alg]; !known {
			return o, fmt.Errorf("unknown algorithm %q: want HS256, RS256, ES256 or EdDSA", alg)
		}
	}
	if o.HS256 == nil && o.PEM == nil && o.JWKS == nil && o.JWKSURL == "" {
		return o, errors.New("no key: want a secret, PEM, a JWKS document or its URL")
	}
	if o.Leeway > maxLeeway {
		return o, fmt.Errorf("a leeway of %v is more than %v", o.Leeway, maxLeeway)
	}
	if o.JWKSRefresh < 0 || o.JWKSCooldown < 0 {
		return o, errors.New("the times of JWKS must not be negative")
	}
	o.Leeway = max(cmp.Or(o.Leeway, defaultLeeway), 0)
	o.JWKSRefresh = cmp.Or(o.JWKSRefresh, defaultRefresh)
	o.JWKSCooldown = cmp.Or(o.JWKSCooldown, defaultCooldown)
	o.CacheSize = max(cmp.Or(o.CacheSize, DefaultCacheSize), 0)
	o.HTTPClient = cmp.Or(o.HTTPClient, &http.Client{})
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return o, nil
}

// staticKeys reads the keys that the options themselves hold. A key of the
// operator's own that its algorithms do not allow is a contradiction; in a JWKS
// document it is one for another reader.
func (o Options) staticKeys() ([]key, error) {
	var keys []key
	if o.HS256 != nil {
		k, err := secretKey(o.HS256)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	if o.PEM != nil {
		ks, err := parsePEM(o.PEM)
		if err != nil {
			return nil, err
		}
		keys = append(keys, ks...)
	}
	for _, k := range keys {
		if !o.lists(k.alg) {
			return nil, fmt.Errorf("there is a key of %s, which the algorithms do not contain", k.alg)
		}
	}
	if o.JWKS != nil {
		ks, err := parseJWKS(o.JWKS, false, o.lists, o.Logger)
		if err != nil {
			return nil, err
		}
		keys = append(keys, ks...)
	}
	return keys, nil
}

// lists says whether the configured algorithms allow one; if none is configured
// all do.
func (o Options) lists(alg string) bool {
	return len(o.Algorithms) == 0 || slices.Contains(o.Algorithms, alg)
}

// acceptance fixes which algorithms a token may have.
func (o Options) acceptance(keys []key) func(alg string) bool {
	accepted := map[string]bool{}
	for _, k := range keys {
		accepted[k.alg] = true
	}
	if o.JWKSURL != "" {
		for _, alg := range []string{rs256, es256, edDSA} {
			accepted[alg] = o.lists(alg)
		}
	}
	return func(alg string) bool { return accepted[alg] }
}
