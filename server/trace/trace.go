package trace

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// MaxFollowers bounds who follows at one node.
	MaxFollowers = 16
	// backlog is how many lines may wait for a follower.
	backlog = 1024
	// renew is how often a node says whom it wants to hear about, and forget after
	// what silence others stop telling.
	renew  = time.Second
	forget = 4 * time.Second
)

// ErrTooMany: MaxFollowers follow already.
var ErrTooMany = errors.New("too many traces at once")

// timeFormat is the one of the wire.
const timeFormat = "2006-01-02T15:04:05.000Z"

// A Bus carries messages between the nodes, as presence's does.
type Bus interface {
	Publish(data []byte) error
	Listen(ctx context.Context, each func(data []byte)) (stop func(), err error)
}

// Options are what a Tracer is made of; zero values are fine.
type Options struct {
	// Node is what people call this node, Run names this start of it.
	Node, Run string
	// Bus reaches the other nodes; nil: there are none.
	Bus Bus
	// Logger; nil is silent.
	Logger *slog.Logger
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// A Tracer tells followers, here and at other nodes, what happens to those whom they
// follow. Run is called once; the other methods may be called by many goroutines at
// once, and on nil, which tells nobody.
type Tracer struct {
	o      Options
	wanted atomic.Bool // anybody is followed

	mu        sync.Mutex
	followers map[string][]*Follower          // by user
	elsewhere map[string]map[string]time.Time // by user and run: until when others want to hear
}

// New returns a Tracer that nobody follows.
func New(o Options) *Tracer {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Tracer{o: o, followers: map[string][]*Follower{}, elsewhere: map[string]map[string]time.Time{}}
}

// Wanted says whether anybody is followed at all.
func (t *Tracer) Wanted() bool { return t != nil && t.wanted.Load() }

// look sets wanted; under the lock.
func (t *Tracer) look() { t.wanted.Store(len(t.followers)+len(t.elsewhere) > 0) }

// Tell tells those who follow the line's user. It fills in At and Node, and does not
// wait.
func (t *Tracer) Tell(l Line) {
	if !t.Wanted() || l.User == "" {
		return
	}
	l = t.Stamp(l)
	t.mu.Lock()
	here := t.followers[l.User]
	_, others := t.elsewhere[l.User]
	tell(here, l)
	t.mu.Unlock()
	if others {
		t.say(message{Run: t.o.Run, Line: &l})
	}
}

// Stamp fills in At and Node.
func (t *Tracer) Stamp(l Line) Line {
	l.At, l.Node = Clock(t.o.Now()), t.o.Node
	return l
}

// Clock is a time as lines have it.
func Clock(at time.Time) string { return at.UTC().Format(timeFormat) }

// tell needs the lock.
func tell(followers []*Follower, l Line) {
	for _, f := range followers {
		select {
		case f.lines <- l:
		default:
			f.missed.Add(1)
		}
	}
}

// A Follower hears of one user. Its methods may be called by many goroutines at once.
type Follower struct {
	t      *Tracer
	user   string
	lines  chan Line
	missed atomic.Int64
}

// Follow begins to follow a user; Close ends it. The error is ErrTooMany.
func (t *Tracer) Follow(user string) (*Follower, error) {
	f := &Follower{t: t, user: user, lines: make(chan Line, backlog)}
	t.mu.Lock()
	n := 0
	for _, list := range t.followers {
		n += len(list)
	}
	if n >= MaxFollowers {
		t.mu.Unlock()
		return nil, ErrTooMany
	}
	t.followers[user] = append(t.followers[user], f)
	t.look()
	t.mu.Unlock()
	t.say(message{Run: t.o.Run, Want: user})
	return f, nil
}

// Lines are what happens, in the order in which this node hears of it.
func (f *Follower) Lines() <-chan Line { return f.lines }

// Missed is how many lines there was no room for since it was last called.
func (f *Follower) Missed() int { return int(f.missed.Swap(0)) }

// Close ends the following; a second time does nothing.
func (f *Follower) Close() {
	t := f.t
	t.mu.Lock()
	defer t.mu.Unlock()
	list := slices.DeleteFunc(t.followers[f.user], func(other *Follower) bool { return other == f })
	if t.followers[f.user] = list; len(list) == 0 {
		delete(t.followers, f.user)
	}
	t.look()
}

// A message is what nodes tell each other: whom one wants to hear about, or what has
// happened to one whom somebody wants to hear about.
type message struct {
	Run  string `json:"run"`
	Want string `json:"want,omitempty"`
	Line *Line  `json:"line,omitempty"`
}

func (t *Tracer) say(m message) {
	if t.o.Bus == nil {
		return
	}
	text, err := json.Marshal(m)
	if err == nil {
		err = t.o.Bus.Publish(text)
	}
	if err != nil {
		t.o.Logger.Debug("a trace does not reach the other nodes", "error", err)
	}
}

// Run hears the other nodes, and keeps telling them who is followed here, until the
// context ends. It fails at once, or not at all.
func (t *Tracer) Run(ctx context.Context) error {
	if t.o.Bus == nil {
		<-ctx.Done()
		return nil
	}
	stop, err := t.o.Bus.Listen(ctx, t.hear)
	if err != nil {
		return fmt.Errorf("listen to the traces of other nodes: %w", err)
	}
	defer stop()
	tick := time.NewTicker(renew)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			for _, user := range t.turn() {
				t.say(message{Run: t.o.Run, Want: user})
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// turn forgets who is wanted no more, and lists who is wanted here.
func (t *Tracer) turn() (users []string) {
	if !t.Wanted() {
		return nil
	}
	now := t.o.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	for user, runs := range t.elsewhere {
		for run, until := range runs {
			if now.After(until) {
				delete(runs, run)
			}
		}
		if len(runs) == 0 {
			delete(t.elsewhere, user)
		}
	}
	t.look()
	for user := range t.followers {
		users = append(users, user)
	}
	return users
}

// hear takes a message of any node, this one among them.
func (t *Tracer) hear(data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil || m.Run == "" || m.Run == t.o.Run {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if m.Line != nil {
		tell(t.followers[m.Line.User], *m.Line)
	}
	if m.Want != "" {
		if t.elsewhere[m.Want] == nil {
			t.elsewhere[m.Want] = map[string]time.Time{}
		}
		t.elsewhere[m.Want][m.Run] = t.o.Now().Add(forget)
		t.look()
	}
}
