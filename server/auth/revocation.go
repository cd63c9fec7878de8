package auth

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode"

	"tocsin/server/inbox"
)

// maxFuture is how far ahead Before may lie. It is there for issuers whose clock
// is ahead of this one's: what they have just issued is covered as well.
const maxFuture = time.Minute

// A Revocation takes tokens back: one, by its id, or all of a user's that were
// issued before a moment. Exactly one of TokenID and User is set.
type Revocation struct {
	// TokenID is the jti of the token, 1 to MaxTokenID characters.
	TokenID string
	// User is the sub of the tokens, 1 to MaxUser characters.
	User string
	// Before limits it to tokens issued (iat) earlier; those that do not say when
	// count as earlier. iat has whole seconds, so a token issued later in the same
	// second is taken back too. Zero is now for a user, and no limit for a token:
	// its id names it well enough, whatever the issuer's clock says.
	Before time.Time
}

// UnmarshalJSON reads {"jti"|"sub","before"} of docs/protocol.md §9. What is
// wrong with a field is an inbox.FieldError.
func (r *Revocation) UnmarshalJSON(body []byte) error {
	m, err := object(body)
	if err != nil {
		return fmt.Errorf("read a revocation: %w", err)
	}
	*r = Revocation{}
	for name, to := range map[string]*string{"jti": &r.TokenID, "sub": &r.User} {
		raw, given := m[name]
		if !given || string(raw) == "null" {
			continue
		}
		s, ok := text(raw)
		if !ok {
			return inbox.Fieldf(name, "want a string")
		}
		if s == "" {
			return inbox.Fieldf(name, "must not be empty")
		}
		*to = s
	}
	if raw, given := m["before"]; given && string(raw) != "null" {
		// The zero time, which stands for none, is among the refused years.
		if err := json.Unmarshal(raw, &r.Before); err != nil || r.Before.Year() < 1970 {
			return inbox.Fieldf("before", "want RFC 3339, such as 2026-11-21T02:00:00.250Z, from 1970 on")
		}
	}
	return nil
}

// normal checks the revocation and fills in what was left out. The error is an
// inbox.FieldError.
func (r Revocation) normal(now time.Time) (Revocation, error) {
	field, name, most := "jti", r.TokenID, MaxTokenID
	switch {
	case r.TokenID == "" && r.User == "":
		return r, inbox.Fieldf("jti", "required, or sub instead")
	case r.TokenID != "" && r.User != "":
		return r, inbox.Fieldf("jti", "want jti or sub, not both")
	case r.User != "":
		field, name, most = "sub", r.User, MaxUser
	}
	if err := inbox.CheckText(field, name, 1, most); err != nil {
		return r, err
	}
	if strings.ContainsFunc(name, unicode.IsControl) {
		return r, inbox.Fieldf(field, "no control characters: no token has them")
	}
	if r.Before.After(now.Add(maxFuture)) {
		return r, inbox.Fieldf("before", "at most %v ahead", maxFuture)
	}
	if r.User != "" && r.Before.IsZero() {
		r.Before = now
	}
	r.Before = r.Before.UTC()
	return r, nil
}

// Matches says whether the revocation takes back the token behind the identity.
func (r Revocation) Matches(id *Identity) bool {
	named := r.TokenID != "" && r.TokenID == id.TokenID || r.User != "" && r.User == id.User
	return named && precedes(id.IssuedAt, r.Before)
}

// precedes says whether a token issued then comes before the limit; zero is no
// limit.
func precedes(issued, limit time.Time) bool {
	return limit.IsZero() || issued.IsZero() || issued.Before(limit)
}

// wider says whether the limit a lets more tokens be taken back than b.
func wider(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}
