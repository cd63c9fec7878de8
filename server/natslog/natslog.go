// Package natslog keeps the log, the read marks, the leases and other small
// buckets in NATS JetStream, embedded in the process or external. It is the only
// package that imports NATS.
//
// Rules of use: one [Log] per process, opened with [Open] and closed last. Its
// methods may be called by many goroutines at once. An embedded store belongs to
// one process at a time, which a lock on its directory enforces. Below the reserve
// of free space everything but tickets and revocations, which are small and go by
// themselves, is refused before the engine sees it, because a JetStream store that
// has met a full disk stays broken until it is restarted.
package natslog

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

var _ inbox.Log = (*Log)(nil)

// streamName is the one stream; its messages are the log.
const streamName = "LOG"

// Options say where the log lives and how careful it is.
type Options struct {
	// Dir is the directory of the embedded store; it is made when missing.
	Dir string
	// URL names external NATS servers, separated by commas. When it is set
	// nothing is embedded, and Dir, the Sync fields and Reserve are not used.
	URL string
	// Credentials are for those servers.
	Credentials Credentials
	// SyncAlways flushes every append to the disk before it is acknowledged,
	// at a small fraction of the rate.
	SyncAlways bool
	// SyncInterval is how often the disk is flushed otherwise. 0 is one second:
	// a killed process loses nothing either way, a power cut loses what one
	// interval held, and a second of that costs a few fsyncs only.
	SyncInterval time.Duration
	// Reserve is the free space, in bytes, below which Append answers
	// inbox.ErrFull. 0 is 512 MiB; negative is no reserve.
	Reserve int64
	// ReserveInterval is how often free space is measured. 0 is one second.
	ReserveInterval time.Duration
	// FreeSpace measures the free space of a directory in bytes. nil asks the
	// file system.
	FreeSpace func(dir string) (uint64, error)
	// AcceptLoss goes on without messages that are damaged or missing, which Open
	// refuses otherwise; see Log.Lost. In a cluster it has no effect: there a node
	// gets what it lacks from the others, into an empty directory.
	AcceptLoss bool
	// Stored, unless nil, says whether bytes can be a message of the log: what cannot
	// is damaged. The engine's checksums do not cover where a subject ends.
	Stored func(data []byte) bool
	// DedupeWindow is how long ids are remembered. 0 is 10 minutes.
	DedupeWindow time.Duration
	// Replicas is how many servers of a cluster store everything. 0 is 1.
	Replicas int
	// AckTimeout is how long one attempt of an append may go without any
	// answer; an append is given up after three times as long. 0 is 2 seconds.
	AckTimeout time.Duration
	// Cluster, unless nil, makes the embedded engine one of several.
	Cluster *Cluster
	// MQTT is the address, host:port, at which an embedded engine listens for
	// MQTT clients, who wait until ServeMQTT runs; empty is nowhere.
	MQTT string
	// MQTTTLS, unless nil, is what connections of MQTT begin with.
	MQTTTLS *tls.Config
	// MQTTConnections is how many MQTT clients may be connected, those among them who
	// have not said yet who they are. 0 is 65,536.
	MQTTConnections int
	// Logger gets the engine's warnings and errors. nil is slog.Default.
	Logger *slog.Logger
}

