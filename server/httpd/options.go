package httpd

import (
	"cmp"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	explaining "tocsin/server/explain"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/limit"
	"tocsin/server/metrics"
	"tocsin/server/presence"
	"tocsin/server/trace"
	"tocsin/transports"
)

// Alarms takes events, commands and notices. Errors are those of the packages
// alarm and inbox.
type Alarms interface {
	Records
	// Publish answers each event, in order.
	Publish(ctx context.Context, publisher string, events []alarm.Event) []alarm.Result
	// Do and DoAll do what users want done to alarms.
	Do(ctx context.Context, c alarm.Command) (alarm.Alarm, error)
	DoAll(ctx context.Context, commands []alarm.Command) ([]alarm.Done, error)
	Notifier
}

// A Notifier stores notices, one or many at once.
type Notifier interface {
	Notify(ctx context.Context, from string, n alarm.Notice) ([]alarm.NoticeResult, error)
	NotifyAll(ctx context.Context, from string, notices []alarm.Notice) []alarm.Notified
}

// Records are what is known of single alarms.
type Records interface {
	// Get returns an occurrence as it is, or as it was last.
	Get(ctx context.Context, user string, groups []string, id string) (alarm.Alarm, error)
	// History tells what happened to one occurrence, a part at a time.
	History(ctx context.Context, user string, groups []string, id, after string, limit int) (changes []alarm.Change, next string, err error)
}

// Directory says who gets what. Errors are an inbox.FieldError or the log's.
type Directory interface {
	Devices
	Users
	Import(ctx context.Context, r io.Reader) (directory.Report, error)
}

// Devices are the part of a Directory that says whose alarms go where.
type Devices interface {
	Device(name string) (groups []string, known bool)
	PutDevice(ctx context.Context, name string, groups []string) error
	DeleteDevice(ctx context.Context, name string) error
}

// Users are the part of a Directory that says who belongs where.
type Users interface {
	User(name string) []string
	PutUser(ctx context.Context, name string, groups []string) error
	DeleteUser(ctx context.Context, name string) error
}

// Explainer says why somebody got an alarm or did not, and whom it has reached.
// Errors are explaining.ErrOff and those of the packages alarm and inbox.
type Explainer interface {
	Explain(ctx context.Context, q explaining.Question) (explaining.Report, error)
	Deliveries(ctx context.Context, alarm string, seq uint64) (explaining.Deliveries, error)
}

var (
	_ Explainer = (*explaining.Explainer)(nil)
	_ Alarms    = (*alarm.Engine)(nil)
	_ Directory = (*directory.Directory)(nil)
)

