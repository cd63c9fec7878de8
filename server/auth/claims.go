package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Limits of claims. Characters are Unicode code points.
const (
	MaxUser    = 128 // characters of sub
	MaxGroup   = 64  // characters of one group
	MaxGroups  = 64  // groups of one token
	MaxTokenID = 256 // characters of jti
)

// maxTime is the last second of the year 9999, beyond which RFC 3339 has no text.
const maxTime = 253402300799

// claims are what a verified payload says.
type claims struct {
	Identity
	// notBefore is the later of nbf and iat, less the leeway.
	notBefore time.Time
}

// checkTime says whether the token is acceptable at this moment: from notBefore
// on, until just before Expires.
func (c claims) checkTime(now time.Time) error {
	if now.Before(c.notBefore) {
		return invalid("its nbf or iat lies in the future")
	}
	if !now.Before(c.Expires) {
		return ErrExpired
	}
	return nil
}

// A claimsReader reads payloads under the configured rules.
type claimsReader struct {
	leeway           time.Duration
	audience, issuer string
}

// read takes the claims out of a payload whose signature has been verified.
func (r claimsReader) read(payload []byte) (claims, error) {
	m, err := object(payload)
	if err != nil {
		return claims{}, invalid("payload: %v", err)
	}
	var c claims
	user, ok := text(m["sub"])
	if !ok {
		return claims{}, invalid("sub must be a non-empty string")
	}
	if err := checkName(user, MaxUser); err != nil {
		return claims{}, invalid("sub %v", err)
	}
	c.User = user
	if c.Groups, err = readGroups(m); err != nil {
		return claims{}, invalid("groups %v", err)
	}
	if err := c.readWords(m); err != nil {
		return claims{}, err
	}
	if err := r.readTimes(m, &c); err != nil {
		return claims{}, err
	}
	return c, r.checkParties(m)
}

// readWords reads scope and jti.
func (c *claims) readWords(m map[string]json.RawMessage) error {
	c.Scopes = Scopes{ScopeInbox}
	if raw, given := m["scope"]; given {
		s, ok := text(raw)
		if !ok {
			return invalid("scope must be a string of words with spaces between them")
		}
		c.Scopes = slices.Clip(parseScopes(s))
	}
	if raw, given := m["jti"]; given {
		id, ok := text(raw)
		if !ok {
			return invalid("jti must be a string")
		}
		if id != "" {
			if err := checkName(id, MaxTokenID); err != nil {
				return invalid("jti %v", err)
			}
		}
		c.TokenID = id
	}
	return nil
}

// readTimes reads exp, nbf and iat, and applies the leeway to them.
func (r claimsReader) readTimes(m map[string]json.RawMessage, c *claims) error {
	exp, ok, err := numericDate(m, "exp")
	if err != nil {
		return err
	}
	if !ok {
		return invalid("exp is missing")
	}
	c.Expires = exp.Add(r.leeway)
	for _, name := range []string{"nbf", "iat"} {
		t, ok, err := numericDate(m, name)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if from := t.Add(-r.leeway); from.After(c.notBefore) {
			c.notBefore = from
		}
		if name == "iat" {
			c.IssuedAt = t
		}
	}
	return nil
}

// checkParties compares iss and aud with what the configuration demands; without
// a demand they are not looked at.
func (r claimsReader) checkParties(m map[string]json.RawMessage) error {
	if r.issuer != "" {
		if iss, ok := text(m["iss"]); !ok || iss != r.issuer {
			return invalid("iss is not the configured issuer")
		}
	}
	if r.audience == "" {
		return nil
	}
	auds := []json.RawMessage{m["aud"]}
	if list, err := elements(m["aud"], 1); err == nil {
		auds = list
	}
	for _, raw := range auds {
		if aud, ok := text(raw); ok && aud == r.audience {
			return nil
		}
	}
	return invalid("aud does not contain the configured audience")
}

// readGroups reads the groups claim: sorted, without repeats.
func readGroups(m map[string]json.RawMessage) ([]string, error) {
	raw, given := m["groups"]
	if !given {
		return nil, nil
	}
	if _, ok := text(raw); ok {
		return nil, errors.New("must be a list of strings, also for a single one")
	}
	list, err := elements(raw, 1)
	if err != nil {
		return nil, errors.New("must be a list of strings")
	}
	groups := make([]string, 0, len(list))
	for _, raw := range list {
		g, ok := text(raw)
		if !ok {
			return nil, errors.New("must be a list of strings")
		}
		groups = append(groups, g)
	}
	return normalGroups(groups)
}

// normalGroups checks groups and returns them sorted and without repeats. The
// result has no room to append to, as it is shared.
func normalGroups(groups []string) ([]string, error) {
	if len(groups) > MaxGroups {
		return nil, fmt.Errorf("has more than %d groups", MaxGroups)
	}
	for i, g := range groups {
		if err := checkName(g, MaxGroup); err != nil {
			return nil, fmt.Errorf("entry %d %w", i, err)
		}
	}
	return slices.Clip(slices.Compact(slices.Sorted(slices.Values(groups)))), nil
}

// checkName says what is wrong with a name, as the end of a sentence.
func checkName(s string, limit int) error {
	switch {
	case s == "":
		return errors.New("must be a non-empty string")
	case !utf8.ValidString(s), strings.ContainsRune(s, utf8.RuneError):
		// The JSON reader puts U+FFFD for half a surrogate pair, so two different
		// texts would become one user.
		return errors.New("is not valid UTF-8")
	case utf8.RuneCountInString(s) > limit:
		return fmt.Errorf("is longer than %d characters", limit)
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("contains control characters")
	}
	return nil
}

// numericDate reads seconds since 1970, whole or with a fraction.
func numericDate(m map[string]json.RawMessage, name string) (t time.Time, given bool, err error) {
	raw, given := m[name]
	if !given {
		return time.Time{}, false, nil
	}
	if n, err := strconv.ParseInt(string(raw), 10, 64); err == nil && n >= 0 && n <= maxTime {
		return time.Unix(n, 0).UTC(), true, nil
	}
	f, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || raw[0] == '-' || f > maxTime {
		return time.Time{}, true, invalid("%s must be a number of seconds since 1970, up to the year 9999", name)
	}
	sec, frac := math.Modf(f)
	return time.Unix(int64(sec), int64(frac*1e9)).UTC(), true, nil
}