// withDefaults fills in the zero values.
func (o Options) withDefaults() Options {
	if o.SyncInterval == 0 {
		o.SyncInterval = time.Second
	}
	if o.Reserve == 0 {
		o.Reserve = 512 << 20
	}
	if o.ReserveInterval == 0 {
		o.ReserveInterval = time.Second
	}
	if o.FreeSpace == nil {
		o.FreeSpace = freeSpace
	}
	if o.DedupeWindow == 0 {
		o.DedupeWindow = 10 * time.Minute
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.AckTimeout == 0 {
		o.AckTimeout = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Log is the log in JetStream.
type Log struct {
	opts    Options
	engine  *engine // nil when external
	broker  *engine // that listens for MQTT; nil where none does
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  jetstream.Stream
	appends *appends
	joined  atomic.Bool   // has had everything that the other nodes have
	end     atomic.Uint64 // what the leader had last when it was asked last; 0 for nothing
	full    atomic.Bool
	scant   atomic.Bool   // hardly anything is free
	broken  chan struct{} // closed when the engine met a full disk and there is room again
	breaks  sync.Once
	mqtt    *mqttDoor     // nil where nothing listens
	backups chan struct{} // a slot for who makes one
	doubt   doubt         // of who leads

	closed chan struct{} // closed by Close, before anything else
	once   sync.Once
	wg     sync.WaitGroup // the goroutines that end with closed
}

// Open starts the embedded engine, or connects to the external one, and makes
// sure that the stream is there. The context bounds the opening only.
func Open(ctx context.Context, o Options) (*Log, error) {
	o = o.withDefaults()
	if o.Dir == "" && o.URL == "" {
		return nil, errors.New("open the log: neither a directory nor a URL is given")
	}
	if o.MQTT != "" && o.URL != "" {
		return nil, errors.New("open the log: only an embedded engine listens for MQTT")
	}
	l := newLog(o)
	if err := l.open(ctx); err != nil {
		l.Close(context.WithoutCancel(ctx))
		return nil, err
	}
	return l, nil
}

func newLog(o Options) *Log {
	return &Log{opts: o, closed: make(chan struct{}), broken: make(chan struct{}), backups: make(chan struct{}, 1)}
}

// dial starts the engine, or finds the one elsewhere.
func (l *Log) dial(ctx context.Context) error {
	connect := []nats.Option{
		nats.Name("tocsin"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		// Nothing is kept for a server that is away: a late append whose
		// proposer was told that it failed would be a surprise.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			l.opts.Logger.Warn("connection to the log", "error", err)
		}),
	}
	if l.opts.URL == "" {
		own := l.opts
		if own.Cluster != nil {
			own.MQTT = "" // openMQTT starts another for it
		}
		e, err := startEngine(ctx, own)
		if err != nil {
			return err
		}
		l.engine = e
		connect = append(connect, e.connect(userLog)...)
		l.watchSpace()
	} else {
		connect = append(connect, l.opts.Credentials.external()...)
	}
	err := l.connect(ctx, connect)
	if err != nil {
		return err
	}
	if l.js, err = jetstream.New(l.nc, jetstream.WithDefaultTimeout(requestTimeout)); err != nil {
		return fmt.Errorf("speak JetStream: %w", err)
	}
	return nil
}

func (l *Log) open(ctx context.Context) error {
	err := l.dial(ctx)
	if err == nil {
		err = l.awaitTurn(ctx)
	}
	if err != nil {
		return err
	}
	if l.stream, err = l.ensure(ctx, l.config()); err != nil {
		return fmt.Errorf("make the stream %s: %w", streamName, err)
	}
	if l.appends, err = newAppends(l.nc); err != nil {
		return fmt.Errorf("listen for acknowledgements: %w", err)
	}
	if l.opts.MQTT != "" {
		if err := l.openMQTT(ctx); err != nil {
			return fmt.Errorf("listen for MQTT: %w", err)
		}
	}
	return nil
}

// config is the stream's. There is no limit of age or count: the worker alone decides what goes
// (docs/architecture.md §9). Direct reads are off, else a client may read a
// replica that lags, and decide on what it reads (docs/decisions/0002).
func (l *Log) config() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        streamName,
		Description: "Tocsin: everything that happens, one entry a message",
		Subjects:    inbox.Subjects(),
		Storage:     jetstream.FileStorage,
		Retention:   jetstream.LimitsPolicy,
		Duplicates:  l.opts.DedupeWindow,
		Replicas:    l.opts.Replicas,
		AllowDirect: false,
		MaxMsgs:     -1, MaxBytes: -1, MaxMsgsPerSubject: -1, MaxMsgSize: -1, MaxConsumers: -1,
	}
}

// Close ends the connection and the embedded engine, and waits for its files to
// be written, or for the context. What is being appended or scanned meanwhile
// fails with inbox.ErrUnavailable.
func (l *Log) Close(ctx context.Context) error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		l.wg.Wait()
		l.handOver(ctx)
		if l.mqtt != nil {
			l.mqtt.nc.Close()
		}
		if l.nc != nil {
			l.nc.Close()
		}
		if l.broker != nil && l.broker != l.engine {
			err = l.broker.stop(ctx)
		}
		if l.engine != nil {
			err = errors.Join(err, l.engine.stop(ctx))
		}
	})
	return err
}

// Times that are not worth an option.
const (
	openTimeout    = 30 * time.Second // a cluster may be electing its leaders
	requestTimeout = 5 * time.Second
)

// unavailable says what was being done when the engine gave no answer.
func unavailable(doing string, err error) error {
	return fmt.Errorf("%s: %w: %w", doing, inbox.ErrUnavailable, err)
}

var errClosed = errors.New("the log is closed")
