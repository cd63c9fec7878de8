package main

import (
	"context"

	"tocsin/server/natslog"
)

func (n *node) openLog(ctx context.Context) (err error) {
	reserve := n.conf.Reserve
	if reserve == 0 {
		reserve = -1 // natslog's word for none
	}
	cluster, err := n.conf.cluster()
	if err != nil {
		return err
	}
	credentials, err := n.conf.credentials()
	if err != nil {
		return err
	}
	n.store, err = natslog.Open(ctx, natslog.Options{
		Dir: n.conf.Data, URL: n.conf.NATSURL, Credentials: credentials, Cluster: cluster,
		SyncAlways: n.conf.Sync == syncAlways, SyncInterval: n.conf.SyncInterval,
		Reserve: reserve, DedupeWindow: n.conf.DedupeWindow, Replicas: n.conf.copies(),
		MQTT:   n.conf.MQTT,
		Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.measureLog()
	return nil
}
