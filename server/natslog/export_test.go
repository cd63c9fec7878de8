package natslog

import (
	"context"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"tocsin/server/inbox"
)

// Engine is the log's own.
func (l *Log) Engine() *server.Server { return l.engine.server }

// Stream is where the log is stored.
func (l *Log) Stream() jetstream.Stream { return l.stream }

// EngineElections are the times of the engine's that hurryElections sets.
func EngineElections() []time.Duration {
	return []time.Duration{engineMinElection, engineMaxElection, engineHeartbeat, engineLostQuorum, engineLostQuorumCheck}
}

// HurryElections sets them.
func HurryElections() { hurryElections() }

// ScanNewest is a scan for the newest whose end is this, as a leader says.
func (l *Log) ScanNewest(ctx context.Context, end uint64, each func(inbox.Message) error) error {
	return (&scan{log: l, want: inbox.Scan{Newest: true}, each: each, end: end}).run(ctx)
}
