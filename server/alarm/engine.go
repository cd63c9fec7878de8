package alarm

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"tocsin/server/inbox"
)

// Router gives groups a route whose entry precedes the route's first alarm.
// The package directory has it.
type Router interface {
	Route(ctx context.Context, groups []string) (string, error)
}

// Options are what an Engine works on.
type Options struct {
	Log    inbox.Log
	View   *inbox.View
	Router Router
	Epoch  string // of this start of the node
	// Unassigned are the groups of a device that the directory does not know; at
	// least one. They must be those of the View.
	Unassigned []string
	// TrustDeviceTime takes a device's clock as it is. Otherwise a time more than
	// 5 minutes ahead or 7 days behind gives way to the server's.
	TrustDeviceTime bool
	// Fold is the time in which readers get at most one entry of an alarm that
	// repeats or chatters, the rest being told together at its end; 0 tells
	// everything at once.
	Fold time.Duration
	// AutoClear gives, by type, how long after its last report an alarm that is
	// still active is taken for over.
	AutoClear map[string]time.Duration
	// Reached says whether an entry has reached anybody who should see it. It is
	// asked about critical alarms that nobody has acknowledged, UndeliveredAfter
	// they were announced. nil: nobody is asked.
	Reached func(ctx context.Context, e inbox.Entry) (bool, error)
	// Undelivered is called for those that have reached nobody, before that is
	// noted, so perhaps more than once. Its error has it called again.
	Undelivered func(ctx context.Context, a Alarm, e inbox.Entry) error
	// UndeliveredAfter is how long a critical alarm may reach nobody; 0 is 15 s.
	UndeliveredAfter time.Duration
	// Retention is how long the log keeps what is over; its zero value is for ever.
	Retention Retention
	// Now is the clock; nil is time.Now.
	Now func() time.Time
	// Logger; nil is silent.
	Logger *slog.Logger
}

// An Engine decides what events and commands do.
type Engine struct {
	o     Options
	begun time.Time // by the clock
}

// New returns an Engine.
func New(o Options) *Engine {
	o.UndeliveredAfter = cmp.Or(o.UndeliveredAfter, undeliveredAfter)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Engine{o: o, begun: o.Now()}
}

func (e *Engine) now() time.Time { return e.o.Now().UTC().Truncate(time.Millisecond) }

// A present is what a decision starts from: the newest entry of an alarm's
// subject. The zero value is an alarm that was never raised.
type present struct {
	entry  inbox.Entry
	body   body
	timing timing
}

// has says whether the alarm was ever raised.
func (p *present) has() bool { return p.body.Alarm.Occurrence > 0 }

// fromView is the subject's present as this node knows it; fromLeader asks the
// log's leader, for one who lost a race.
func (e *Engine) fromView(ctx context.Context, subject string) (present, error) {
	entry, ok, err := e.o.View.Newest(ctx, subject)
	if err != nil || !ok {
		return present{}, err
	}
	return newPresent(entry)
}

func (e *Engine) fromLeader(ctx context.Context, subject string) (present, error) {
	m, err := e.o.Log.Newest(ctx, subject)
	if errors.Is(err, inbox.ErrNotFound) {
		return present{}, nil
	}
	if err != nil {
		return present{}, fmt.Errorf("read the newest entry of %s: %w", subject, err)
	}
	entry, err := inbox.Decode(m)
	if err != nil {
		return present{}, err
	}
	return newPresent(entry)
}

func newPresent(entry inbox.Entry) (present, error) {
	p := present{entry: entry}
	if len(entry.Body) == 0 {
		return p, nil // only ever an orphan
	}
	var err error
	p.body, err = decode(&entry)
	p.timing = decodeTiming(entry.Private)
	return p, err
}

// home is where the alarms of a device go now.
func (e *Engine) home(ctx context.Context, device string) (groups []string, to inbox.Audience, err error) {
	groups, known := e.o.View.Device(device)
	if !known {
		groups = e.o.Unassigned
	}
	route, err := e.o.Router.Route(ctx, groups)
	if err != nil {
		return nil, "", err
	}
	return groups, inbox.RouteAudience(route), nil
}

// A change is what is to follow the present entry of an alarm.
type change struct {
	alarm  Alarm
	timing timing
	to     inbox.Audience
	typ    string // of the entry
	status string // of the outcome
	by     string
	note   string
	now    time.Time // by the server's clock
	at     time.Time // by the clock of events; zero is now
	quiet  bool
	// announces: it makes the alarm unread.
	announces bool
}

// change begins one that leaves everything as it is.
func (e *Engine) change(p *present, typ, status, by string) change {
	return change{alarm: p.body.Alarm, timing: p.timing, to: p.entry.Audience, typ: typ, status: status, by: by, now: e.now()}
}

// settle takes an open alarm to where its device's alarms go now, so that what
// happens to it before the worker has moved it moves it too.
func (e *Engine) settle(ctx context.Context, p *present, c *change) (err error) {
	if p.entry.Open() || c.alarm.Active || !c.alarm.Acked {
		c.alarm.Groups, c.to, err = e.home(ctx, c.alarm.Device)
	}
	return err
}

// next makes the entry of the change.
func (e *Engine) next(p *present, c *change) inbox.Entry {
	a := &c.alarm
	severity, _ := inbox.ParseSeverity(a.Severity)
	if !c.quiet {
		c.timing.fold = 0 // whatever was folded is told by this
	}
	if c.at.IsZero() {
		c.at = c.now
	}
	n := inbox.Entry{
		Subject: p.entry.Subject, Epoch: e.o.Epoch, Audience: c.to, Status: c.status, Quiet: c.quiet,
		Tag: inbox.AlarmTag(a.Occurrence, a.ReceivedAt), Rev: a.Rev,
		Severity: severity, Active: a.Active, Acked: a.Acked,
		At: c.at, Due: c.timing.due(a), Private: c.timing.encode(),
		Body: c.encode(),
	}
	n.Succeed(&p.entry, c.announces, c.now, e.o.View.Purged())
	return n
}

// unchanged makes a quiet entry that repeats the present state with an outcome
// beside it.
func (e *Engine) unchanged(p *present, status string, now time.Time) inbox.Entry {
	n := p.entry
	n.Epoch, n.Status, n.Quiet = e.o.Epoch, status, true
	n.Succeed(&p.entry, false, now, e.o.View.Purged())
	return n
}

// commit appends what decide makes of the subject's present state, deciding
// again whenever another writer was first.
func (e *Engine) commit(ctx context.Context, subject, id string, p present, decide func(*present) (inbox.Entry, error)) (inbox.Entry, inbox.Receipt, error) {
	for {
		p.entry.Subject = subject
		n, err := decide(&p)
		if err != nil {
			return n, inbox.Receipt{}, err
		}
		r := e.o.Log.Append(ctx, inbox.Proposal{Subject: subject, Expect: p.entry.Seq, ID: id, Data: n.Encode()})[0]
		if !errors.Is(r.Err, inbox.ErrConflict) {
			n.Seq = r.Seq
			return n, r, r.Err
		}
		if err := ctx.Err(); err != nil {
			return n, r, fmt.Errorf("append to %s: %w", subject, err)
		}
		if p, err = e.fromLeader(ctx, subject); err != nil {
			return n, r, err
		}
	}
}
