package auth

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// DefaultRevocationTTL is how long a revocation is kept. A token that lives
	// longer would come back to life after it: issue none.
	DefaultRevocationTTL = 31 * 24 * time.Hour
	// DefaultMaxRevocations bounds how many are kept, and with them the memory of
	// each node, about 200 bytes for one.
	DefaultMaxRevocations = 250_000
)

// A RevocationStore keeps the newest value of each key, on all nodes alike and
// through restarts, and forgets it some time after its last change. Its errors
// are those of the package inbox; its methods may be called by many goroutines at
// once.
type RevocationStore interface {
	// Update replaces the key's value by what change makes of the newest one, nil
	// where there is none, under compare-and-set: change is called again when
	// another writer was first. An error of change is returned as it is and
	// nothing is stored. Keys are of [a-z0-9.].
	Update(ctx context.Context, key string, change func(old []byte) ([]byte, error)) error
	// Watch calls each with every value there is, then with every change, from
	// one goroutine, until the context ends or the store is closed for good;
	// values may come again. present is called once, when all that there was has
	// been given.
	Watch(ctx context.Context, present func(), each func(key string, value []byte)) error
}

// RevocationOptions have useful zero values.
type RevocationOptions struct {
	// TTL is how long a revocation is kept after it was made last, the same as
	// the store's; 0 is DefaultRevocationTTL.
	TTL time.Duration
	// Max is how many are kept; 0 is DefaultMaxRevocations.
	Max int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger gets what is stored and makes no sense; nil is nobody.
	Logger *slog.Logger
}

// Revocations are the tokens that were taken back. Every node has all of them in
// memory and learns of new ones from the store, so asking costs two look-ups and
// no token can be used anywhere soon after it was revoked on one node.
//
// Run is called once; the other methods may be called by many goroutines at once.
type Revocations struct {
	store RevocationStore
	ttl   time.Duration
	most  int
	now   func() time.Time
	log   *slog.Logger

	loaded chan struct{} // closed once all that was stored is known

	mu      sync.RWMutex
	tokens  map[string]revoked // by jti
	users   map[string]revoked // by sub
	sweepAt int                // how many there must be before the next sweep
	hooks   []func(Revocation)
}

// revoked is what is remembered of a revocation.
type revoked struct {
	before time.Time // zero: no limit
	until  time.Time // when it is forgotten
}

// revocationBody is what is stored.
type revocationBody struct {
	TokenID string    `json:"jti,omitempty"`
	User    string    `json:"sub,omitempty"`
	Before  time.Time `json:"before,omitzero"`
	At      time.Time `json:"at"`
}

// NewRevocations makes Revocations that are kept in the store, which all nodes
// share. They are empty until Run has loaded them.
func NewRevocations(store RevocationStore, o RevocationOptions) *Revocations {
	r := &Revocations{
		store: store, ttl: o.TTL, most: o.Max, now: o.Now, log: o.Logger,
		loaded: make(chan struct{}),
		tokens: map[string]revoked{}, users: map[string]revoked{}, sweepAt: minSweep,
	}
	if r.ttl == 0 {
		r.ttl = DefaultRevocationTTL
	}
	if r.most == 0 {
		r.most = DefaultMaxRevocations
	}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	return r
}

// Run follows the store until the context ends, or the store is closed for good,
// and returns the error of either. That the store is away for a while does not
// end it; what was known stays in force.
func (r *Revocations) Run(ctx context.Context) error {
	err := r.store.Watch(ctx, func() { close(r.loaded) }, func(key string, value []byte) {
		var b revocationBody
		if err := json.Unmarshal(value, &b); err != nil || (b.TokenID == "") == (b.User == "") {
			r.log.Error("a stored revocation that is none", "key", key, "error", err)
			return
		}
		r.apply(b)
	})
	return fmt.Errorf("follow the revocations: %w", err)
}

// Loaded is closed once everything that was stored when Run began is known. A
// node that serves before would let revoked tokens in.
func (r *Revocations) Loaded() <-chan struct{} { return r.loaded }

// Changed has f called with every revocation that is new here or takes back more
// than before, whichever node it was made on, also with those that Run loads. f
// is called by Run's goroutine and by those that revoke, maybe at once, and must
// not wait. It is to be set before Run.
//
// Who uses it to end what is open registers each session first and then asks
// Revoked: a revocation between a look-up and a registration would be missed.
func (r *Revocations) Changed(f func(Revocation)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hooks = append(r.hooks, f)
}

