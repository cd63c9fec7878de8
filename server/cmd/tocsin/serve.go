package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/alarm"
	"tocsin/server/audit"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/hooks"
	"tocsin/server/httpd"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/limit"
	"tocsin/server/metrics"
	"tocsin/server/natslog"
	"tocsin/server/presence"
	"tocsin/server/redissession"
	"tocsin/server/topics"
	"tocsin/server/trace"
	"tocsin/transports"
)

func newServe() *cobra.Command {
	var flags configFlags
	var acceptLoss bool
	cmd := &cobra.Command{
		Use:     "serve",
		Short:   "Run the gateway",
		GroupID: groupServer,
		Long: `Runs the gateway until it is interrupted or told to terminate; then it sends its
clients away over the time of --drain and ends with exit code 0. A second signal
ends it at once.

Once it answers it logs one line, "serving", with the addresses it listens on. SIGHUP
makes it read the configuration again and take over what may change while it runs.

Every setting is a flag here, a variable (--device-time is TOCSIN_DEVICE_TIME)
and a key of the configuration file; a flag beats a variable, a variable beats the
file. 'tocsin config sample' explains each, 'tocsin config check' shows the effect.
The secret of HS256 may also be given in TOCSIN_JWT_HS256.`,
		Example: `  tocsin secret jwt.key
  tocsin serve --data data --jwt-hs256-file jwt.key
  tocsin serve --config /etc/tocsin.yml --log-format json`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := flags.load(os.Environ())
			if err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			level := new(slog.LevelVar)
			level.Set(levelOf(conf.settings))
			logger := newLoggerAt(conf.settings, cmd.ErrOrStderr(), level)
			for _, name := range conf.ignored {
				logger.Warn("a variable that is no setting is ignored", "variable", name)
			}
			conf.acceptLoss = acceptLoss
			n := newNode(conf.settings, logger)
			n.level, n.reread = level, func() (configuration, error) { return flags.load(os.Environ()) }
			hangups := make(chan os.Signal, 1)
			signal.Notify(hangups, syscall.SIGHUP)
			defer signal.Stop(hangups)
			n.hangups = hangups
			return n.serve(cmd.Context())
		},
	}
	cmd.Flags().BoolVar(&acceptLoss, "accept-loss", false, "for one start: go on without stored messages that are damaged or missing")
	flags.register(cmd)
	return cmd
}

// A node is the running gateway, as far as it has been put together.
type node struct {
	conf    settings
	logger  *slog.Logger
	metrics *metrics.Metrics

	verifier  *auth.Verifier
	keyFiles  stamps
	cert      *httpd.Certificate // nil without TLS
	certFiles stamps
	limiter   *limit.Limiter
	public    net.Listener
	ops       net.Listener // nil if switched off
	porch     httpd.Porch  // who answers at both until the doors open
	store     *natslog.Log
	log       countedLog // the same, counted
	epoch     string
	topics    *topics.Topics
	view      *inbox.View
	viewed    atomic.Pointer[inbox.View] // the same, for the metrics
	roles     roles
	marks     inbox.Marks
	gate      *auth.Gate
	redis     *redissession.Sessions // nil if nobody's sessions are there
	hooks     *hooks.Hooks           // nil if nobody is told
	presence  *presence.Registry
	cluster   *presence.Cluster
	tracer    *trace.Tracer
	evidence  *presence.Evidence // nil if none is kept
	letters   ingest.DeadLetters
	audit     *audit.Trail // nil if none is kept
	directory *directory.Directory
	alarms    *alarm.Engine
	server    *httpd.Server

	// undeliveredAfter is alarm.Options.UndeliveredAfter.
	undeliveredAfter time.Duration
	// hangups ask for the settings to be read again, by reread; both nil where nobody
	// does. level is the logger's.
	hangups <-chan os.Signal
	reread  func() (configuration, error)
	level   *slog.LevelVar
	// present are the settings as they are now: conf is those of the start, which
	// others read. reloads are what is read again besides.
	present settings
	reloads []func() error
	// serving, unless nil, is called once the doors are open.
	serving func(address string)

	// running outlives the signal that ends the node: while it drains, readers
	// are served as before.
	running    context.Context
	stop       context.CancelFunc
	background sync.WaitGroup
}

