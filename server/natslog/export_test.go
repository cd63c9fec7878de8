package natslog

import "time"

// EngineElections are the times of the engine's that hurryElections sets.
func EngineElections() []time.Duration {
	return []time.Duration{engineMinElection, engineMaxElection, engineHeartbeat, engineLostQuorum, engineLostQuorumCheck}
}

// HurryElections sets them.
func HurryElections() { hurryElections() }
