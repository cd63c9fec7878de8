package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Errors of this package, matched with [errors.Is]. They are wrapped with a
// reason that never contains the token or ticket.
var (
	// ErrMissing: the request carries no token.
	ErrMissing = errors.New("no token was given")
	// ErrInvalid: the token, or the header that carries it, is not acceptable,
	// and sending it again will not help.
	ErrInvalid = errors.New("the token is not valid")
	// ErrExpired: the token was acceptable and its time is over.
	ErrExpired = errors.New("the token has expired")
	// ErrRevoked: the token was acceptable and has been taken back. It is an
	// ErrInvalid too.
	ErrRevoked = fmt.Errorf("%w: it has been revoked", ErrInvalid)
	// ErrUnavailable: the token or ticket cannot be judged now, because its key
	// is not known and the document of keys did not answer, or because the store
	// of tickets did not. Try again later.
	ErrUnavailable = errors.New("what judges the token is unavailable")
	// ErrTooMany: a limit of what is kept has been reached. Try again later.
	ErrTooMany = errors.New("too many are kept already")
)

// invalid wraps ErrInvalid with a reason.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrInvalid, fmt.Sprintf(format, args...))
}

// The scopes that mean something. None includes another: a token that may
// publish and read says both.
const (
	ScopeInbox   = "inbox"
	ScopePublish = "publish"
	ScopeAdmin   = "admin"
)

// Scopes are what a token allows. Unknown ones are kept and mean nothing.
type Scopes []string

// parseScopes reads the scope claim's space separated words.
func parseScopes(s string) Scopes {
	return slices.Compact(slices.Sorted(slices.Values(strings.Fields(s))))
}

// String writes the scopes as the claim has them.
func (s Scopes) String() string { return strings.Join(s, " ") }

// An Identity is who a verified token speaks for. It is shared between callers:
// its slices are not to be changed.
type Identity struct {
	// User is the sub claim: 1 to 128 characters, none of them a control.
	User string
	// Groups of the token, sorted and without repeats; they are added to what the
	// directory says. "*" is the group of those who see everything.
	Groups []string
	Scopes Scopes
	// Expires is when Verify begins to refuse the token: exp plus the leeway. A
	// connection that ends then cannot be opened again with the same token. Zero is
	// never, which only a session's may be.
	Expires time.Time
	// TokenID is the jti claim, empty if there is none.
	TokenID string
	// IssuedAt is the iat claim, zero if there is none; of a session, when it was
	// first seen here.
	IssuedAt time.Time
	// Attributes are what a session's keeper says of it besides; nil of a token.
	// They are not to be changed.
	Attributes map[string]string

	key string // of the token's signature; empty where there is no token
}

// Has says whether the token allows the scope.
func (i Identity) Has(scope string) bool { return slices.Contains(i.Scopes, scope) }
