package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Issue is what a token to be made shall say.
type Issue struct {
	User   string
	Groups []string
	// Scope is the scope claim, words with spaces between them; empty leaves it
	// out, which means inbox.
	Scope string
	// TTL is how long the token lasts, at least a second; parts of one are cut
	// off.
	TTL time.Duration
	// ID is the jti claim, empty for none.
	ID string
}

// Sign makes a token with HS256, as `tocsin token` does. What a Verifier with the
// same secret would refuse is an error.
func Sign(secret []byte, i Issue, now time.Time) (string, error) {
	if err := checkSecret(secret); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	c, err := i.claims(now)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	if len(s) > MaxToken {
		return "", fmt.Errorf("sign a token: it is longer than %d bytes", MaxToken)
	}
	return s, nil
}

func (i Issue) claims(now time.Time) (jwt.MapClaims, error) {
	if err := checkName(i.User, MaxUser); err != nil {
		return nil, fmt.Errorf("the user %w", err)
	}
	groups, err := normalGroups(i.Groups)
	if err != nil {
		return nil, fmt.Errorf("the list of groups: %w", err)
	}
	if i.TTL < time.Second {
		return nil, errors.New("the time it lasts must be at least a second")
	}
	c := jwt.MapClaims{"sub": i.User, "iat": now.Unix(), "exp": now.Unix() + int64(i.TTL/time.Second)}
	if len(groups) > 0 {
		c["groups"] = groups
	}
	if scopes := parseScopes(i.Scope); len(scopes) > 0 {
		c["scope"] = scopes.String()
	}
	if i.ID != "" {
		if err := checkName(i.ID, MaxTokenID); err != nil {
			return nil, fmt.Errorf("the id %w", err)
		}
		c["jti"] = i.ID
	}
	return c, nil
}
