package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"tocsin/server/inbox"
)

const (
	// TicketTTL is how long a ticket can be redeemed. The store is to forget it
	// after that time.
	TicketTTL = time.Minute
	// DefaultMaxTickets is how many tickets one user gets of one node within
	// TicketTTL: a few for each of his connections' attempts, and an end to a
	// client that only asks.
	DefaultMaxTickets = 1000
	// maxTicketBytes bounds what is stored of one; whatever was in a token fits.
	maxTicketBytes = 64 << 10
)

// A TicketStore keeps tickets for TicketTTL and then forgets them by itself, on
// all nodes alike and through restarts. A ticket takes a few hundred bytes, at
// most 64 KiB. Its errors are those of the package inbox; its methods may be
// called by many goroutines at once.
type TicketStore interface {
	// Create stores the value under a key of [0-9a-f]{64} that has none, else
	// it fails with inbox.ErrConflict.
	Create(ctx context.Context, key string, value []byte) error
	// Take removes the key and returns what it had, or inbox.ErrNotFound. Of all
	// that take one key, on whatever nodes, exactly one gets it: the removal
	// itself decides, not a read before it.
	Take(ctx context.Context, key string) ([]byte, error)
}

// TicketOptions have useful zero values.
type TicketOptions struct {
	// MaxPerUser is how many tickets a user gets of this node within TicketTTL;
	// 0 is DefaultMaxTickets.
	MaxPerUser int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets what is stored and makes no sense; nil is nobody.
	Logger *slog.Logger
}

// Tickets lets a client that cannot send headers open one connection, once, with
// a text in the URL that is worth nothing afterwards (docs/protocol.md §1). Its
// methods may be called by many goroutines at once.
//
// The store knows a ticket by its SHA-256 only: who reads the store can redeem
// none.
type Tickets struct {
	store TicketStore
	quota quota
	now   func() time.Time
	log   *slog.Logger
}

// NewTickets makes Tickets that are kept in the store, which all nodes share.
func NewTickets(store TicketStore, o TicketOptions) *Tickets {
	t := &Tickets{store: store, now: o.Now, log: o.Logger}
	if t.now == nil {
		t.now = time.Now
	}
	if t.log == nil {
		t.log = slog.New(slog.DiscardHandler)
	}
	if t.quota.most = o.MaxPerUser; t.quota.most == 0 {
		t.quota.most = DefaultMaxTickets
	}
	return t
}

// ticketBody is what is stored.
type ticketBody struct {
	User     string    `json:"user"`
	Groups   []string  `json:"groups,omitempty"`
	Scope    string    `json:"scope,omitempty"`
	Expires  time.Time `json:"expires"`
	TokenID  string    `json:"jti,omitempty"`
	IssuedAt time.Time `json:"iat,omitzero"`
	Key      string    `json:"key,omitempty"`
}

// Issue makes a ticket for whom a token speaks. ttl is how long it can be
// redeemed, which is never beyond the token. Errors: ErrExpired, ErrTooMany,
// ErrUnavailable.
func (t *Tickets) Issue(ctx context.Context, id *Identity) (ticket string, ttl time.Duration, err error) {
	now := t.now()
	if ttl = min(TicketTTL, id.Expires.Sub(now)); ttl <= 0 {
		return "", 0, fmt.Errorf("issue a ticket: %w", ErrExpired)
	}
	if !t.quota.admit(id.User, now) {
		return "", 0, fmt.Errorf("issue a ticket: %w: %d in %v for one user", ErrTooMany, t.quota.most, TicketTTL)
	}
	value, err := json.Marshal(ticketBody{id.User, id.Groups, id.Scopes.String(), id.Expires, id.TokenID, id.IssuedAt, id.key})
	if err != nil {
		return "", 0, fmt.Errorf("issue a ticket: %w", err)
	}
	if len(value) > maxTicketBytes {
		return "", 0, fmt.Errorf("issue a ticket: its %d bytes are more than %d", len(value), maxTicketBytes)
	}
	ticket = rand.Text()
	if err := t.store.Create(ctx, ticketKey(ticket), value); err != nil {
		return "", 0, fmt.Errorf("issue a ticket: %w: %w", ErrUnavailable, err)
	}
	return ticket, ttl, nil
}

// errTicket is one word for three cases: who holds such a ticket is not told
// whether it ever was one.
var errTicket = invalid("the ticket is unknown, used or over")

// Redeem uses the ticket up and returns whom it was issued for; the identity ends
// when the token behind it does, and is revoked with it. Errors: ErrInvalid for a
// ticket that is unknown, used or over; ErrExpired when the token is; and
// ErrUnavailable, after which the ticket may be used up.
func (t *Tickets) Redeem(ctx context.Context, ticket string) (*Identity, error) {
	if !isTicket(ticket) {
		return nil, errTicket
	}
	value, err := t.store.Take(ctx, ticketKey(ticket))
	switch {
	case errors.Is(err, inbox.ErrNotFound):
		return nil, errTicket
	case err != nil:
		return nil, fmt.Errorf("redeem a ticket: %w: %w", ErrUnavailable, err)
	}
	var b ticketBody
	if err := json.Unmarshal(value, &b); err != nil || b.User == "" {
		t.log.Error("a stored ticket that is none", "error", err)
		return nil, errTicket
	}
	if !t.now().Before(b.Expires) {
		return nil, fmt.Errorf("redeem a ticket: %w", ErrExpired)
	}
	return &Identity{
		User: b.User, Groups: b.Groups, Scopes: parseScopes(b.Scope),
		Expires: b.Expires, TokenID: b.TokenID, IssuedAt: b.IssuedAt, key: b.Key,
	}, nil
}

func ticketKey(ticket string) string {
	sum := sha256.Sum256([]byte(ticket))
	return hex.EncodeToString(sum[:])
}

// isTicket says whether the text looks like one, so that the store is not asked
// about anything.
func isTicket(s string) bool {
	const chars = 26 // of rand.Text: 130 bits
	return len(s) == chars && strings.Trim(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// A quota counts what each user gets in windows of TicketTTL, one after the
// other; so up to twice as many may be outstanding.
type quota struct {
	most  int
	mu    sync.Mutex
	since time.Time
	given map[string]int
}

func (q *quota) admit(user string, now time.Time) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.given == nil || now.Sub(q.since) >= TicketTTL {
		q.since, q.given = now, map[string]int{}
	}
	if q.given[user] >= q.most {
		return false
	}
	q.given[user]++
	return true
}
