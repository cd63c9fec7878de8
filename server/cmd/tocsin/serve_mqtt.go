package main

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"

	"tocsin/server/auth"
	"tocsin/server/ingest"
	"tocsin/server/natslog"
)

// What is kept of dead letters.
const (
	lettersAge   = 30 * day
	lettersBytes = 64 << 20
)

func (n *node) keepLetters(ctx context.Context) error {
	feed, err := n.store.Feed(ctx, natslog.FeedConfig{
		Name: "deadletters", Description: "Tocsin: what doors refused and could not tell its sender",
		MaxAge: lettersAge, MaxBytes: lettersBytes,
	})
	if err != nil {
		return err
	}
	n.letters = countedLetters{ingest.NewDeadLetters(feed), n.metrics}
	n.metrics.Letters("mqtt", "hooks")
	return nil
}

// serveMQTT lets MQTT clients in, who have waited until now.
func (n *node) serveMQTT(context.Context) error {
	if n.conf.MQTT == "" {
		return nil
	}
	take := n.takeMQTT()
	// Ends with running.
	n.background.Go(func() {
		n.again("serve MQTT", func(ctx context.Context) error { return n.store.ServeMQTT(ctx, n.judgeMQTT, take) })
	})
	return nil
}

// takeMQTT publishes messages. A trouble, which may last for hours with as many
// attempts, is logged when it begins and when it is over.
func (n *node) takeMQTT() natslog.MQTTTake {
	door := &ingest.MQTT{Publish: n.alarms.Publish, Letters: n.letters,
		Published: func(status string, events int) { n.metrics.Published("mqtt", status, events) }}
	var failing atomic.Bool
	return func(ctx context.Context, messages []natslog.MQTTMessage) error {
		mine := make([]ingest.MQTTMessage, len(messages))
		for i, m := range messages {
			mine[i] = ingest.MQTTMessage(m)
		}
		err := door.Take(ctx, mine)
		switch was := failing.Swap(err != nil); {
		case err != nil && !was && ctx.Err() == nil:
			n.logger.Warn("what came over MQTT waits", "error", err)
		case err == nil && was:
			n.logger.Info("what came over MQTT is published again")
		}
		return err
	}
}

// judgeMQTT lets in who may publish, as long as it is not too much.
func (n *node) judgeMQTT(ctx context.Context, from netip.Addr, token string) (natslog.MQTTIdentity, error) {
	leave, err := n.limiter.Enter(from)
	if err != nil {
		return natslog.MQTTIdentity{}, err
	}
	id, err := n.gate.Verify(ctx, token)
	if err == nil && !id.Has(auth.ScopePublish) {
		err = fmt.Errorf("the token of %q lacks the scope %s", id.User, auth.ScopePublish)
	}
	if err != nil {
		leave()
		return natslog.MQTTIdentity{}, err
	}
	return natslog.MQTTIdentity{
		User: id.User, Expires: id.Expires,
		Revoked: func() bool { return n.gate.TakenBack(id) },
		Gone:    leave,
	}, nil
}
