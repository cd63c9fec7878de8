package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Store counts what a node asks of the log. It costs neither memory nor a lock.
type Store struct {
	took   prometheus.Observer
	errors map[[2]string]prometheus.Counter
}

// Store returns the numbers of the log, for these operations and the words that
// their errors come under. It is called once.
func (m *Metrics) Store(operations, errors []string) *Store {
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "tocsin_append_seconds", Help: "Time for the log to answer an append of one or several entries, attempts made again included.",
		Buckets: latencies,
	})
	failed := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "tocsin_store_errors_total", Help: "What the log refused or did not answer, each entry of an append by itself; a conflict is a lost race and is tried again.",
	}, []string{"operation", "error"})
	m.registry.MustRegister(took, failed)
	s := &Store{took: took, errors: map[[2]string]prometheus.Counter{}}
	for _, operation := range operations {
		for _, word := range errors {
			s.errors[[2]string{operation, word}] = failed.WithLabelValues(operation, word)
		}
	}
	return s
}

// Appended notes how long an append took.
func (s *Store) Appended(took time.Duration) { s.took.Observe(took.Seconds()) }

// Failed counts an error.
func (s *Store) Failed(operation, err string) { s.errors[[2]string{operation, err}].Inc() }
