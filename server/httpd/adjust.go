package httpd

import (
	"cmp"
	"time"
)

// Adjustable are those of the Options that Adjust can change. Zero values are their
// defaults.
type Adjustable struct {
	// Connections are the streams that one user may have open at this node.
	Connections int
	// Busy and Idle are the intervals told to short polls.
	Busy, Idle time.Duration
	// MaxBatchBytes and MaxBatchEvents bound one publishing.
	MaxBatchBytes, MaxBatchEvents int
}

func (o *Options) adjustable() Adjustable {
	return Adjustable{o.Connections, o.Busy, o.Idle, o.MaxBatchBytes, o.MaxBatchEvents}
}

// Adjust changes limits while the server runs: requests and streams that come from now
// on are under the new ones. Nobody who is connected is sent away for them.
func (s *Server) Adjust(a Adjustable) {
	usual := Options{}.withDefaults()
	a.Connections = cmp.Or(a.Connections, usual.Connections)
	a.Busy, a.Idle = cmp.Or(a.Busy, usual.Busy), cmp.Or(a.Idle, usual.Idle)
	a.MaxBatchBytes = cmp.Or(a.MaxBatchBytes, usual.MaxBatchBytes)
	a.MaxBatchEvents = cmp.Or(a.MaxBatchEvents, usual.MaxBatchEvents)
	s.limits.Store(&a)
	s.sessions.setMost(a.Connections)
}
