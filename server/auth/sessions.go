package auth

import (
	"context"
	"errors"
	"strings"
)

// A Resolver says whom a session of somebody else's speaks for: one that is no
// JWT, but an opaque text. Errors are ErrInvalid, ErrExpired and ErrUnavailable,
// wrapped. It may be called by many goroutines at once.
type Resolver interface {
	Resolve(ctx context.Context, session string) (Identity, error)
}

// Resolve is Verify for the protocols of docs/compat, whose clients may have
// opaque sessions besides tokens: a JWT is verified, anything else is asked of
// Sessions in their order, until one knows it. ErrUnavailable of one is the
// answer only if no other knows it.
func (g *Gate) Resolve(ctx context.Context, token string) (*Identity, error) {
	if strings.Count(token, ".") == 2 || len(g.Sessions) == 0 {
		return g.Verify(ctx, token)
	}
	unknown := invalid("nobody knows this session")
	for _, sessions := range g.Sessions {
		id, err := sessions.Resolve(ctx, token)
		switch {
		case err == nil:
			return g.present(&id)
		case errors.Is(err, ErrUnavailable) || !errors.Is(unknown, ErrUnavailable):
			unknown = err
		}
	}
	return nil, unknown
}
