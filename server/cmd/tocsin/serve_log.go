package main

import (
	"context"
	"log/slog"
	"math"
	"time"

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
	n.metrics.Gauge("tocsin_storage_full", "1 while free space is below the reserve and publishers are refused.", func() float64 {
		if n.store.Full() {
			return 1
		}
		return 0
	})
	n.metrics.Gauge("tocsin_log_leader", "1 while this node's own engine leads the log.", func() float64 {
		if n.store.Leads() {
			return 1
		}
		return 0
	})
	n.measureLog()
	return nil
}

// measureTimeout bounds how long the log may take to say how large it is.
const measureTimeout = time.Second

// measureLog adds the log's size to the metrics, asked for when they are.
func (n *node) measureLog() {
	gauge := func(name, help string, of func(ctx context.Context, b inbox.Bounds) (float64, error)) {
		n.metrics.Gauge(name, help, func() float64 {
			ctx, cancel := context.WithTimeout(n.running, measureTimeout)
			defer cancel()
			b, err := n.store.Bounds(ctx)
			if err != nil {
				return math.NaN()
			}
			v, err := of(ctx, b)
			if err != nil {
				return math.NaN()
			}
			return v
		})
	}
	members := func(name, help string, of func(m natslog.Members) int) {
		gauge(name, help, func(ctx context.Context, _ inbox.Bounds) (float64, error) {
			m, err := n.store.Members(ctx)
			return float64(of(m)), err
		})
	}
	members("tocsin_log_servers", "Servers that the log is to be stored on.", func(m natslog.Members) int { return m.Stored })
	members("tocsin_log_servers_current", "Servers that have all of the log now.", func(m natslog.Members) int { return m.Current })
	gauge("tocsin_log_messages", "Entries in the log.", func(_ context.Context, b inbox.Bounds) (float64, error) {
		return float64(b.Messages), nil
	})
	gauge("tocsin_log_bytes", "Bytes that the entries in the log take.", func(_ context.Context, b inbox.Bounds) (float64, error) {
		return float64(b.Bytes), nil
	})
	gauge("tocsin_log_first_age_seconds", "Age of the oldest entry in the log.", func(ctx context.Context, b inbox.Bounds) (float64, error) {
		m, err := n.store.At(ctx, b.First)
		return time.Since(m.Time).Seconds(), err
	})
}
