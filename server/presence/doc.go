// Package presence knows who is connected to this node and how far each has been
// delivered to, and answers from that, later and for all nodes, who got an entry.
// A [Cluster] knows who is connected to which node: they tell each other over a
// [Bus] (docs/decisions/0017-nodes-tell-each-other-who-is-there.md).
//
// There is no record of a delivery. A session's position, the sequence up to which
// it has been delivered to, moves as its flushes succeed; a [Recorder] appends what
// moved to a feed once a second, and [Evidence] reads the feed again: an entry
// reached a session when the session's position passed it
// (docs/decisions/0014-evidence-from-cursors.md).
//
// Rules of use: a [Registry], a Cluster, a Recorder and an Evidence may be used by many
// goroutines at once; a [Session] of a stream is told by its stream's goroutine
// alone, one of polls by many. The package imports the core only: the feed and
// the bus are handed to it.
package presence
