package natslog

import (
	"sync"
	"time"
	_ "unsafe" // for the names below
)

// The engine's own times of its elections suit clusters that span continents: the
// loss of a leader would be found out after 4 to 9 s, and alarms stand still
// meanwhile. It has no option for them, so its variables are named here. A test
// sees to it that they are the engine's: an upgrade that renames one shows there
// (docs/decisions/0016).
var (
	//go:linkname engineMinElection github.com/nats-io/nats-server/v2/server.minElectionTimeout
	engineMinElection time.Duration
	//go:linkname engineMaxElection github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	engineMaxElection time.Duration
	//go:linkname engineHeartbeat github.com/nats-io/nats-server/v2/server.hbInterval
	engineHeartbeat time.Duration
	//go:linkname engineLostQuorum github.com/nats-io/nats-server/v2/server.lostQuorumInterval
	engineLostQuorum time.Duration
	//go:linkname engineLostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
	engineLostQuorumCheck time.Duration
)

// Times of elections between nodes of one place. A leader that is not heard for
// the least of them is replaced; one that hears nobody steps down before a reader
// would notice that nothing comes any more.
const (
	minElection = 1500 * time.Millisecond
	maxElection = 3 * time.Second
	heartbeats  = 300 * time.Millisecond
	lostQuorum  = 3 * time.Second
)

// hurryElections sets them, once for the process and before its first engine that
// is one of several starts: nobody reads them before that.
var hurryElections = sync.OnceFunc(func() {
	engineMinElection, engineMaxElection, engineHeartbeat = minElection, maxElection, heartbeats
	engineLostQuorum, engineLostQuorumCheck = lostQuorum, lostQuorum
})