// Options are what a Server is made of. The first five are required; zero values
// of the others are the defaults given here.
type Options struct {
	View  *inbox.View
	Marks inbox.Marks
	// Auth says who is asking; without Tickets and Revocations it offers neither.
	Auth      *auth.Gate
	Alarms    Alarms
	Directory Directory

	// Presence is told who is connected and how far he is; nil is one of its own.
	// Whoever hands one over has it swept.
	Presence *presence.Registry
	// Backup writes everything that is stored, while all goes on; last: nothing can
	// be stored from then on. nil: it is not offered.
	Backup func(ctx context.Context, w io.Writer, last bool) error
	// Cluster answers who is connected to all nodes; nil is the one of Presence
	// alone. New has it tell what must end here; whoever hands it over runs it.
	Cluster *presence.Cluster
	// Explain answers for deliveries; nil: it is not offered.
	Explain Explainer

	// AdminApart: what takes the scope admin, and the console, is not there for who
	// comes by the public listener. The one of operation answers all routes then.
	AdminApart bool
	// Trail, unless nil, keeps who did what.
	Trail Trail

	// DeadLetters, unless nil, keep what a door refuses and cannot tell its sender;
	// without them it is logged.
	DeadLetters ingest.DeadLetters

	// Trace follows single users, where somebody asks for it; nil is one of its own.
	Trace *trace.Tracer
	// Metrics; nil are some of its own.
	Metrics *metrics.Metrics
	// Logger; nil is silent.
	Logger *slog.Logger
	// Ready, unless nil, says why the node should get no new clients besides its
	// view and its drain; /readyz repeats the error's text.
	Ready func() error

	// Compat are the older protocols that are served besides; nil are none.
	Compat *Compat

	// Origins are the web origins, besides the server's own, whose pages may call
	// it: https://host[:port] each, or * for all.
	Origins []string
	// Connections are the streams that one user may have open at this node, and by
	// Cluster at all of them; one more ends the oldest. 0 is 20.
	Connections int
	// AuthTimeout is how long a WebSocket may take to say whose it is; 0 is 10 s.
	AuthTimeout time.Duration
	// DeadAfter is how long a WebSocket's client may be silent, pongs included;
	// 0 is 45 s.
	DeadAfter time.Duration

	// Limiter bounds what clients may do; nil is one without limits. Whoever hands one
	// over has it count the public listener's connections (limit.Limiter.Listener).
	Limiter *limit.Limiter
	// Limits are the numbers of delivery.
	Limits transports.Limits
	// Busy and Idle are the intervals told to short polls; 0 is 5 s and 30 s.
	Busy, Idle time.Duration
	// MaxBatchBytes and MaxBatchEvents bound one publishing; 0 is 5 MiB and 5,000.
	MaxBatchBytes, MaxBatchEvents int
	// BodyTimeout is how long a body may take to arrive; of a directory, each part
	// of it. 0 is 30 s.
	BodyTimeout time.Duration
	// AnswerTimeout is how long a client may take to accept an answer that is no
	// stream; 0 is 30 s.
	AnswerTimeout time.Duration
	// HeaderTimeout is how long a request's header may take to arrive; 0 is 10 s.
	HeaderTimeout time.Duration
	// IdleTimeout is how long a connection may wait for its next request; 0 is
	// 2 min.
	IdleTimeout time.Duration
	// DrainSpread is the time over which streams are sent away when the node goes
	// down; 0 is 30 s, negative is all at once.
	DrainSpread time.Duration
	// Linger is how long, at least, the node goes on answering once it has said that
	// it goes, so that who sends it clients hears of it first; never longer than
	// DrainSpread. 0 is 5 s, negative is not at all.
	Linger time.Duration
}

func (o Options) withDefaults() Options {
	if o.Metrics == nil {
		o.Metrics = metrics.New()
	}
	if o.Presence == nil {
		o.Presence = presence.New(presence.Options{})
	}
	if o.Cluster == nil {
		o.Cluster = presence.NewCluster(presence.ClusterOptions{Registry: o.Presence})
	}
	if o.Trace == nil {
		o.Trace = trace.New(trace.Options{Node: o.Presence.Node(), Run: rand.Text()})
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	if o.Limiter == nil {
		o.Limiter = limit.New(limit.Options{}, nil)
	}
	o.Limits = o.Limits.WithDefaults()
	o.Connections = cmp.Or(o.Connections, 20)
	o.Busy, o.Idle = cmp.Or(o.Busy, 5*time.Second), cmp.Or(o.Idle, 30*time.Second)
	o.MaxBatchBytes = cmp.Or(o.MaxBatchBytes, 5<<20)
	o.MaxBatchEvents = cmp.Or(o.MaxBatchEvents, alarm.MaxBatchEvents)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 30*time.Second)
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 30*time.Second)
	o.HeaderTimeout = cmp.Or(o.HeaderTimeout, 10*time.Second)
	o.IdleTimeout = cmp.Or(o.IdleTimeout, 2*time.Minute)
	o.DrainSpread = cmp.Or(o.DrainSpread, 30*time.Second)
	o.Linger = cmp.Or(o.Linger, 5*time.Second)
	return o
}
