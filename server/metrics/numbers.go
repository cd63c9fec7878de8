package metrics

import "github.com/prometheus/client_golang/prometheus"

// A Number is read when it is asked for, such as the head of the view.
type Number struct {
	Name, Help string
	// Label is what tells several values apart; empty where there is one.
	Label string
	// Counter: it only rises, from the node's start on. Otherwise it is a gauge.
	Counter bool
}

// Numbers adds numbers that are read together. read sets each of them by its name,
// with the value of the label where it has one, and leaves out what is not known at
// the moment. It may be called by many goroutines at once. Numbers panics when a
// name is taken, as read's set does when it is none of these.
func (m *Metrics) Numbers(numbers []Number, read func(set func(name, label string, value float64))) {
	a := &asked{read: read, by: map[string]description{}}
	for _, n := range numbers {
		d := description{kind: prometheus.GaugeValue}
		var labels []string
		if d.labeled = n.Label != ""; d.labeled {
			labels = []string{n.Label}
		}
		if n.Counter {
			d.kind = prometheus.CounterValue
		}
		d.desc = prometheus.NewDesc(n.Name, n.Help, labels, nil)
		a.by[n.Name] = d
	}
	m.registry.MustRegister(a)
}

// Gauge adds a single number.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.Numbers([]Number{{Name: name, Help: help}}, func(set func(string, string, float64)) { set(name, "", read()) })
}

type description struct {
	desc    *prometheus.Desc
	kind    prometheus.ValueType
	labeled bool
}

// asked are numbers that are read together.
type asked struct {
	by   map[string]description
	read func(set func(name, label string, value float64))
}

var _ prometheus.Collector = (*asked)(nil)

// Describe implements prometheus.Collector.
func (a *asked) Describe(to chan<- *prometheus.Desc) {
	for _, d := range a.by {
		to <- d.desc
	}
}

// Collect implements prometheus.Collector.
func (a *asked) Collect(to chan<- prometheus.Metric) {
	a.read(func(name, label string, value float64) {
		d := a.by[name]
		if d.labeled {
			to <- prometheus.MustNewConstMetric(d.desc, d.kind, value, label)
		} else {
			to <- prometheus.MustNewConstMetric(d.desc, d.kind, value)
		}
	})
}
