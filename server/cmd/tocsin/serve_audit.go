package main

import (
	"context"

	"tocsin/server/audit"
	"tocsin/server/httpd"
	"tocsin/server/natslog"
)

// auditBytes bounds what is kept of who did what.
const auditBytes = 1 << 30

// keepTrail keeps who did what, unless that is switched off.
func (n *node) keepTrail(ctx context.Context) error {
	if n.conf.Audit == 0 {
		return nil
	}
	feed, err := n.store.Feed(ctx, natslog.FeedConfig{
		Name: "audit", Description: "Tocsin: who did what", MaxAge: n.conf.Audit, MaxBytes: auditBytes,
	})
	if err != nil {
		return err
	}
	n.audit = audit.New(audit.Options{Feed: feed, Node: n.name(), Logger: n.logger})
	// Ends with running, when all that was noted is stored.
	n.background.Go(func() { n.audit.Run(n.running) })
	return nil
}

// trail is what the doors note who did what in.
func (n *node) trail() httpd.Trail {
	if n.audit == nil {
		return nil
	}
	return n.audit
}
