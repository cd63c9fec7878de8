package presence

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"tocsin/server/inbox"
)

// Bounds of one question to the feed.
const (
	maxScan   = 5 * time.Second
	maxFrames = 100_000
	// lead is how long before the entry a scan begins, so that every session open
	// at that time has been stated when its position passes.
	lead = 2 * keyEvery
	// waitOthers is for how long users are waited for whom nothing but a token makes
	// responsible.
	waitOthers = time.Hour
)

// An Evidence answers who got what, from the feed of all nodes.
type Evidence struct {
	o       EvidenceOptions
	picture picture
}

// EvidenceOptions are what an Evidence is made of; all are required.
type EvidenceOptions struct {
	Feed Feed
	View *inbox.View
	Log  inbox.Source
	// Registry is this node's, which is asked before the feed.
	Registry *Registry
}

// NewEvidence returns an Evidence.
func NewEvidence(o EvidenceOptions) *Evidence {
	return &Evidence{o: o, picture: picture{feed: o.Feed}}
}

// A Delivery says whether an entry has reached one user.
type Delivery struct {
	User      string
	Delivered bool
	// Of the first session that was delivered to.
	At        time.Time // of the checkpoint: up to a second late
	Transport string
	Node      string
	Session   string
}

// A Report answers for one entry.
type Report struct {
	// Seq and Told are the entry asked about, and the one that told readers of it,
	// which is a later one where a chattering alarm was folded; 0: none has yet.
	Seq, Told uint64
	// Deliveries has a line for each responsible user, by name.
	Deliveries []Delivery
	// Since is how far back the evidence goes; zero: there is none.
	Since time.Time
	// Until is how far it was looked at, where that took too long; zero: to its
	// end.
	Until time.Time
}

// errEnough ends a scan.
var errEnough = errors.New("enough")

