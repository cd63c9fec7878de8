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
	n.store, err = natslog.Open(ctx, natslog.Options{
		Dir: n.conf.Data, URL: n.conf.NATSURL,
		SyncAlways: n.conf.Sync == syncAlways, SyncInterval: n.conf.SyncInterval,
		Reserve: reserve, DedupeWindow: n.conf.DedupeWindow, Replicas: n.conf.Replicas,
		MQTT:   n.conf.MQTT,
		Logger: n.logger,
	})
	if err != nil {
		return err
	}
	n.measureLog()
	return nil
}
