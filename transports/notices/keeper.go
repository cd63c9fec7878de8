package notices

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// Name is that of the protocol: of its places, and in the presence.
const Name = "notices"

// Places keep a text for each user under a name, on all nodes. They may be called by
// many goroutines at once.
type Places interface {
	// Get returns what is kept, empty if nothing is.
	Get(ctx context.Context, name, user string) (string, error)
	// Set keeps what choose makes of what is kept; the same again writes nothing.
	Set(ctx context.Context, name, user string, choose func(old string) string) error
}

const (
	// keepEvery is the least time between two rounds of writing, and keepShare of how
	// long a round took: so that places of many users do not cost more than a part of
	// the time. What was sent between the last round and a crash is sent again without
	// its mark.
	keepEvery = 250 * time.Millisecond
	keepShare = 10
	// keepAgain is the time before a writing that failed is tried again.
	keepAgain = time.Second
	// renewEvery is the time after which a place is written though nothing was
	// delivered: places of those who are never seen are forgotten after a while.
	renewEvery = time.Hour
	// keepTimeout bounds a writing, and keepers how many are under way.
	keepTimeout = 5 * time.Second
	keepers     = 8
	// leaveTimeout is how long Close waits for conversations that end.
	leaveTimeout = 5 * time.Second
)

// A Keeper keeps how far users have come. Its methods may be called by many
// goroutines at once.
type Keeper struct {
	places Places
	view   judge
	log    *slog.Logger
	wake   chan struct{}
	stop   chan struct{}
	done   chan struct{}

	mu    sync.Mutex
	users map[string]*account
	dirty map[*account]struct{}
}

// An account is one user's, as long as he is connected or something is to be
// written.
type account struct {
	user string
	open map[*Place]struct{} // of conversations
	at   position            // the furthest of all of them
	kept time.Time
}

// NewKeeper returns a Keeper, which works until Close.
func NewKeeper(places Places, view judge, log *slog.Logger) *Keeper {
	k := &Keeper{
		places: places, view: view, log: log, wake: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
		users: map[string]*account{}, dirty: map[*account]struct{}{},
	}
	go k.run() // ends with Close
	return k
}

// A Place is one conversation's part in its user's account.
type Place struct {
	k *Keeper
	a *account
	// from is where the conversation begins; nothing is zero.
	from position
	// ask, unless nil, has the client asked whether it has got what it was sent; it
	// must not wait.
	ask func()
}

// Enter returns the place of a user who comes. Leave it once. The error is that of
// the Places.
func (k *Keeper) Enter(ctx context.Context, user string) (*Place, error) {
	text, err := k.places.Get(ctx, Name, user)
	if err != nil {
		return nil, err
	}
	stored := parsePosition(text)
	k.mu.Lock()
	defer k.mu.Unlock()
	a := k.users[user]
	if a == nil {
		a = &account{user: user, open: map[*Place]struct{}{}, kept: time.Now()}
		k.users[user] = a
	}
	a.at = merge(a.at, stored, k.view)
	p := &Place{k: k, a: a, from: a.at}
	a.open[p] = struct{}{}
	if a.at.got.Epoch == "" {
		p.from.got = stored.got // a reader is told of one that is lost
	}
	return p, nil
}

// move notes how far the conversation has come; news says that something was
// delivered since.
func (p *Place) move(to position, news bool) {
	k, a := p.k, p.a
	k.mu.Lock()
	defer k.mu.Unlock()
	at := merge(a.at, to, k.view)
	moved := at != a.at
	a.at = at
	if moved && (news || time.Since(a.kept) >= renewEvery) {
		k.keep(a)
	}
}

// restart notes that the conversation began anew, since the log has lost what it
// had been sent.
func (p *Place) restart() {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	if lost(p.a.at.got, p.k.view) || lost(p.a.at.sent, p.k.view) {
		p.a.at = position{}
	}
}

// asks sets ask.
func (p *Place) asks(ask func()) {
	p.k.mu.Lock()
	defer p.k.mu.Unlock()
	p.ask = ask
}

// Leave ends the conversation's part.
func (p *Place) Leave() {
	k := p.k
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(p.a.open, p)
	k.keep(p.a) // how far he has come, though nothing may have been delivered
}

// keep has an account written; under the lock.
func (k *Keeper) keep(a *account) {
	k.dirty[a] = struct{}{}
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// Close writes what is left to write, once all conversations have left; those that do
// not within leaveTimeout are given up.
func (k *Keeper) Close() {
	close(k.stop)
	<-k.done
}

// run writes accounts, a round at a time.
func (k *Keeper) run() {
	defer close(k.done)
	for {
		select {
		case <-k.wake:
		case <-k.stop:
			k.finish()
			return
		}
		began := time.Now()
		ok := k.round()
		wait := max(keepEvery, keepShare*time.Since(began))
		if !ok {
			wait = max(wait, keepAgain)
		}
		select {
		case <-time.After(wait):
		case <-k.stop:
		}
	}
}

// finish writes until everybody has left.
func (k *Keeper) finish() {
	late := time.After(leaveTimeout)
	for {
		k.round()
		k.mu.Lock()
		open := 0
		for _, a := range k.users {
			open += len(a.open)
		}
		k.mu.Unlock()
		if open == 0 {
			return
		}
		select {
		case <-k.wake:
		case <-late:
			return
		}
	}
}

// round writes the accounts that have moved; false, if any could not be.
func (k *Keeper) round() bool {
	k.mu.Lock()
	work := make(chan *account, len(k.dirty))
	for a := range k.dirty {
		work <- a
	}
	clear(k.dirty)
	k.mu.Unlock()
	close(work)
	var all sync.WaitGroup
	var mu sync.Mutex
	var failed []*account
	var why error
	for range min(keepers, len(work)) {
		all.Go(func() { // ends with the work
			for a := range work {
				if err := k.write(a); err != nil {
					mu.Lock()
					failed, why = append(failed, a), err
					mu.Unlock()
				}
			}
		})
	}
	all.Wait()
	if why == nil {
		return true
	}
	k.log.Warn("places of users could not be kept; again in a second", "users", len(failed), "error", why)
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range failed {
		k.keep(a)
	}
	return false
}

// write keeps one account's place, and forgets the account when nobody needs it.
func (k *Keeper) write(a *account) error {
	ctx, cancel := context.WithTimeout(context.Background(), keepTimeout)
	defer cancel()
	k.mu.Lock()
	at := a.at
	var asks []func()
	for p := range a.open {
		if p.ask != nil {
			asks = append(asks, p.ask)
		}
	}
	k.mu.Unlock()
	for _, ask := range asks {
		ask()
	}
	var err error
	if at != (position{}) {
		err = k.places.Set(ctx, Name, a.user, func(old string) string {
			return merge(at, parsePosition(old), k.view).String()
		})
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil {
		return err
	}
	a.kept = time.Now()
	if _, again := k.dirty[a]; len(a.open) == 0 && !again {
		delete(k.users, a.user)
	}
	return nil
}