// Since is when the oldest evidence was recorded, zero if there is none.
func (e *Evidence) Since(ctx context.Context) (since time.Time, err error) {
	err = e.o.Feed.Scan(ctx, time.Time{}, func(at time.Time, _ []byte) error {
		since = at
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return since, err
}

// Deliveries says whom the entry, a stored one of an alarm, has reached: of those
// to whom the directory gives its groups, and of those who were connected with
// tokens that do. Errors are those of the log and the context's.
func (e *Evidence) Deliveries(ctx context.Context, entry inbox.Entry) (Report, error) {
	return e.deliveries(ctx, entry, e.responsible(&entry), true)
}

// Delivery is the answer for one user, responsible or not.
func (e *Evidence) Delivery(ctx context.Context, entry inbox.Entry, user string) (Delivery, Report, error) {
	report, err := e.deliveries(ctx, entry, []string{user}, false)
	if err != nil {
		return Delivery{}, report, err
	}
	return report.Deliveries[0], report, nil
}

func (e *Evidence) deliveries(ctx context.Context, entry inbox.Entry, users []string, others bool) (Report, error) {
	report := Report{Seq: entry.Seq}
	var err error
	if report.Since, err = e.Since(ctx); err != nil {
		return report, err
	}
	q, told, err := e.question(ctx, &entry, true)
	if err != nil {
		return report, err
	}
	q.pending, q.others = map[string]bool{}, others
	q.reached = map[string]Delivery{}
	for _, u := range users {
		q.pending[u] = true
	}
	if told.Seq != 0 {
		report.Told = told.Seq
		if report.Until, err = e.look(ctx, q, told.Stored); err != nil {
			return report, err
		}
	}
	for u := range q.pending {
		q.reached[u] = Delivery{User: u}
	}
	report.Deliveries = slices.SortedFunc(maps.Values(q.reached), func(a, b Delivery) int { return cmp.Compare(a.User, b.User) })
	return report, nil
}

// responsible are the users who should see the entry, as the directory has it.
func (e *Evidence) responsible(entry *inbox.Entry) []string {
	return e.o.View.Members(append(e.groups(entry.Audience), inbox.AllGroups)...)
}

func (e *Evidence) groups(a inbox.Audience) []string {
	name, _ := a.Route()
	return e.o.View.RouteGroups(name)
}

// A question is what is looked for in the feed.
type question struct {
	target
	groups  []string        // that read it
	pending map[string]bool // users that it has not reached yet
	reached map[string]Delivery
	others  bool // users besides those may turn up
}

// reads says whether who has these groups should see it.
func (q *question) reads(groups []string) bool {
	for _, g := range groups {
		if g == inbox.AllGroups || slices.Contains(q.groups, g) {
			return true
		}
	}
	return false
}

// see looks at a session as it was at some time.
func (q *question) see(s *sighting, at time.Time) {
	_, known := q.reached[s.user]
	if known && !q.pending[s.user] || !q.pending[s.user] && !q.others || !q.reads(s.groups) {
		return
	}
	if !s.has(q.target) {
		if !known {
			q.pending[s.user] = true
		}
		return
	}
	delete(q.pending, s.user)
	q.reached[s.user] = Delivery{User: s.user, Delivered: true, At: at, Transport: s.transport,
		Node: s.node, Session: s.key.String()}
}

// question finds the entry that told readers of this one, and where it was over.
// thorough looks through the history where the entry itself does not say it all.
func (e *Evidence) question(ctx context.Context, entry *inbox.Entry, thorough bool) (*question, inbox.Entry, error) {
	q := &question{groups: e.groups(entry.Audience)}
	told := *entry
	if entry.Quiet || thorough {
		newest, _, err := e.o.View.Newest(ctx, entry.Subject)
		if err != nil {
			return nil, told, err
		}
		open := newest.Open() && newest.Tag == entry.Tag // so it was all the time, near enough
		told = inbox.Entry{}
		err = e.o.Log.Scan(ctx, inbox.Scan{From: entry.Seq, Subject: entry.Subject}, func(m inbox.Message) error {
			n, err := inbox.Decode(m)
			if err != nil {
				return err
			}
			if told.Seq == 0 && !n.Quiet {
				told = n
			}
			if told.Seq != 0 && !n.Open() {
				q.over = n.Seq
				return errEnough
			}
			if told.Seq != 0 && open {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return nil, told, fmt.Errorf("read the history of %s: %w", entry.Subject, err)
		}
	}
	q.seq = told.Seq
	return q, told, nil
}

// look reads the feed from the time on until nobody is pending. It returns how far
// it came if that was not the end.
func (e *Evidence) look(ctx context.Context, q *question, from time.Time) (until time.Time, err error) {
	bounded, cancel := context.WithTimeout(ctx, maxScan)
	defer cancel()
	w := newWatch()
	frames := 0
	var last time.Time
	err = e.o.Feed.Scan(bounded, from.Add(-lead), func(at time.Time, data []byte) error {
		if frames++; frames > maxFrames {
			return errEnough
		}
		last = at
		touched, _ := w.apply(at, data) // one of a later version says nothing to us
		for _, s := range touched {
			if q.see(s, at); s.ended {
				delete(w.sessions, s.key)
			}
		}
		if len(q.pending) == 0 && (!q.others || at.Sub(from) > waitOthers) {
			return errEnough
		}
		return nil
	})
	switch {
	case errors.Is(err, errEnough) && frames <= maxFrames:
		return time.Time{}, nil
	case errors.Is(err, errEnough), ctx.Err() == nil && bounded.Err() != nil:
		// What lies between is left out; who is there now is not.
		return last, e.present(ctx, q)
	}
	return time.Time{}, err
}

// present looks at the sessions that are open now.
func (e *Evidence) present(ctx context.Context, q *question) error {
	if err := e.picture.refresh(ctx); err != nil {
		return err
	}
	e.picture.each(func(s *sighting) { q.see(s, s.seen) })
	return nil
}

// Reached says whether the entry, the newest of an alarm, has reached anybody who
// should see it. Of evidence it looks at the last minutes, so it is to be asked
// soon after.
func (e *Evidence) Reached(ctx context.Context, entry inbox.Entry) (bool, error) {
	announced := entry.AnnouncedAt()
	told := entry.ToldAt()
	if announced == 0 || told < announced {
		return false, nil
	}
	q := &question{groups: e.groups(entry.Audience), target: target{seq: announced}}
	if told > announced { // it was told once more, or was quiet until then
		first, err := e.o.Log.At(ctx, announced)
		if err != nil {
			return false, fmt.Errorf("read the announcement %d: %w", announced, err)
		}
		a, err := inbox.Decode(first)
		if err != nil {
			return false, err
		}
		of, _, err := e.question(ctx, &a, false)
		if err != nil {
			return false, err
		}
		q.target = of.target
	}
	if q.seq == 0 {
		return false, nil
	}
	if e.o.Registry.reached(q) {
		return true, nil
	}
	if err := e.picture.refresh(ctx); err != nil {
		return false, err
	}
	reached := false
	e.picture.each(func(s *sighting) { reached = reached || s.has(q.target) && q.reads(s.groups) })
	return reached, nil
}

// reached looks at the sessions of this node as they are now.
func (r *Registry) reached(q *question) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.sessions, func(s *Session) bool {
		at, b := s.position.load()
		return b != nil && stretch{b.from, b.snapshot, at}.has(q.target) && q.reads(b.groups)
	})
}

// A sessionKey names a session among those of all nodes and times.
type sessionKey struct {
	run string
	id  uint64
}

func (k sessionKey) String() string { return k.run + "-" + strconv.FormatUint(k.id, 36) }
