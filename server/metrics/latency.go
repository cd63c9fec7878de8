package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// latencies are the bounds of what people wait for, in seconds: from what a local
// network takes to what a slow poll does.
var latencies = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60}

// measure makes the numbers of the way of an entry.
func (m *Metrics) measure() {
	m.changes = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_changes_total", Help: "Entries of the log that readers are told, by severity; the same at every node.",
	}, []string{"severity"})
	m.storing = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "tocsin_storing_seconds", Help: "From when an alarm happened, by the clock that events are ordered by, to when the log had it.",
		Buckets: latencies,
	}, []string{"severity"})
	m.delivering = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "tocsin_delivering_seconds",
		Help:    "From when the log had an entry to when a client who was there had it: the oldest of each severity in what was written at once.",
		Buckets: latencies,
	}, []string{"transport", "severity"})
	m.tailing = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "tocsin_tailing_seconds",
		Help:    "From when the log had an entry, by its leader's clock, to when this node's view had it, by its own.",
		Buckets: latencies,
	})
	m.registry.MustRegister(m.changes, m.storing, m.tailing, m.delivering)
}

// Changes counts entries by their severity.
type Changes struct {
	told   []prometheus.Counter
	stored []prometheus.Observer
	tailed prometheus.Observer
}

// Changes returns the counters of entries; words name the severities, by number.
func (m *Metrics) Changes(words []string) *Changes {
	c := &Changes{tailed: m.tailing}
	for _, word := range words {
		c.told = append(c.told, m.changes.WithLabelValues(word))
		c.stored = append(c.stored, m.storing.WithLabelValues(word))
	}
	return c
}

// Told counts an entry that readers are told.
func (c *Changes) Told(severity int) { c.told[severity].Inc() }

// Stored notes how long something new took until the log had it.
func (c *Changes) Stored(severity int, took time.Duration) {
	c.stored[severity].Observe(max(took, 0).Seconds())
}

// Tailed notes how long an entry took from the log to the view.
func (c *Changes) Tailed(took time.Duration) { c.tailed.Observe(max(took, 0).Seconds()) }

// A Delivery notes how long one transport's clients wait. It costs neither memory
// nor a lock.
type Delivery struct{ waited []prometheus.Observer }

// Delivery returns the numbers of the transport with this name; words name the
// severities, by number.
func (m *Metrics) Delivery(transport string, words []string) *Delivery {
	d := &Delivery{}
	for _, word := range words {
		d.waited = append(d.waited, m.delivering.WithLabelValues(transport, word))
	}
	return d
}

// Waited notes how long the client waited for an entry that the log had.
func (d *Delivery) Waited(severity int, took time.Duration) {
	d.waited[severity].Observe(max(took, 0).Seconds())
}
