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
			Name: "tocsin_events_total", Help: "Events published, by outcome.",
		}, []string{"status"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tocsin_http_request_seconds", Help: "Time to answer, without streams and polls.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "code"}),
	}
	m.hooks = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_hooks_total", Help: "Attempts to tell receivers of events, by outcome.",
	}, []string{"outcome"})
	m.measure()
	m.registry.MustRegister(m.hooks, m.deliveries, m.connections, m.ended, m.published, m.requests,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gauge adds a number that is read when it is asked for, such as the head of the
// view. It panics when the name is taken.
func (m *Metrics) Gauge(name, help string, read func() float64) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
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

// Hook counts an attempt to tell a receiver of an event.
func (m *Metrics) Hook(outcome string) { m.hooks.WithLabelValues(outcome).Inc() }

// Published counts events with one outcome.
func (m *Metrics) Published(status string, events int) {
	m.published.WithLabelValues(status).Add(float64(events))
}

// Answered counts a request to a route, as it is declared, and its status code.
func (m *Metrics) Answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Observe(took.Seconds())
}

// Handler serves the numbers in the formats of Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}
