package auth

import (
	"context"
	"fmt"
	"net/http"
)

// A Gate answers who is asking, all told: it finds what a request carries,
// verifies or redeems it, and asks whether it has been taken back. Its methods
// may be called by many goroutines at once; its fields are not to be changed
// then.
type Gate struct {
	Verifier *Verifier
	// Tickets, unless nil, are accepted in the URL.
	Tickets *Tickets
	// Revocations, unless nil, are asked about everybody.
	Revocations *Revocations
	// Sessions know the sessions that are no JWT; see Resolve.
	Sessions []Resolver
	// AllowQuery admits ?access_token=.
	AllowQuery bool
}

// Authenticate returns who the request speaks for and what says so. A ticket is
// used up by it, whatever becomes of the request. Errors are ErrMissing,
// ErrInvalid, ErrExpired, ErrRevoked and ErrUnavailable, wrapped; the source is
// told with them if the request uses one.
func (g *Gate) Authenticate(ctx context.Context, r *http.Request) (*Identity, Source, error) {
	token, from, err := FromRequest(r, g.AllowQuery)
	if err != nil {
		return nil, from, err
	}
	var id *Identity
	if from == FromTicket {
		id, err = g.redeem(ctx, token)
	} else {
		id, err = g.Verify(ctx, token)
	}
	return id, from, err
}

// Verify is for tokens that come otherwise than with a request: the first message
// of a WebSocket, a login form. Errors are those of Authenticate.
func (g *Gate) Verify(ctx context.Context, token string) (*Identity, error) {
	id, err := g.Verifier.Verify(ctx, token)
	if err != nil {
		return nil, err
	}
	return g.present(id)
}

func (g *Gate) redeem(ctx context.Context, ticket string) (*Identity, error) {
	if g.Tickets == nil {
		return nil, invalid("tickets are not offered here")
	}
	id, err := g.Tickets.Redeem(ctx, ticket)
	if err != nil {
		return nil, err
	}
	if g.Verifier != nil && !g.Verifier.Vouches(id) {
		return nil, fmt.Errorf("redeem a ticket: the key of its token is gone: %w", ErrRevoked)
	}
	return g.present(id)
}

// TakenBack says whether what the identity came with has been taken back since: by
// a revocation, or with the key that signed it.
func (g *Gate) TakenBack(id *Identity) bool {
	return g.Revocations != nil && g.Revocations.Revoked(id) || g.Verifier != nil && !g.Verifier.Vouches(id)
}

// present lets pass who has not been taken back.
func (g *Gate) present(id *Identity) (*Identity, error) {
	if g.Revocations != nil && g.Revocations.Revoked(id) {
		return nil, fmt.Errorf("authenticate: %w", ErrRevoked)
	}
	return id, nil
}
