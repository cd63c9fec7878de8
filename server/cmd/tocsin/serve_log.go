package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// logOptions say where the log is and how it is kept.
func (s *settings) logOptions(logger *slog.Logger) (natslog.Options, error) {
	reserve := s.Reserve
	if reserve == 0 {
		reserve = -1 // natslog's word for none
	}
	cluster, err := s.cluster()
	if err != nil {
		return natslog.Options{}, err
	}
	credentials, err := s.credentials()
	return natslog.Options{
		Dir: s.Data, URL: s.NATSURL, Credentials: credentials, Cluster: cluster,
		SyncAlways: s.Sync == syncAlways, SyncInterval: s.SyncInterval,
		Reserve: reserve, DedupeWindow: s.DedupeWindow, Replicas: s.copies(),
		MQTT: s.MQTT, AcceptLoss: s.acceptLoss, Stored: inbox.IsStored,
		Logger: logger,
	}, err
}

// whenDamaged says what can be done about data that are refused.
func (s *settings) whenDamaged() string {
	if s.ClusterListen != "" {
		return "nothing was changed; in a cluster the other nodes have it all: put " + s.Data + " aside and start with an empty directory (docs/safety.md)"
	}
	return "nothing was changed; 'tocsin doctor " + s.Data + "' says more. Restore a backup, or go on without what is lost by one start with --accept-loss (docs/safety.md)"
}

func (n *node) openLog(ctx context.Context) error {
	o, err := n.conf.logOptions(n.logger)
	if err != nil {
		return err
	}
	if n.cert != nil {
		o.MQTTTLS = n.cert.Config() // MQTT over TLS names no protocol
	}
	o.MQTTConnections = n.limiter.Most() / 2
	n.store, err = natslog.Open(ctx, o)
	if errors.Is(err, natslog.ErrDamaged) {
		return fmt.Errorf("%w\n%s", err, n.conf.whenDamaged())
	}
	if err != nil {
		return err
	}
	n.measureLog()
	return nil
}
