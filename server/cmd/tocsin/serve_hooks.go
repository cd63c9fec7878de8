package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"time"

	"tocsin/server/alarm"
	explaining "tocsin/server/explain"
	"tocsin/server/hooks"
	"tocsin/server/inbox"
	"tocsin/server/ingest"
	"tocsin/server/natslog"
	"tocsin/server/presence"
	"tocsin/server/trace"
)

const (
	// evidenceBytes bounds what is kept of who got what.
	evidenceBytes = 1 << 30
	// hookWorkers is how many requests one receiver gets at a time.
	hookWorkers = 4
	// hookSlack is how much longer the queue keeps a message than it is tried, so
	// that every one is given up by its sender and becomes a dead letter.
	hookSlack = 2 * time.Hour
)

// makeHooks begins to tell others of events, if anybody wants to hear.
func (n *node) makeHooks(ctx context.Context) (err error) {
	if len(n.conf.HookURLs) == 0 {
		return nil
	}
	text, err := os.ReadFile(n.conf.HookSecretFile)
	if err != nil {
		return fmt.Errorf("hook-secret-file: %w", err)
	}
	name, _ := built()
	o := hooks.Options{Timeout: n.conf.HookTimeout, Dead: n.bury, Count: n.metrics.Hook, Logger: n.logger, Agent: "tocsin/" + name}
	if o.Secret, err = hooks.ParseSecret(string(text)); err != nil {
		return fmt.Errorf("hook-secret-file: %w", err)
	}
	for _, e := range n.conf.HookEvents {
		o.Events = append(o.Events, hooks.Event(e))
	}
	var queues []*natslog.Queue
	for _, url := range n.conf.HookURLs {
		sum := sha256.Sum256([]byte(url))
		q, err := n.store.Queue(ctx, natslog.QueueConfig{
			Name: "hooks_" + hex.EncodeToString(sum[:8]), Description: "Tocsin: what one receiver is still to be told",
			MaxAge: hooks.DefaultGiveUp + hookSlack, Backoff: hooks.Backoff,
			Workers: hookWorkers, AckWait: n.conf.HookTimeout + 5*time.Second,
		})
		if err != nil {
			return err
		}
		queues = append(queues, q)
		o.Receivers = append(o.Receivers, hooks.Receiver{URL: url, Queue: hookQueue{q}})
	}
	if n.hooks, err = hooks.New(o); err != nil {
		return err
	}
	n.measureHooks(queues)
	// Ends with running.
	n.background.Go(func() { n.hooks.Run(n.running) })
	return n.followAcks(ctx)
}

// bury keeps a message that was given up.
func (n *node) bury(ctx context.Context, l hooks.Letter) error {
	return n.letters.Add(ctx, ingest.Letter{Time: l.At, Door: "hooks", Body: l.Body,
		Problem: fmt.Sprintf("message %s was not accepted by %s in %d attempts: %s", l.ID, l.URL, l.Attempts, l.Reason)})
}

// followAcks tells of acknowledgements, on one node at a time.
func (n *node) followAcks(ctx context.Context) error {
	if !n.hooks.Wants(hooks.Acked) {
		return nil
	}
	positions, err := n.store.Positions(ctx)
	if err != nil {
		return err
	}
	if err := n.hooks.BeginAcks(ctx, n.log, positions); err != nil {
		return err
	}
	lease, err := n.store.Lease(ctx, "hooks", n.conf.LeaseTTL)
	if err != nil {
		return err
	}
	// Ends with running.
	n.background.Go(func() {
		n.again("hold the lease of the hooks", func(ctx context.Context) error {
			return lease.Hold(ctx, during(&n.roles.hooks, func(ctx context.Context) { n.hooks.FollowAcks(ctx, n.log, positions) }))
		})
	})
	return nil
}

// A hookQueue is a queue as hooks want one.
type hookQueue struct{ *natslog.Queue }

func (q hookQueue) Run(ctx context.Context, do func(context.Context, hooks.Job) error) error {
	return q.Queue.Run(ctx, func(ctx context.Context, j natslog.Job) error { return do(ctx, hooks.Job(j)) })
}

// attend notes who is connected and, unless that is switched off, who got what.
func (n *node) attend(ctx context.Context) error {
	n.presence = presence.New(presence.Options{Node: n.name(), Run: n.epoch, Away: 3 * n.conf.PollIdle, Observe: n.observe})
	n.cluster = presence.NewCluster(presence.ClusterOptions{
		Registry: n.presence, Bus: n.store.Bus("presence"), Streams: n.conf.Connections, Logger: n.logger,
	})
	n.tracer = trace.New(trace.Options{Node: n.name(), Run: n.epoch, Bus: n.store.Bus("trace"), Logger: n.logger})
	// Both end with running.
	n.background.Go(func() { n.presence.Run(n.running) })
	n.background.Go(func() { n.again("hear whom other nodes trace", n.tracer.Run) })
	if n.conf.Evidence == 0 {
		return nil
	}
	feed, err := n.store.Feed(ctx, natslog.FeedConfig{
		Name: "evidence", Description: "Tocsin: how far each client was delivered to",
		MaxAge: n.conf.Evidence, MaxBytes: evidenceBytes,
	})
	if err != nil {
		return err
	}
	recorder := presence.NewRecorder(n.presence, feed, n.logger)
	// Ends with running, after its last checkpoint.
	n.background.Go(func() { recorder.Run(n.running) })
	n.evidence = presence.NewEvidence(presence.EvidenceOptions{Feed: feed, View: n.view, Log: n.log, Registry: n.presence})
	return nil
}

// name is what people call the node.
func (n *node) name() string {
	if name := cmp.Or(n.conf.Node, n.conf.ClusterNode); name != "" {
		return name
	}
	name, err := os.Hostname()
	if err != nil {
		return "unknown"
	}
	return name
}

// meet tells the other nodes who is connected to this one, and hears of theirs.
func (n *node) meet(context.Context) error {
	// Ends with running, after its farewell.
	n.background.Go(func() { n.again("hear the other nodes", n.cluster.Run) })
	return nil
}

// observe hears what happens to connections.
func (n *node) observe(e presence.Event) {
	if n.tracer.Wanted() {
		n.tracer.Tell(trace.Line{What: string(e.Kind), User: e.User, Transport: e.Transport, Connection: e.Connection, Destination: e.Destination})
	}
	if n.hooks != nil {
		n.hooks.Offer(hooks.Event("connection."+string(e.Kind)),
			hooks.Connection{ID: e.Connection, User: e.User, Transport: e.Transport, Node: e.Node, Destination: e.Destination, Attributes: e.Attributes}, e.At)
	}
}

// seekers are how the worker finds out whether a critical alarm has reached
// anybody, and whom it tells if not; nil where nobody wants to know.
func (n *node) seekers() (reached func(context.Context, inbox.Entry) (bool, error), undelivered func(context.Context, alarm.Alarm, inbox.Entry) error) {
	if n.hooks == nil || n.evidence == nil || !n.hooks.Wants(hooks.Undelivered) {
		return nil, nil
	}
	return n.evidence.Reached, func(ctx context.Context, _ alarm.Alarm, e inbox.Entry) error {
		return n.hooks.Undelivered(ctx, e)
	}
}

func (n *node) explainer() *explaining.Explainer {
	return explaining.New(explaining.Options{
		View: n.view, Log: n.log, Cluster: n.cluster, Evidence: n.evidence, Unassigned: n.conf.UnassignedGroups,
	})
}
