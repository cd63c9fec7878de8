package presence

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// A sighting is a session as the feed told of it last.
type sighting struct {
	key             sessionKey
	node            string
	user, transport string
	since           time.Time
	groups          []string
	stretch
	ended bool
	seen  time.Time // when something was told of it last
}

// A watch follows the feed.
type watch struct {
	unpacker unpacker
	sessions map[sessionKey]*sighting
	touched  []*sighting
}

func newWatch() *watch { return &watch{sessions: map[sessionKey]*sighting{}} }

// apply takes one message of the feed and returns the sessions that it tells of,
// until the next call.
func (w *watch) apply(at time.Time, data []byte) ([]*sighting, error) {
	f, err := w.unpacker.unpack(data)
	if err != nil {
		return nil, err
	}
	w.touched = w.touched[:0]
	for i := range f.stated {
		st := &f.stated[i]
		key := sessionKey{f.run, st.id}
		s := w.sessions[key]
		if s == nil {
			s = &sighting{key: key, node: f.node, user: st.user, transport: st.transport, since: time.UnixMilli(st.since).UTC()}
			w.sessions[key] = s
		}
		s.groups, s.stretch, s.seen, s.ended = st.groups, st.stretch, at, false
		w.touched = append(w.touched, s)
	}
	for _, m := range f.moved {
		// One that is not known was stated before the beginning, and will be again.
		if s := w.sessions[sessionKey{f.run, m.id}]; s != nil {
			s.at, s.seen = m.at, at
			w.touched = append(w.touched, s)
		}
	}
	for _, id := range f.ended {
		if s := w.sessions[sessionKey{f.run, id}]; s != nil {
			s.ended, s.seen = true, at
			w.touched = append(w.touched, s)
		}
	}
	return w.touched, nil
}

// A picture is the sessions of all nodes in the last minutes. It is brought up to
// date when somebody asks.
type picture struct {
	feed Feed

	mu    sync.Mutex
	watch *watch
	last  time.Time // of the last message
	asked time.Time
}

const (
	// fresh is how long a picture is good for: those who ask in a row share one.
	fresh = 500 * time.Millisecond
	// keepEnded is how long a picture shows sessions that are over.
	keepEnded = 2 * lead
)

// refresh reads what the feed has got since it was last asked.
func (p *picture) refresh(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.asked) < fresh {
		return nil
	}
	since := p.last
	if p.watch == nil || now.Sub(p.asked) > keyEvery {
		p.watch, since = newWatch(), now.Add(-lead)
	}
	err := p.feed.Scan(ctx, since, func(at time.Time, data []byte) error {
		p.last = at
		_, _ = p.watch.apply(at, data) // one of a later version says nothing to us
		return nil
	})
	if err != nil {
		p.watch = nil
		return err
	}
	p.asked = now
	for key, s := range p.watch.sessions {
		// A node that died tells of no end.
		if age := now.Sub(s.seen); s.ended && age > keepEnded || age > keepEnded+lead {
			delete(p.watch.sessions, key)
		}
	}
	return nil
}

func (p *picture) each(f func(*sighting)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watch == nil {
		return
	}
	for _, s := range p.watch.sessions {
		f(s)
	}
}

// A Sighting is one session of a user as the evidence of all nodes has it.
type Sighting struct {
	Session   string
	Transport string
	Node      string
	Since     time.Time
	Groups    []string // all of his
	// Position is the sequence up to which the session had been delivered to, and
	// From where that began: what was told between has reached it.
	From, Position uint64
	// Ended: it is over.
	Ended bool
	// Seen is when something was recorded of it last.
	Seen time.Time
}

// Seen lists the user's sessions of the last minutes on all nodes, the newest
// first. Of this node it has those that are open now, as they are.
func (e *Evidence) Seen(ctx context.Context, user string) ([]Sighting, error) {
	if err := e.picture.refresh(ctx); err != nil {
		return nil, err
	}
	all := e.o.Registry.sightings(user)
	e.picture.each(func(s *sighting) {
		if s.user == user {
			ended := s.ended || time.Since(s.seen) > lead
			if s.key.run == e.o.Registry.o.Run && !ended {
				return
			}
			all = append(all, Sighting{s.key.String(), s.transport, s.node, s.since, s.groups, s.from, s.at, ended, s.seen})
		}
	})
	slices.SortFunc(all, func(a, b Sighting) int { return cmp.Or(b.Since.Compare(a.Since), cmp.Compare(a.Session, b.Session)) })
	return all, nil
}

// sightings are the user's sessions at this node.
func (r *Registry) sightings(user string) (all []Sighting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.sessions {
		if s.c.user != user {
			continue
		}
		one := Sighting{Session: r.name(s.id), Transport: s.c.transport, Node: r.o.Node, Since: s.since, Seen: r.o.Now()}
		if at, b := s.position.load(); b != nil {
			one.From, one.Position, one.Groups = b.from, at, b.groups
		}
		all = append(all, one)
	}
	return all
}
