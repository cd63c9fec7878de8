package auth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// RememberOptions bound what is asked of a Resolver and what is kept of its
// answers. Zero values are the defaults given here.
type RememberOptions struct {
	// Name is what the Resolver is called in the log.
	Name string
	// Timeout is how long an answer may take, the wait for its turn included; 0 is
	// 2 s.
	Timeout time.Duration
	// Fresh is how long an answer is good without asking again; 0 is 30 s.
	Fresh time.Duration
	// Keep is how long it stays good while the Resolver does not answer; 0 is 1 h.
	Keep time.Duration
	// Sessions is how many are remembered; 0 is 8,192.
	Sessions int
	// Calls is how many are asked about at a time; 0 is 32.
	Calls int
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger hears when the Resolver ceases to answer and when it does again; nil
	// is silent.
	Logger *slog.Logger
}

const (
	// refusedFor is how long a session that nobody knows is not asked about again.
	refusedFor = time.Second
	// downFor is how long one that is remembered is not asked about again after its
	// Resolver did not answer.
	downFor = time.Second
	// waitingPerCall is how many sessions may wait for their turn.
	waitingPerCall = 32
)

// A Remembered is a Resolver that remembers the answers of another one. Whom that
// one has let in stays in while it does not answer, up to Keep; new ones are then
// refused with ErrUnavailable. However many ask about one session, it is asked
// about once.
type Remembered struct {
	of    Resolver
	o     RememberOptions
	turns chan struct{}
	good  *cache[remembered]
	bad   *cache[remembered]

	mu      sync.Mutex
	flights map[digest]*flight
	down    bool
}

var _ Resolver = (*Remembered)(nil)

// remembered is what is kept of an answer.
type remembered struct {
	id    Identity
	err   error     // of one who was refused
	fresh time.Time // until when nobody is asked
	keep  time.Time // until when it is good if nobody answers
}

// A flight is a question under way; its answer can be read once it is over.
type flight struct {
	over chan struct{}
	id   Identity
	err  error
}

// Remember returns what remembers the answers of a Resolver.
func Remember(of Resolver, o RememberOptions) *Remembered {
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.Fresh, o.Keep = cmp.Or(o.Fresh, 30*time.Second), cmp.Or(o.Keep, time.Hour)
	o.Sessions, o.Calls = cmp.Or(o.Sessions, 8192), cmp.Or(o.Calls, 32)
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Remembered{
		of: of, o: o, turns: make(chan struct{}, o.Calls), flights: map[digest]*flight{},
		// Apart, so that whoever tries sessions at random does not make us forget
		// those that are good.
		good: newCache[remembered](o.Sessions), bad: newCache[remembered](o.Sessions / 8),
	}
}

// Resolve implements Resolver.
func (r *Remembered) Resolve(ctx context.Context, session string) (Identity, error) {
	if session == "" {
		return Identity{}, ErrMissing
	}
	if len(session) > MaxToken {
		return Identity{}, invalid("longer than %d bytes", MaxToken)
	}
	key := sha256.Sum256([]byte(session))
	if known, ok := r.known(key); ok {
		return known.id, known.err
	}
	f, err := r.ask(key, session)
	if err != nil {
		return Identity{}, err
	}
	select {
	case <-f.over:
		return f.id, f.err
	case <-ctx.Done():
		return Identity{}, fmt.Errorf("%w: ask about the session: %w", ErrUnavailable, ctx.Err())
	}
}

// known is the answer that need not be asked for.
func (r *Remembered) known(key digest) (remembered, bool) {
	now := r.o.Now()
	if was, ok := r.good.get(key); ok && now.Before(was.fresh) {
		return was, true
	}
	was, ok := r.bad.get(key)
	return was, ok && now.Before(was.fresh)
}

// ask joins the question that is under way, or begins one.
func (r *Remembered) ask(key digest, session string) (*flight, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.flights[key]
	switch {
	case f != nil:
		return f, nil
	case len(r.flights) >= r.o.Calls*waitingPerCall:
		return nil, fmt.Errorf("%w: too many sessions are being asked about", ErrUnavailable)
	}
	f = &flight{over: make(chan struct{})}
	r.flights[key] = f
	// Ends within the timeout. It is nobody's own: others wait for it, too.
	go r.fly(key, session, f)
	return f, nil
}

func (r *Remembered) fly(key digest, session string, f *flight) {
	ctx, cancel := context.WithTimeout(context.Background(), r.o.Timeout)
	defer cancel()
	var id Identity
	var err error
	select {
	case r.turns <- struct{}{}:
		id, err = r.of.Resolve(ctx, session)
		<-r.turns
		r.judge(err)
	case <-ctx.Done():
		err = fmt.Errorf("%w: too many sessions are being asked about", ErrUnavailable)
	}
	f.id, f.err = r.settle(key, id, err)
	r.mu.Lock()
	delete(r.flights, key)
	r.mu.Unlock()
	close(f.over)
}

// settle notes an answer, and returns what is answered.
func (r *Remembered) settle(key digest, id Identity, err error) (Identity, error) {
	now := r.o.Now()
	was, known := r.good.get(key)
	switch {
	case err == nil:
		if known {
			id.IssuedAt = was.id.IssuedAt
		} else if id.IssuedAt.IsZero() {
			id.IssuedAt = now
		}
		one := remembered{id: id, fresh: now.Add(r.o.Fresh), keep: now.Add(r.o.Keep)}
		if !id.Expires.IsZero() {
			one.fresh, one.keep = earlier(one.fresh, id.Expires), earlier(one.keep, id.Expires)
		}
		r.good.put(key, one)
	case !errors.Is(err, ErrUnavailable):
		r.good.drop(key)
		r.bad.put(key, remembered{err: err, fresh: now.Add(refusedFor)})
	case known && now.Before(was.keep):
		was.fresh = earlier(now.Add(downFor), was.keep)
		r.good.put(key, was)
		return was.id, nil
	}
	return id, err
}

// judge tells the log when the resolver's state changes.
func (r *Remembered) judge(err error) {
	down := errors.Is(err, ErrUnavailable)
	r.mu.Lock()
	changed := r.down != down
	r.down = down
	r.mu.Unlock()
	switch {
	case changed && down:
		r.o.Logger.Warn("sessions cannot be asked about; those who are known stay", "of", r.o.Name, "error", err)
	case changed:
		r.o.Logger.Info("sessions can be asked about again", "of", r.o.Name)
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
