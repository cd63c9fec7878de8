package stomp

import (
	"context"
	"sync"
	"time"

	"tocsin/server/inbox"
)

const (
	// storeTimeout bounds one attempt to store a resume point, and storeTries is
	// how many there are, each a second later than the one before it was. What
	// cannot be stored is delivered again.
	storeTimeout = 10 * time.Second
	storeTries   = 5
)

// points are how far users have acknowledged, while that is being stored: one write
// at a time for each user, with what came meanwhile in the next one.
type points struct {
	mu sync.Mutex
	of map[string]*point
}

type point struct {
	cursor string
	// seed: only if none is kept yet.
	seed  bool
	waits []chan error // for the next write to have ended
}

// further is the later one of two cursors; what is none is earlier than all.
func further(a, b string) string {
	x, errX := inbox.ParseCursor(a)
	y, errY := inbox.ParseCursor(b)
	switch {
	case errY != nil && (a != "" || b == ""):
		return a
	case errX != nil:
		return b
	case y.Epoch > x.Epoch, y.Epoch == x.Epoch && y.Seq >= x.Seq:
		return b
	}
	return a
}

// get is where the user goes on; empty, if he has never acknowledged anything.
func (p *points) get(ctx context.Context, places Places, user string) (string, error) {
	p.mu.Lock()
	moving, seed := "", false
	if one := p.of[user]; one != nil {
		moving, seed = one.cursor, one.seed
	}
	p.mu.Unlock()
	kept, err := places.Get(ctx, PlacesName, user)
	switch {
	case err != nil:
		return "", err
	case seed && kept != "":
		return kept, nil
	}
	return further(kept, moving), nil
}

// move has a later cursor stored, and does not wait. A seed is for a user who has
// none yet.
func (p *points) move(places Places, user, cursor string, seed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.of[user]; one != nil {
		if !seed {
			one.cursor, one.seed = further(one.cursor, cursor), false
		}
		return
	}
	one := &point{cursor: cursor, seed: seed}
	if p.of == nil {
		p.of = map[string]*point{}
	}
	p.of[user] = one
	go p.store(places, user, one) // ends when all is stored, or after the last try
}

// stored waits until what was moved so far is stored.
func (p *points) stored(ctx context.Context, user string) error {
	p.mu.Lock()
	one := p.of[user]
	if one == nil {
		p.mu.Unlock()
		return nil
	}
	wait := make(chan error, 1)
	one.waits = append(one.waits, wait)
	p.mu.Unlock()
	select {
	case err := <-wait:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *points) store(places Places, user string, one *point) {
	for tries := 1; ; {
		p.mu.Lock()
		cursor, seed, waits := one.cursor, one.seed, one.waits
		one.waits = nil
		p.mu.Unlock()
		err := set(places, user, cursor, seed)
		for _, wait := range waits {
			wait <- err
		}
		p.mu.Lock()
		if err == nil {
			tries = 1
		} else if tries++; tries > storeTries {
			for _, wait := range one.waits {
				wait <- err
			}
			one.waits, one.cursor, one.seed = nil, cursor, seed
		}
		if (err == nil || tries > storeTries) && one.cursor == cursor && one.seed == seed && len(one.waits) == 0 {
			delete(p.of, user)
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		if err != nil {
			<-time.After(time.Duration(tries) * time.Second)
		}
	}
}

func set(places Places, user, cursor string, seed bool) error {
	ctx, cancel := context.WithTimeout(context.Background(), storeTimeout)
	defer cancel()
	return places.Set(ctx, PlacesName, user, func(old string) string {
		if seed && old != "" {
			return old
		}
		return further(old, cursor)
	})
}
