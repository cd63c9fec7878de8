package natslog

import (
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

// Leads says whether this process's own engine leads the log, and so decides what
// comes next in it.
func (l *Log) Leads() bool {
	return l.engine != nil && (l.opts.Cluster == nil || l.engine.server.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, streamName))
}

// unheard is after how long a leader that hears nothing of a server may not count
// it among those that follow. Servers speak every second.
const unheard = 2500 * time.Millisecond

// followed fails when who answered is no leader, as a server answers when it knows of
// none, or one that has lost most of the others: it does not know yet that another
// one may lead by now, and what it says may be old.
func followed(info *jetstream.StreamInfo) error {
	if info.Cluster == nil || info.Config.Replicas < 2 {
		return nil
	}
	if info.Cluster.Leader == "" {
		return fmt.Errorf("%w: %w", inbox.ErrUnavailable, errNoLeader)
	}
	all, heard := 1, 1
	for _, r := range info.Cluster.Replicas {
		all++
		if !r.Offline && r.Active < unheard {
			heard++
		}
	}
	if heard*2 > all {
		return nil
	}
	return fmt.Errorf("%w: the leader %s hears %d of %d servers", inbox.ErrUnavailable, info.Cluster.Leader, heard, all)
}