// Revoked says whether the token behind the identity has been taken back.
func (r *Revocations) Revoked(id *Identity) bool {
	r.mu.RLock()
	token, byToken := r.tokens[id.TokenID]
	user, byUser := r.users[id.User]
	r.mu.RUnlock()
	if !byToken && !byUser {
		return false
	}
	now := r.now()
	return byToken && token.covers(id, now) || byUser && user.covers(id, now)
}

func (e revoked) covers(id *Identity, now time.Time) bool {
	return now.Before(e.until) && precedes(id.IssuedAt, e.before)
}

// Revoke takes tokens back. When it returns nil this is stored and in force on
// this node, and on all others as soon as they hear of it. A narrower revocation
// never undoes a wider one. Errors: an inbox.FieldError, ErrTooMany, or those of
// the store.
func (r *Revocations) Revoke(ctx context.Context, v Revocation) error {
	now := r.now()
	v, err := v.normal(now)
	if err != nil {
		return err
	}
	if !r.room(v) {
		return fmt.Errorf("revoke: %w: %d revocations", ErrTooMany, r.most)
	}
	b := revocationBody{TokenID: v.TokenID, User: v.User, At: now.UTC()}
	if err := r.store.Update(ctx, revocationKey(v), func(old []byte) ([]byte, error) {
		b.Before = v.Before
		var was revocationBody
		// What cannot be read is replaced: it revokes nothing.
		if json.Unmarshal(old, &was) == nil && was.TokenID == v.TokenID && was.User == v.User && wider(was.Before, v.Before) {
			b.Before = was.Before
		}
		return json.Marshal(b)
	}); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	r.apply(b)
	return nil
}

// revocationKey hides what a token may contain from the store, whose keys are
// short and of few characters.
func revocationKey(v Revocation) string {
	kind, name := "jti.", v.TokenID
	if v.User != "" {
		kind, name = "sub.", v.User
	}
	sum := sha256.Sum256([]byte(name))
	return kind + hex.EncodeToString(sum[:])
}

// place is where the revocation of a token or of a user stands.
func (r *Revocations) place(jti, sub string) (m map[string]revoked, name string) {
	if sub != "" {
		return r.users, sub
	}
	return r.tokens, jti
}

// room says whether the revocation can be remembered. Those of other nodes are
// remembered in any case: to forget one would let its token in.
func (r *Revocations) room(v Revocation) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, name := r.place(v.TokenID, v.User)
	if _, known := m[name]; known || r.count() < r.most {
		return true
	}
	r.sweep()
	return r.count() < r.most
}

// apply remembers a stored revocation and tells who wants to know.
func (r *Revocations) apply(b revocationBody) {
	e := revoked{before: b.Before, until: b.At.Add(r.ttl)}
	now := r.now()
	if !now.Before(e.until) {
		return // the store will forget it soon
	}
	r.mu.Lock()
	m, name := r.place(b.TokenID, b.User)
	was, known := m[name]
	known = known && now.Before(was.until)
	news := !known || wider(e.before, was.before)
	if known && e.until.Before(was.until) {
		e.until = was.until
	}
	if known && wider(was.before, e.before) {
		e.before = was.before
	}
	m[name] = e
	if r.count() >= r.sweepAt {
		r.sweep()
	}
	hooks := r.hooks
	r.mu.Unlock()
	if !news {
		return
	}
	for _, f := range hooks {
		f(Revocation{TokenID: b.TokenID, User: b.User, Before: e.before})
	}
}

// minSweep is the least number worth a sweep.
const minSweep = 1024

// count needs the lock.
func (r *Revocations) count() int { return len(r.tokens) + len(r.users) }

// sweep forgets what is over. Since the next one comes when there are twice as
// many as were left, it costs each revocation little. It needs the lock.
func (r *Revocations) sweep() {
	now := r.now()
	for _, m := range []map[string]revoked{r.tokens, r.users} {
		for name, e := range m {
			if !now.Before(e.until) {
				delete(m, name)
			}
		}
	}
	r.sweepAt = max(minSweep, 2*r.count())
}
