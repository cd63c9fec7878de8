package transporttest

import (
	"testing"
)

// An Env is what a scenario runs in.
type Env struct {
	Front Front
	Via   Transport
	All   []Transport
}

// World makes a world of the scenario's own.
func (e Env) World(t *testing.T, s Settings) *World { return NewWorld(t, e.Front, s) }

// A scenario is a promise of docs/protocol.md that every transport keeps.
type scenario struct {
	name string
	run  func(*testing.T, Env)
}

var scenarios = []scenario{
	{"Resume", resume},
	{"Restart", restart},
	{"Slow", slow},
	{"Stalled", stalled},
	{"TokenExpires", tokenExpires},
	{"TokenIsRenewedInPlace", tokenIsRenewedInPlace},
	{"TokenIsRevoked", tokenIsRevoked},
	{"LeavingAGroup", leavingAGroup},
	{"QuietCounters", quietCounters},
	{"ShutdownInABurst", shutdownInABurst},
	{"Rotation", rotation},
	{"HostileText", hostileText},
	{"GarbageCursor", garbageCursor},
	{"GarbageInTheQuery", garbageInTheQuery},
	{"GarbageFrames", garbageFrames},
}

// Run runs every scenario over every transport, through the front unless it is
// nil.
func Run(t *testing.T, front Front, all []Transport) {
	known := map[string]bool{}
	for _, s := range scenarios {
		known[s.name] = true
	}
	for _, via := range all {
		for name, reason := range via.Without {
			if !known[name] || reason == "" {
				t.Errorf("%s goes without %q, for the reason %q", via.Name, name, reason)
			}
		}
	}
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel() // most of them wait most of the time
			for _, via := range all {
				if reason, without := via.Without[s.name]; without {
					t.Logf("not for %s: %s", via.Name, reason)
					continue
				}
				t.Run(via.Name, func(t *testing.T) {
					t.Parallel()
					s.run(t, Env{front, via, all})
				})
			}
		})
	}
}