func newNode(conf settings, logger *slog.Logger) *node {
	n := &node{conf: conf, present: conf, logger: logger, metrics: metrics.New()}
	n.metrics.Build(built())
	n.measureRoles()
	return n
}

// serve puts the node together, step by step in the order in which the parts
// need each other, and runs it until the context ends.
func (n *node) serve(ctx context.Context) (err error) {
	n.running, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	defer func() { err = errors.Join(err, n.close()) }()
	for _, step := range []func(context.Context) error{
		n.takeKeys,    // who may come in
		n.listen,      // where
		n.watchFiles,  // keys and certificates that change
		n.openLog,     // what happened
		n.beginEpoch,  // and what happens from now on
		n.makeTopics,  // who hears of topics
		n.followLog,   // the view: everything in memory
		n.followMarks, // what has been read
		n.guard,       // tickets, and tokens that were taken back
		n.keepLetters, // what doors refuse
		n.keepTrail,   // who did what
		n.makeHooks,   // who else is told
		n.attend,      // who is connected, and who got what
		n.decide,      // what events and commands do
		n.work,        // what needs a clock, on one node at a time
		n.makeDoors,
		n.meet,              // the other nodes' clients, and they ours
		n.followRevocations, // the doors hear of them
		n.serveMQTT,
	} {
		if err := step(ctx); err != nil {
			if ctx.Err() != nil {
				n.logger.Info("interrupted while starting", "at", err)
				return nil
			}
			return err
		}
	}
	return n.run(ctx)
}

// listen takes the ports before anything slow, so that a wrong address shows at
// once. Operators are answered from then on: a node may wait long for others, and
// is alive. Clients wait to be served; but where there are other nodes they are
// sent to those.
func (n *node) listen(ctx context.Context) (err error) {
	var config net.ListenConfig
	if n.public, err = config.Listen(ctx, "tcp", n.conf.HTTP); err != nil {
		return fmt.Errorf("http: %w", err)
	}
	if err := errors.Join(n.limits(), n.takeCertificate()); err != nil {
		return err
	}
	if n.conf.Ops != "" {
		if n.ops, err = config.Listen(ctx, "tcp", n.conf.Ops); err != nil {
			return fmt.Errorf("ops: %w", err)
		}
		n.porch.Ops(n.ops)
	}
	if n.conf.shared() {
		n.porch.Public(n.public)
	}
	return nil
}

// beginEpoch is the node's first write, before its doors and worker open. A log on
// several machines may be electing who leads it, which is waited for.
func (n *node) beginEpoch(ctx context.Context) (err error) {
	for {
		n.epoch, err = inbox.BeginEpochAfter(ctx, n.log, time.Now(), n.store.Lost())
		if !errors.Is(err, inbox.ErrUnavailable) || !n.conf.shared() {
			return err
		}
		n.logger.Warn("the log does not take the node's first entry: again in a second", "error", err)
		if err := until(ctx, time.Now().Add(time.Second)); err != nil {
			return err
		}
	}
}

func (n *node) followLog(ctx context.Context) error {
	n.view = inbox.NewView(n.log, inbox.ViewOptions{
		Window: int(n.conf.Window), Unassigned: n.conf.UnassignedGroups, Logger: n.logger,
		Observe: httpd.Observe(n.metrics), Topic: n.topics.Heard, Reloaded: n.topics.Missed,
	})
	n.viewed.Store(n.view)
	// Ends with running.
	n.background.Go(func() { _ = n.view.Run(n.running) })
	return await(ctx, n.view.Ready(), "the log to be loaded")
}

// followMarks brings other nodes' read marks into the view, and at first all
// there are, so that no counter is ever served too high.
func (n *node) followMarks(ctx context.Context) (err error) {
	marks, err := n.store.Marks(ctx)
	if err != nil {
		return err
	}
	n.marks = countedMarks{marks, n.log}
	present := make(chan struct{})
	once := sync.OnceFunc(func() { close(present) })
	// Ends with running.
	n.background.Go(func() {
		n.again("follow the read marks", func(ctx context.Context) error { return n.marks.Watch(ctx, once, n.view.SetMark) })
	})
	return await(ctx, present, "the read marks to be loaded")
}

