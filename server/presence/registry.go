package presence

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"sync"
	"time"

	"tocsin/server/inbox"
)

// Kind says what happened to a connection.
type Kind string

// The kinds of events, in the order in which they come to one connection.
// Subscribed and Unsubscribed may come again, when the token's groups change.
const (
	Connected    Kind = "connected"    // it is known whose it is
	Subscribed   Kind = "subscribed"   // the delivery of his inbox, or of a topic, has begun
	Unsubscribed Kind = "unsubscribed" // and ended
	Disconnected Kind = "disconnected"
)

// An Event is what happened to one connection. Of pollers, who have none, the
// coming and the staying away count.
type Event struct {
	Kind       Kind
	Connection string // names it among those of all nodes and times
	User       string
	Transport  string
	Node       string
	At         time.Time
	// Destination names what was subscribed to, where that is not his inbox.
	Destination string
	// Attributes are what who keeps the session says of it besides; nil of a token.
	Attributes map[string]string
}

// AwayAfter is how long a poller may stay away before he is taken for gone,
// unless Options say otherwise.
const AwayAfter = 90 * time.Second

// Options are what a Registry is made of; only Run is required.
type Options struct {
	// Node is what people call this node, Run names this start of it: both are in
	// the evidence.
	Node, Run string
	// Away is how long a poller may stay away; 0 is AwayAfter.
	Away time.Duration
	// Observe, unless nil, hears of events, from whichever goroutine; it must not
	// wait.
	Observe func(Event)
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Registry is who is connected to this node.
type Registry struct {
	o Options

	mu          sync.Mutex
	last        uint64 // id given out, here or at another node that was heard of
	connections int
	of          map[string][]*Connection // by user, the oldest first
	pollers     map[poller]*Connection
	sessions    []*Session
	recorded    bool       // a Recorder wants to hear of endings
	ended       []*Session // since it looked
	lost        uint64     // endings that it will not hear of
	shared      bool       // a Cluster wants to hear of changes
	changed     []*Connection
	here        []string // this node alone, as Over has it
}

// maxEnded bounds what is kept for a Recorder whose feed does not answer.
const maxEnded = 100_000

// A poller is one user's polling. Tokens with different groups read different
// inboxes, so they are apart.
type poller struct{ user, transport, groups string }

// New returns a Registry of nobody.
func New(o Options) *Registry {
	o.Away = cmp.Or(o.Away, AwayAfter)
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Registry{o: o, of: map[string][]*Connection{}, pollers: map[poller]*Connection{}, here: []string{o.Node}}
}

// SetAway changes Options.Away.
func (r *Registry) SetAway(away time.Duration) {
	r.mu.Lock()
	r.o.Away = cmp.Or(away, AwayAfter)
	r.mu.Unlock()
}

// Node is what people call this node.
func (r *Registry) Node() string { return r.o.Node }

// A Connection is one client's that is known.
type Connection struct {
	r         *Registry
	id        uint64
	user      string
	transport string
	since     time.Time
	// attributes are never changed.
	attributes map[string]string

	// Guarded by the registry's lock.
	session *Session // nil while nothing is delivered
	polls   *polling // nil of a stream
	noted   bool     // it is among those that have changed
	told    bool     // other nodes know of it
	gone    bool
}

// A polling is what polls have besides what a stream has.
type polling struct {
	under int       // how many are under way
	ended time.Time // when the last one did
}

// away says whether a poller is not asking, and since when.
func (c *Connection) away() (away bool, since time.Time) {
	if c.polls == nil {
		return false, time.Time{}
	}
	return c.polls.under == 0, c.polls.ended
}

// Connect notes a client's connection; Close it when it is over.
func (r *Registry) Connect(user, transport string) *Connection {
	return r.ConnectWith(user, transport, nil)
}

// ConnectWith is Connect for a session of which more is known: its attributes are
// told with its events, and are not to be changed.
func (r *Registry) ConnectWith(user, transport string, attributes map[string]string) *Connection {
	c := &Connection{r: r, user: user, transport: transport, since: r.o.Now(), attributes: attributes}
	r.mu.Lock()
	r.add(c)
	r.mu.Unlock()
	c.tell(Connected, "")
	return c
}

// Name names the connection among those of all nodes and times.
func (c *Connection) Name() string { return c.r.name(c.id) }

// User is whose it is.
func (c *Connection) User() string { return c.user }

// Attributes are those of ConnectWith.
func (c *Connection) Attributes() map[string]string { return c.attributes }

// Listen notes that the connection is told of something besides his inbox, of
// which there is no evidence; call done, once, when that is over.
func (c *Connection) Listen(destination string) (done func()) {
	c.tell(Subscribed, destination)
	return func() { c.tell(Unsubscribed, destination) }
}

// add needs the lock.
func (r *Registry) add(c *Connection) {
	r.last++
	c.id = r.last
	r.connections++
	r.of[c.user] = append(r.of[c.user], c)
	r.change(c)
}

// remove needs the lock.
func (r *Registry) remove(c *Connection) {
	r.connections--
	his := slices.DeleteFunc(r.of[c.user], func(other *Connection) bool { return other == c })
	if r.of[c.user] = his; len(his) == 0 {
		delete(r.of, c.user)
	}
	c.gone = true
	r.change(c)
}

// change notes that other nodes are to hear of the connection; under the lock.
func (r *Registry) change(c *Connection) {
	if r.shared && !c.noted {
		c.noted = true
		r.changed = append(r.changed, c)
	}
}

// Subscribe notes that the delivery begins; End the session when it is over.
func (c *Connection) Subscribe() *Session {
	c.r.mu.Lock()
	s := c.r.begin(c)
	c.r.mu.Unlock()
	c.tell(Subscribed, "")
	return s
}

// begin needs the lock.
func (r *Registry) begin(c *Connection) *Session {
	r.last++
	s := &Session{c: c, id: r.last, since: r.o.Now(), place: len(r.sessions)}
	r.sessions = append(r.sessions, s)
	c.session = s
	return s
}

// Close ends the connection, and its session if there is one still.
func (c *Connection) Close() {
	c.r.mu.Lock()
	s := c.session
	c.r.remove(c)
	c.r.mu.Unlock()
	if s != nil {
		s.End()
	}
	c.tell(Disconnected, "")
}

func (c *Connection) tell(k Kind, destination string) {
	if o := &c.r.o; o.Observe != nil {
		o.Observe(Event{Kind: k, Connection: c.r.name(c.id), User: c.user, Transport: c.transport, Node: o.Node, At: o.Now(),
			Destination: destination, Attributes: c.attributes})
	}
}

// name makes an id one among those of all nodes and times.
func (r *Registry) name(id uint64) string { return r.o.Run + "-" + strconv.FormatUint(id, 36) }

// Poll notes that somebody asks, and returns the session of all his polls over
// this transport, by tokens that add these groups. Call done when he has been
// answered.
func (r *Registry) Poll(user, transport string, groups []string) (s *Session, done func()) {
	key := poller{user, transport, inbox.GroupsHash(groups)}
	r.mu.Lock()
	c := r.pollers[key]
	comes := c == nil
	if comes {
		c = &Connection{r: r, user: user, transport: transport, since: r.o.Now(), polls: &polling{}}
		r.add(c)
		r.begin(c).shared = new(sync.Mutex)
		r.pollers[key] = c
	}
	c.polls.under++
	r.change(c)
	s = c.session
	r.mu.Unlock()
	if comes {
		c.tell(Connected, "")
		c.tell(Subscribed, "")
	}
	return s, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		c.polls.under--
		c.polls.ended = r.o.Now()
		r.change(c)
	}
}

// Run sweeps until the context ends.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			r.Sweep()
		case <-ctx.Done():
			return
		}
	}
}

// Sweep ends the sessions of pollers who have stayed away.
func (r *Registry) Sweep() {
	var gone []*Connection
	r.mu.Lock()
	now := r.o.Now()
	for key, c := range r.pollers {
		if away, since := c.away(); away && now.Sub(since) >= r.o.Away {
			delete(r.pollers, key)
			gone = append(gone, c)
		}
	}
	r.mu.Unlock()
	for _, c := range gone {
		c.Close()
	}
}
