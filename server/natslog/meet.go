package natslog

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// whoIsThere is the subject at which the nodes of a log answer with their name and
// what they do. An empty log is begun only when all of a cluster are there and none
// of them restores a backup into it: two begin none, while the third is about to.
const whoIsThere = "tocsin.nodes"

// What a node does.
const (
	roleServing   = "serving"
	roleRestoring = "restoring"
)

// present has others know that this node is there.
func (l *Log) present(role string) error {
	name := l.nc.NewInbox() // of a gateway without an engine
	if l.opts.Cluster != nil {
		name = l.opts.Cluster.Node
	}
	_, err := l.nc.Subscribe(whoIsThere, func(m *nats.Msg) { _ = m.Respond([]byte(name + " " + role)) })
	if err != nil {
		return unavailable("tell others that the node is there", err)
	}
	return nil
}

// askAround is how long the others have for an answer.
const askAround = 250 * time.Millisecond

// others asks who is there: the nodes' number, this one among them, and whether one
// of them restores a backup.
func (l *Log) others() (nodes int, restoring bool, err error) {
	answers, err := l.nc.SubscribeSync(l.nc.NewInbox())
	if err != nil {
		return 0, false, err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := l.nc.PublishRequest(whoIsThere, answers.Subject, nil); err != nil {
		return 0, false, err
	}
	heard := map[string]bool{}
	for until := time.Now().Add(askAround); ; {
		m, err := answers.NextMsg(time.Until(until))
		if err != nil || len(m.Data) == 0 { // nobody, or nobody any more
			return len(heard), restoring, nil
		}
		name, role, _ := strings.Cut(string(m.Data), " ")
		heard[name] = true
		restoring = restoring || role == roleRestoring
	}
}

// awaitTurn waits until there is a log, or an empty one may be begun.
func (l *Log) awaitTurn(ctx context.Context) error {
	if l.opts.Cluster == nil && l.opts.URL == "" {
		return nil
	}
	if err := l.present(roleServing); err != nil {
		return err
	}
	said, wait := "", formFirst
	for {
		nodes, restoring, err := l.others()
		waits := ""
		switch {
		case err != nil:
			waits = "waiting for the servers of the log"
		case restoring:
			waits = "waiting for a backup to be restored"
		default:
			try, cancel := context.WithTimeout(ctx, wait)
			_, err = l.js.Stream(try, streamName)
			cancel()
			switch {
			case errors.Is(err, jetstream.ErrStreamNotFound) && l.opts.Cluster != nil && nodes < len(l.opts.Cluster.Peers):
				waits = "waiting for all nodes of the cluster, to begin its log"
			case err == nil, errors.Is(err, jetstream.ErrStreamNotFound), !unformed(err):
				return nil // what else may be wrong shows when the stream is opened
			default:
				waits, wait = "waiting for the other nodes of the log", min(2*wait, formTimeout)
			}
		}
		if said != waits {
			said = waits
			l.opts.Logger.Info(waits, "nodes", nodes, "error", err)
		}
		if !l.pause(ctx, formInterval) {
			return unavailable(waits, errors.Join(errClosed, ctx.Err()))
		}
	}
}
