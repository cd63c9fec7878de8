package main

import (
	"context"
	"log/slog"

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
		MQTT:   s.MQTT,
		Logger: logger,
	}, err
}

func (n *node) openLog(ctx context.Context) error {
	o, err := n.conf.logOptions(n.logger)
	if err != nil {
		return err
	}
	if n.store, err = natslog.Open(ctx, o); err != nil {
		return err
	}
	n.measureLog()
	return nil
}
