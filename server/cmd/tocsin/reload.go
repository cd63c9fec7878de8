package main

import (
	"slices"
	"strings"

	"tocsin/server/httpd"
)

// reload reads the settings again and takes over those that may change while the node
// runs. One that cannot be read, or that serve would refuse, changes nothing. It is
// called by the goroutine that runs the node.
func (n *node) reload() {
	conf, err := n.reread()
	if err != nil {
		for line := range strings.SplitSeq(err.Error(), "\n") {
			n.logger.Error("the configuration is not reloaded, and stays as it is", "error", line)
		}
		return
	}
	for _, read := range n.reloads {
		if err := read(); err != nil {
			n.logger.Error("a file could not be read again: what it held before stays in force", "error", err)
		}
	}
	changed, waiting := n.present.adopt(&conf.settings)
	n.level.Set(levelOf(n.present))
	n.server.Adjust(n.present.adjustable())
	if o, err := n.present.limitSettings.options(); err == nil { // they were checked when they were read
		n.limiter.Set(o)
	}
	n.presence.SetAway(3 * n.present.PollIdle)
	n.cluster.SetStreams(n.present.Connections)
	if len(waiting) > 0 {
		n.logger.Warn("these settings have changed and wait for the next start", "settings", strings.Join(waiting, " "))
	}
	n.logger.Info("reloaded", "changed", strings.Join(changed, " "))
}

// adopt takes those of the new settings over that may change while the node runs, and
// names them, and those that wait for the next start.
func (s *settings) adopt(now *settings) (changed, waiting []string) {
	next := now.table()
	for _, one := range s.table() {
		at := slices.IndexFunc(next, func(other setting) bool { return other.name == one.name })
		text := next[at].value.String()
		switch {
		case text == one.value.String():
		case !one.reload:
			waiting = append(waiting, one.name)
		default:
			_ = one.value.Set(text) // it was set by this very text
			changed = append(changed, one.name)
		}
	}
	return changed, waiting
}

// adjustable are the limits that a running server takes.
func (s *settings) adjustable() httpd.Adjustable {
	return httpd.Adjustable{
		Connections: s.Connections, Busy: s.PollBusy, Idle: s.PollIdle,
		MaxBatchBytes: int(s.BatchBytes), MaxBatchEvents: s.BatchEvents,
	}
}
