package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are the node's numbers.
type Metrics struct {
	registry    *prometheus.Registry
	deliveries  *prometheus.CounterVec
	connections *prometheus.GaugeVec
	ended       *prometheus.CounterVec
	published   *prometheus.CounterVec
	requests    *prometheus.HistogramVec
	hooks       *prometheus.CounterVec
	changes     *prometheus.CounterVec
	storing     *prometheus.HistogramVec
	delivering  *prometheus.HistogramVec
	tailing     prometheus.Histogram
	letters     *prometheus.CounterVec
	problems    *prometheus.CounterVec
	limited     *prometheus.CounterVec
}

// New returns a Metrics with the numbers of the Go runtime and of the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_deliveries_total", Help: "Entries written to clients.",
		}, []string{"transport"}),
		connections: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "tocsin_connections", Help: "Clients connected now; of polls, those being answered.",
		}, []string{"transport"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_connections_ended_total", Help: "Streams that ended, by reason.",
		}, []string{"transport", "reason"}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tocsin_events_total", Help: "Events published at this node, by door and outcome.",
		}, []string{"door", "status"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tocsin_http_request_seconds", Help: "Time to answer, without streams and polls.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "code"}),
	}
	m.letters = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_dead_letters_total", Help: "What was put aside, since its sender could not be told that it was refused.",
	}, []string{"door"})
	m.problems = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_problems_total", Help: "Requests answered with a problem, by its type; limits that were met among them.",
	}, []string{"problem"})
	m.limited = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_limited_total", Help: "How often a limit was met, by its setting.",
	}, []string{"limit"})
	m.hooks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_hooks_total", Help: "Attempts to tell receivers of events, by outcome.",
	}, []string{"outcome"})
	m.measure()
	m.registry.MustRegister(m.hooks, m.letters, m.problems, m.limited, m.deliveries, m.connections, m.ended, m.published, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Build tells what the program was built from.
func (m *Metrics) Build(version, commit string) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "tocsin_build_info", Help: "1; its labels say what the program was built from.",
		ConstLabels: prometheus.Labels{"version": version, "commit": commit},
	}, func() float64 { return 1 }))
}

// A Transport counts one transport's clients.
type Transport struct {
	deliveries  prometheus.Counter
	connections prometheus.Gauge
	ended       *prometheus.CounterVec
}

// Transport returns the counters of the transport with this name.
func (m *Metrics) Transport(name string) *Transport {
	return &Transport{
		deliveries:  m.deliveries.WithLabelValues(name),
		connections: m.connections.WithLabelValues(name),
		ended:       m.ended.MustCurryWith(prometheus.Labels{"transport": name}),
	}
}

// Delivered counts entries written.
func (t *Transport) Delivered(entries int) { t.deliveries.Add(float64(entries)) }

// Opened counts a client that came.
func (t *Transport) Opened() { t.connections.Inc() }

// Closed counts a client that went; reason is one of the program's words.
func (t *Transport) Closed(reason string) {
	t.connections.Dec()
	t.ended.WithLabelValues(reason).Inc()
}

// Hooks shows these outcomes from the start, with nothing counted.
func (m *Metrics) Hooks(outcomes ...string) {
	for _, outcome := range outcomes {
		m.hooks.WithLabelValues(outcome)
	}
}

// Hook counts an attempt to tell a receiver of an event.
func (m *Metrics) Hook(outcome string) { m.hooks.WithLabelValues(outcome).Inc() }

// Published counts events that came through a door and had one outcome.
func (m *Metrics) Published(door, status string, events int) {
	m.published.WithLabelValues(door, status).Add(float64(events))
}

// Letter counts what a door put aside.
func (m *Metrics) Letter(door string) { m.letters.WithLabelValues(door).Inc() }

// Letters shows these doors from the start, with nothing counted.
func (m *Metrics) Letters(doors ...string) {
	for _, door := range doors {
		m.letters.WithLabelValues(door)
	}
}

// Problems shows these types from the start, with nothing counted.
func (m *Metrics) Problems(kinds ...string) {
	for _, kind := range kinds {
		m.problems.WithLabelValues(kind)
	}
}

// Problem counts an answer that is a problem of this type.
func (m *Metrics) Problem(kind string) { m.problems.WithLabelValues(kind).Inc() }

// Limits shows these limits from the start, with nothing counted.
func (m *Metrics) Limits(names ...string) {
	for _, name := range names {
		m.limited.WithLabelValues(name)
	}
}

// Limited counts that a limit was met.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// Answered counts a request to a route, as it is declared, and its status code.
func (m *Metrics) Answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Observe(took.Seconds())
}

// Handler serves the numbers in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
