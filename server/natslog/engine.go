package natslog

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"tocsin/server/inbox"
)

// ErrLocked: another process has the store's directory open.
var ErrLocked = errors.New("the directory is in use by another process")

// engine is a NATS server inside the process that listens on nothing, but for MQTT
// when that is wanted.
type engine struct {
	server *server.Server
	lock   *os.File
	guard  *mqttGuard // nil without MQTT
	secret string     // of this process's own connections; empty where nobody else can connect
	lost   []inbox.Span
	fatal  atomic.Pointer[string]
	full   atomic.Bool // the disk was, when the engine wrote to it
}

// met says whether the engine has met a full disk. It then stores nothing until it is
// started anew, and does not even answer.
func (e *engine) met() bool { return e != nil && e.full.Load() }

// connect is what a connection of this process to the engine needs.
func (e *engine) connect(user string) []nats.Option {
	o := []nats.Option{nats.InProcessServer(e.server)}
	if e.secret != "" {
		o = append(o, nats.UserInfo(user, e.secret))
	}
	return o
}

// noLimit is a size no disk has. Without it the server would allow itself three
// quarters of what is free at its start; the reserve is the limit here.
const noLimit = 1 << 60

func startEngine(ctx context.Context, o Options) (*engine, error) {
	if err := os.MkdirAll(o.Dir, 0o750); err != nil {
		return nil, fmt.Errorf("make the directory of the log: %w", err)
	}
	lock, err := lockDir(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &engine{lock: lock}
	if e.lost, err = inspect(ctx, o); err != nil {
		lock.Close()
		return nil, err
	}
	conf := &server.Options{
		ServerName:             "tocsin", // a node of a cluster has its own
		DontListen:             true,
		JetStream:              true,
		StoreDir:               o.Dir,
		JetStreamMaxStore:      noLimit,
		SyncAlways:             o.SyncAlways,
		SyncInterval:           o.SyncInterval,
		NoSigs:                 true,
		NoLog:                  true,
		DisableJetStreamBanner: true,
	}
	if o.Cluster != nil {
		err = o.Cluster.join(conf)
	}
	if o.Cluster != nil || o.MQTT != "" {
		e.secret = rand.Text()
	}
	switch {
	case err != nil:
	case o.MQTT != "":
		e.guard, err = guardMQTT(conf, o, e.secret)
	case o.Cluster != nil:
		conf.Username, conf.Password = userLog, e.secret
	}
	if err == nil {
		e.server, err = server.NewServer(conf)
	}
	if err != nil {
		lock.Close()
		return nil, fmt.Errorf("configure the engine: %w", err)
	}
	e.server.SetLoggerV2(engineLog{o.Logger, &e.fatal, &e.full}, false, false, false)
	e.server.Start()
	// Recovery reads what a killed process left behind, so it may take a while
	// on a big store.
	for !e.server.ReadyForConnections(time.Second) || !e.server.JetStreamEnabled() {
		err := ctx.Err()
		if why := e.fatal.Load(); why != nil {
			err = errors.New(*why)
		}
		if err != nil || !e.server.Running() {
			e.stop(context.WithoutCancel(ctx))
			return nil, fmt.Errorf("start the engine in %s: %w", o.Dir, errors.Join(err, errNotReady))
		}
	}
	return e, nil
}

var errNotReady = errors.New("it did not become ready")

// stop shuts the server down and waits until its files are written, or for the
// context; only then is the directory free for another process.
func (e *engine) stop(ctx context.Context) error {
	if e.guard != nil {
		e.guard.serve(nil) // who waits to be let in would be waited for
	}
	done := make(chan struct{})
	// Ends with the server's shutdown, which waits for nothing but its own disk.
	go func() {
		e.server.Shutdown()
		e.server.WaitForShutdown()
		e.lock.Close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the engine to stop: %w", ctx.Err())
	}
}

// lockDir takes the directory for this process until the file is closed; the
// system frees it when the process dies, however it dies.
func lockDir(dir string) (*os.File, error) {
	path := filepath.Join(dir, lockName)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return nil, fmt.Errorf("open the lock of the log: %w", err)
	}
	if err := flock(f, dir); err != nil {
		f.Close()
		return nil, err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt(fmt.Appendf(nil, "%d\n", os.Getpid()), 0)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("write %s: %w", path, err)
	}
	return f, nil
}

// lockName is the file that is locked; it says by whom.
const lockName = "LOCK"

// flock locks the directory's file.
func flock(f *os.File, dir string) error {
	taken, err := lockFile(f)
	switch {
	case err == nil:
		return nil
	case !taken:
		return fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	pid, _ := os.ReadFile(f.Name())
	return fmt.Errorf("open the log in %s: %w (pid %s)", dir, ErrLocked, strings.TrimSpace(string(pid)))
}

// engineLog hands the server's warnings and errors to slog. Its notices are
// about listeners and versions, and of no use to an operator of Tocsin.
type engineLog struct {
	to    *slog.Logger
	fatal *atomic.Pointer[string] // what Fatalf was told
	full  *atomic.Bool            // set when the engine says that the disk is
}

func (engineLog) Noticef(string, ...any) {}
func (engineLog) Debugf(string, ...any)  {}
func (engineLog) Tracef(string, ...any)  {}

func (l engineLog) Warnf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "Plaintext passwords") {
		return // the secrets of this process and of the nodes are long and random
	}
	l.to.Warn("engine: " + text)
}

func (l engineLog) Errorf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	if strings.Contains(text, "authentication error") {
		return // the guard of MQTT has said who was refused, and why
	}
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		if strings.Contains(text, full.Error()) {
			l.full.Store(true)
		}
	}
	l.to.Error("engine: " + text)
}

// Fatalf is called with what the server cannot go on after; it then stops by
// itself, and every call fails with inbox.ErrUnavailable. When it cannot listen it
// goes on without, so that the start must look for it.
func (l engineLog) Fatalf(format string, v ...any) {
	why := fmt.Sprintf(format, v...)
	l.fatal.Store(&why)
	l.Errorf("%s", why)
}
