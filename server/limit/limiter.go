package limit

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors that a Refusal is.
var (
	// ErrRate: something was asked for too often.
	ErrRate = errors.New("too much at once")
	// ErrConnections: one address has too many connections.
	ErrConnections = errors.New("too many connections")
	// ErrFull: there are too many connections in all, or too many large bodies.
	ErrFull = errors.New("the node has as much to do as it takes")
)

// A Refusal says which limit was met. It is one of the errors above.
type Refusal struct {
	// Limit is the limit's name, as in the settings.
	Limit string
	// Most is what it allows: connections, or so many a second.
	Most int
	// Retry is after how long it is worth trying again, in whole seconds, at least 1.
	Retry time.Duration
	err   error
}

func (r *Refusal) Error() string {
	if errors.Is(r.err, ErrRate) {
		return fmt.Sprintf("%s: at most %d a second", r.Limit, r.Most)
	}
	return fmt.Sprintf("%s: at most %d", r.Limit, r.Most)
}

func (r *Refusal) Unwrap() error { return r.err }

// A Kind is something that has a rate.
type Kind int

// The kinds there are.
const (
	// Handshakes open a stream.
	Handshakes Kind = iota
	// Requests are all others that do not publish, polls among them.
	Requests
	// Publishes are alarms and notices, one for each receiver of a notice.
	Publishes
	// Criticals are critical alarms that are raised. They are judged where
	// Publishes or Bytes are.
	Criticals
	// Bytes are those of published bodies.
	Bytes
	kinds
)

// Scopes of limits, as they end their names.
const (
	inAll = iota
	perAddress
	perUser
	scopes
)

var (
	kindNames  = [kinds]string{"handshakes", "requests", "publishes", "criticals", "publish-bytes"}
	scopeNames = [scopes]string{"", "-per-address", "-per-user"}
)

// Names of the limits that are no rates.
const (
	nameConnections        = "connections"
	nameAddressConnections = "connections-per-address"
	nameWaiting            = "waiting-connections"
	nameBodyMemory         = "body-memory"
)

// Names are the names of all limits.
func Names() []string {
	names := []string{nameConnections, nameAddressConnections, nameWaiting, nameBodyMemory}
	for _, kind := range kindNames {
		for _, scope := range scopeNames {
			names = append(names, kind+scope)
		}
	}
	return names
}

// A Rate is how much of something there may be a second; 0 is no limit.
type Rate struct{ All, Address, User int }

func (r Rate) of(scope int) int { return [scopes]int{r.All, r.Address, r.User}[scope] }

// Options are what a Limiter goes by. Zero values are no limit.
type Options struct {
	// Connections and AddressConnections may be open at a time.
	Connections, AddressConnections int
	// Waiting is how many connections may wait for the client's first whole request,
	// and how many sockets for who their client is. One more ends the one that has
	// waited longest; and so does one more than a fifth of them of one address.
	Waiting int

	// BodyMemory is how many bytes Hold gives out, a quarter of them to strangers.
	BodyMemory int64

	Handshakes, Requests, Publishes, Criticals, Bytes Rate

	// Proxies are the networks whose X-Forwarded-For is believed.
	Proxies []netip.Prefix
	// Unlimited are the networks whose addresses have no limits by address.
	Unlimited []netip.Prefix
}

func (o *Options) rate(kind Kind) Rate {
	return [kinds]Rate{o.Handshakes, o.Requests, o.Publishes, o.Criticals, o.Bytes}[kind]
}

// A Limiter says who may do what.
type Limiter struct {
	o       atomic.Pointer[Options]
	refused func(limit string)
	begun   time.Time

	mu        sync.Mutex
	all       meters
	addresses *book[netip.Addr]
	users     *book[string]

	held, strangers atomic.Int64 // of BodyMemory, the strangers' part in both

	doors     doors
	anonymous room
}

