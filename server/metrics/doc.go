// Package metrics counts what an operator watches, for Prometheus.
//
// Rules of use: make one [Metrics] with [New] and share it; its methods may be
// called by many goroutines at once. Every label has a bounded set of values
// that the program chooses: never a user, a device, a path or an id of a
// client's. This package is the only importer of client_golang.
package metrics
