package natslog

import (
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Engine is the log's own.
func (l *Log) Engine() *server.Server { return l.engine.server }

// EngineElections are the times of the engine's that hurryElections sets.
func EngineElections() []time.Duration {
	return []time.Duration{engineMinElection, engineMaxElection, engineHeartbeat, engineLostQuorum, engineLostQuorumCheck}
}

// HurryElections sets them.
func HurryElections() { hurryElections() }
