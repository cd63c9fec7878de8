package natslog

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Members are the servers that store the log, as its leader sees them.
type Members struct {
	// Leader is the leader's name, empty on a log of one server.
	Leader string
	// Stored is how many servers the log is to be on, Current how many have all of
	// it now, the leader among them.
	Stored, Current int
}

func membersOf(info *jetstream.StreamInfo) Members {
	m := Members{Stored: 1, Current: 1}
	if info.Cluster == nil {
		return m
	}
	m.Leader = info.Cluster.Leader
	for _, r := range info.Cluster.Replicas {
		m.Stored++
		if r.Current && !r.Offline {
			m.Current++
		}
	}
	return m
}

// whole says whether all servers have everything.
func (m Members) whole() bool { return m.Current == m.Stored }

// Joined says what this node of a cluster still lacks of what the others have, until it
// has had everything once: it counts for the quorum only then, so that no other node
// should be stopped before. It is nil for a log that has one node, or is elsewhere. It may
// be called concurrently, and takes up to some milliseconds.
func (l *Log) Joined() error {
	if l.engine == nil || l.opts.Cluster == nil || l.joined.Load() {
		return nil
	}
	if health := l.engine.server.Healthz(nil); health.Error != "" {
		return fmt.Errorf("this node does not have yet what the others have: %s", health.Error)
	}
	l.joined.Store(true)
	return nil
}

// Leads says whether this process's own engine leads the log, and so decides what
// comes next in it.
func (l *Log) Leads() bool {
	return l.engine != nil && (l.opts.Cluster == nil || l.leads(streamName))
}

// leads says whether this node's engine, one of several, leads the stream.
func (l *Log) leads(stream string) bool {
	return l.engine.server.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, stream)
}

// handOver gives what this node leads to nodes that have all of it, so that alarms do
// not stand still until its silence has been found out and a new leader elected. When
// it does not succeed, an election finds one as after a kill.
func (l *Log) handOver(ctx context.Context) {
	if l.engine == nil || l.opts.Cluster == nil || l.js == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, handOverTimeout)
	defer cancel()
	var led []string
	for name := range l.js.StreamNames(ctx).Name() {
		if l.leads(name) && l.engine.server.JetStreamStepdownStream(server.DEFAULT_GLOBAL_ACCOUNT, name) == nil {
			led = append(led, name)
		}
	}
	for _, name := range led { // what was said must be on its way before the engine stops
		for ctx.Err() == nil && !l.ledElsewhere(ctx, name) {
			select {
			case <-time.After(handOverCheck):
			case <-ctx.Done():
			}
		}
	}
	l.opts.Logger.Info("handed over what this node led", "streams", len(led), "all", ctx.Err() == nil)
}

// ledElsewhere says whether another node leads the stream. While nobody does, nobody
// answers.
func (l *Log) ledElsewhere(ctx context.Context, name string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*handOverCheck)
	defer cancel()
	s, err := l.js.Stream(ctx, name)
	if err != nil {
		return false
	}
	c := s.CachedInfo().Cluster
	return c != nil && c.Leader != "" && c.Leader != l.opts.Cluster.Node
}

const (
	handOverTimeout = 2 * time.Second
	handOverCheck   = 20 * time.Millisecond
)

// unheard is after how long a leader that hears nothing of a server may not count
// it among those that follow. Servers speak every second.
const unheard = 2500 * time.Millisecond

// followed fails when who answered is no leader, as a server answers when it knows of
// none or has just found one, or is one that has lost most of the others: it does not
// know yet that another one may lead by now, and what it says may be old.
func followed(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Config.Replicas < 2 {
		return nil
	}
	if info.Cluster.Leader == "" {
		return fmt.Errorf("%w: %w", inbox.ErrUnavailable, errNoLeader)
	}
	all, heard := 1, 1
	for _, r := range info.Cluster.Replicas {
		if r.Name == info.Cluster.Leader { // who answers does not name himself
			return fmt.Errorf("%w: an answer of one that follows %s", inbox.ErrUnavailable, r.Name)
		}
		all++
		if !r.Offline && r.Active > 0 && r.Active < unheard { // 0 is never
			heard++
		}
	}
	if heard*2 > all {
		return nil
	}
	return fmt.Errorf("%w: the leader %s hears %d of %d servers", inbox.ErrUnavailable, info.Cluster.Leader, heard, all)
}