// New returns a Limiter. refused, unless nil, hears the name of each limit that was
// met; it must not wait.
func New(o Options, refused func(limit string)) *Limiter {
	l := &Limiter{refused: refused, begun: time.Now(), addresses: newBook[netip.Addr](), users: newBook[string]()}
	if refused == nil {
		l.refused = func(string) {}
	}
	l.doors.of = map[netip.Addr]int{}
	l.Set(o)
	return l
}

// Set changes what the Limiter goes by, from the next question on.
func (l *Limiter) Set(o Options) {
	for _, r := range []struct{ critical, publishes, bytes *int }{
		{&o.Criticals.All, &o.Publishes.All, &o.Bytes.All},
		{&o.Criticals.Address, &o.Publishes.Address, &o.Bytes.Address},
		{&o.Criticals.User, &o.Publishes.User, &o.Bytes.User},
	} {
		if *r.publishes == 0 && *r.bytes == 0 {
			*r.critical = 0
		}
	}
	l.o.Store(&o)
}

// now is by a clock that does not jump.
func (l *Limiter) now() int64 { return int64(time.Since(l.begun)) }

// Admit takes n of something in all, and from an address and a user: the zero address
// is nobody's, as is an empty user, and such have no limits of their own. The error
// is a Refusal: it was too much, and nothing has been taken.
func (l *Limiter) Admit(kind Kind, from netip.Addr, user string, n int) error {
	return l.admit(kind, from, user, n, true)
}

// AdmitUser takes from a user alone: of somebody whose address Admit was asked
// about before it was known who he is.
func (l *Limiter) AdmitUser(kind Kind, user string, n int) error {
	return l.admit(kind, netip.Addr{}, user, n, false)
}

func (l *Limiter) admit(kind Kind, from netip.Addr, user string, n int, all bool) error {
	o := l.o.Load()
	rate, now := o.rate(kind), l.now()
	if user == "" {
		rate.User = 0
	}
	if !from.IsValid() || within(o.Unlimited, from) {
		rate.Address = 0
	}
	if !all {
		rate.All = 0
	}
	from = network(from)
	taken := [scopes]bool{}
	for _, scope := range [...]int{perUser, perAddress, inAll} {
		most := rate.of(scope)
		if most == 0 || n == 0 {
			continue
		}
		ok, wait := l.take(scope, kind, from, user, now, cost(n, most))
		if taken[scope] = ok; ok {
			continue
		}
		for scope, was := range taken {
			if was {
				l.give(scope, kind, from, user, cost(n, rate.of(scope)))
			}
		}
		return l.refuse(kindNames[kind]+scopeNames[scope], most, wait, ErrRate)
	}
	return nil
}

func (l *Limiter) take(scope int, kind Kind, from netip.Addr, user string, now, cost int64) (bool, time.Duration) {
	switch scope {
	case perUser:
		return l.users.take(user, kind, now, cost)
	case perAddress:
		return l.addresses.take(from, kind, now, cost)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[kind].take(now, cost)
}

func (l *Limiter) give(scope int, kind Kind, from netip.Addr, user string, cost int64) {
	switch scope {
	case perUser:
		l.users.give(user, kind, cost)
	case perAddress:
		l.addresses.give(from, kind, cost)
	default:
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all[kind] -= meter(cost)
	}
}

func (l *Limiter) refuse(name string, most int, wait time.Duration, err error) *Refusal {
	l.refused(name)
	return &Refusal{Limit: name, Most: most, Retry: wait.Truncate(time.Second) + time.Second, err: err}
}

// Hold takes memory for a part of a body, in bytes; release gives it back, once.
// A stranger is a sender who is not known yet.
func (l *Limiter) Hold(bytes int, stranger bool) (release func(), err error) {
	most, n := l.o.Load().BodyMemory, int64(bytes)
	if most == 0 {
		return func() {}, nil
	}
	release = func() {
		l.held.Add(-n)
		if stranger {
			l.strangers.Add(-n)
		}
	}
	full := l.held.Add(n) > most
	if stranger {
		full = l.strangers.Add(n) > most/4 || full
	}
	if full {
		release()
		return nil, l.refuse(nameBodyMemory, int(most), time.Second, ErrFull)
	}
	return release, nil
}