// guard completes who may come in by what the log keeps about it.
func (n *node) guard(ctx context.Context) error {
	tickets, err := n.store.Tickets(ctx, auth.TicketTTL)
	if err != nil {
		return err
	}
	taken, err := n.store.Revocations(ctx, auth.DefaultRevocationTTL)
	if err != nil {
		return err
	}
	revocations := auth.NewRevocations(taken, auth.RevocationOptions{Logger: n.logger})
	n.gate = &auth.Gate{
		Verifier: n.verifier, Tickets: auth.NewTickets(tickets, auth.TicketOptions{Logger: n.logger}),
		Revocations: revocations, AllowQuery: n.conf.TokenInURL,
	}
	n.gate.Sessions, err = n.keepers()
	return err
}

// followRevocations must have loaded them before the doors open, else revoked
// tokens would come in.
func (n *node) followRevocations(ctx context.Context) error {
	// Ends with running.
	n.background.Go(func() { _ = n.gate.Revocations.Run(n.running) })
	return await(ctx, n.gate.Revocations.Loaded(), "the revocations to be loaded")
}

func (n *node) decide(context.Context) error {
	n.directory = directory.New(directory.Options{Log: n.log, View: n.view, Epoch: n.epoch})
	reached, undelivered := n.seekers()
	n.alarms = alarm.New(alarm.Options{
		Log: n.log, View: n.view, Router: n.directory, Epoch: n.epoch,
		Unassigned: n.conf.UnassignedGroups, TrustDeviceTime: n.conf.DeviceTime == timeTrust,
		Fold: n.conf.Fold, AutoClear: n.conf.AutoClear,
		Retention: alarm.Retention{Age: n.conf.Retention, Bytes: uint64(n.conf.RetentionBytes), Window: n.conf.DedupeWindow},
		Reached:   reached, Undelivered: undelivered, UndeliveredAfter: n.undeliveredAfter,
		Logger: n.logger,
	})
	return nil
}

// work does what one node at a time does, whenever it is this one's turn.
func (n *node) work(ctx context.Context) error {
	lease, err := n.store.Lease(ctx, "worker", n.conf.LeaseTTL)
	if err != nil {
		return err
	}
	// Ends with running.
	n.background.Go(func() {
		n.again("hold the worker's lease", func(ctx context.Context) error { return lease.Hold(ctx, during(&n.roles.worker, n.alarms.Work)) })
	})
	return nil
}

func (n *node) makeDoors(ctx context.Context) (err error) {
	compat, err := n.compat(ctx)
	if err != nil {
		return err
	}
	drain := n.conf.Drain
	if drain == 0 {
		drain = -1 // httpd's word for all at once
	}
	n.server, err = httpd.New(httpd.Options{
		View: n.view, Marks: n.marks, Auth: n.gate, Alarms: n.alarms, Directory: n.directory,
		Presence: n.presence, Cluster: n.cluster, Explain: n.explainer(), DeadLetters: n.letters,
		Trail: n.trail(), AdminApart: n.conf.Admin == adminOps,
		Compat:  compat,
		Backup:  n.backup,
		Limiter: n.limiter,
		Trace:   n.tracer,
		Metrics: n.metrics, Logger: n.logger, Ready: n.log.Joined,
		Origins:     n.conf.AllowedOrigins,
		Connections: n.conf.Connections, AuthTimeout: n.conf.AuthTimeout, DeadAfter: n.conf.DeadAfter,
		Limits: transports.Limits{
			Ping: n.conf.Ping, Rotate: n.conf.StreamLifetime, WriteTimeout: n.conf.WriteTimeout,
			FlushEntries: n.conf.FrameEntries, FlushBytes: int(n.conf.FrameBytes),
			PageBytes: int(n.conf.PageBytes), Retry: n.conf.ClientRetry,
		},
		Busy: n.conf.PollBusy, Idle: n.conf.PollIdle,
		MaxBatchBytes: int(n.conf.BatchBytes), MaxBatchEvents: n.conf.BatchEvents,
		BodyTimeout: n.conf.BodyTimeout, AnswerTimeout: n.conf.AnswerTimeout,
		HeaderTimeout: n.conf.HeaderTimeout, IdleTimeout: n.conf.IdleTimeout,
		DrainSpread: drain, Linger: cmp.Or(n.conf.Linger, -1),
	})
	return err
}
