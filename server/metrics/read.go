package metrics

import (
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// Reading is some of the numbers as they are now, all counted since the node's
// start, for those who draw them.
type Reading struct {
	// Deliveries are the entries written to clients, by transport.
	Deliveries map[string]uint64
	// Events are those published, by outcome.
	Events map[string]uint64
	// Changes are the entries that readers are told, by severity.
	Changes map[string]uint64
	// Bounds are the upper ones of the histograms' counts, in seconds.
	Bounds []float64
	// Storing is by severity, Delivering by transport and severity.
	Storing    map[string]Histogram
	Delivering map[string]map[string]Histogram
}

// A Histogram is how often something took how long.
type Histogram struct {
	// Counts are those up to each bound and above the one before, and those above
	// the last.
	Counts []uint64
	// Sum is in seconds.
	Sum float64
}

// Read returns the numbers.
func (m *Metrics) Read() Reading {
	r := Reading{
		Deliveries: map[string]uint64{}, Events: map[string]uint64{}, Changes: map[string]uint64{}, Bounds: latencies,
		Storing: map[string]Histogram{}, Delivering: map[string]map[string]Histogram{},
	}
	each(m.deliveries, func(labels map[string]string, n *dto.Metric) {
		r.Deliveries[labels["transport"]] = uint64(n.GetCounter().GetValue())
	})
	each(m.published, func(labels map[string]string, n *dto.Metric) {
		r.Events[labels["status"]] += uint64(n.GetCounter().GetValue())
	})
	each(m.changes, func(labels map[string]string, n *dto.Metric) {
		r.Changes[labels["severity"]] = uint64(n.GetCounter().GetValue())
	})
	each(m.storing, func(labels map[string]string, n *dto.Metric) {
		r.Storing[labels["severity"]] = histogram(n.GetHistogram())
	})
	each(m.delivering, func(labels map[string]string, n *dto.Metric) {
		transport := labels["transport"]
		if r.Delivering[transport] == nil {
			r.Delivering[transport] = map[string]Histogram{}
		}
		r.Delivering[transport][labels["severity"]] = histogram(n.GetHistogram())
	})
	return r
}

// each calls f for every number of a vector.
func each(c prometheus.Collector, f func(labels map[string]string, n *dto.Metric)) {
	found := make(chan prometheus.Metric)
	go func() { // ends when all have been read
		c.Collect(found)
		close(found)
	}()
	for metric := range found {
		n := &dto.Metric{}
		if metric.Write(n) != nil {
			continue // nothing of ours fails to be written
		}
		labels := map[string]string{}
		for _, pair := range n.GetLabel() {
			labels[pair.GetName()] = pair.GetValue()
		}
		f(labels, n)
	}
}

// histogram makes single counts of the cumulated ones.
func histogram(h *dto.Histogram) Histogram {
	one := Histogram{Counts: make([]uint64, 0, len(latencies)+1), Sum: h.GetSampleSum()}
	before := uint64(0)
	for _, b := range h.GetBucket() {
		one.Counts = append(one.Counts, b.GetCumulativeCount()-before)
		before = b.GetCumulativeCount()
	}
	return Histogram{Counts: append(one.Counts, h.GetSampleCount()-before), Sum: one.Sum}
}
