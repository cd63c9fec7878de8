package httpd

import (
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/metrics"
	"tocsin/server/presence"
)

// severityWords name what the numbers are by: the severities by number, and
// notices at 0.
func severityWords() []string {
	words := []string{"notice"}
	for i := inbox.Indeterminate; i <= inbox.Critical; i++ {
		words = append(words, i.String())
	}
	return words
}

// Observe returns what counts the changes that a view hears of
// (inbox.ViewOptions), for the Metrics of a Server.
func Observe(m *metrics.Metrics) func(inbox.Observed) {
	changes := m.Changes(severityWords())
	return func(o inbox.Observed) {
		changes.Told(int(o.Severity))
		changes.Tailed(time.Since(o.Stored))
		if o.New && !o.At.IsZero() {
			changes.Stored(int(o.Severity), o.Stored.Sub(o.At))
		}
	}
}

// measure prepares how long the clients of each transport wait; services add
// theirs.
func (s *Server) measure() {
	s.begun, s.waits = time.Now(), map[string]*metrics.Delivery{}
	for _, name := range []string{bySSE, byLongPoll, byPoll, byPage} {
		s.await(name)
	}
}

// await adds a transport.
func (s *Server) await(transport string) {
	if s.waits[transport] == nil {
		s.waits[transport] = s.o.Metrics.Delivery(transport, severityWords())
	}
}

// reached is what hears of all that a session over this transport delivers.
func (s *Server) reached(session *presence.Session, transport string) func(inbox.Reach) {
	waits := s.waits[transport]
	return func(r inbox.Reach) {
		session.Reached(r)
		if s.o.Trace.Wanted() {
			s.traceReach(session.User(), transport, session.Connection(), &r)
		}
		if r.Oldest == (inbox.Oldest{}) {
			return
		}
		now, since := time.Now().UnixMicro(), session.Since().UnixMicro()
		for severity, stored := range r.Oldest {
			// What came before him he did not wait for.
			if stored >= since {
				waits.Waited(severity, time.Duration(now-stored)*time.Microsecond)
			}
		}
	}
}

// histogramJSON is how often something took how long.
type histogramJSON struct {
	Counts []uint64 `json:"counts"`
	Sum    float64  `json:"sum"`
}

func histogramsJSON(in map[string]metrics.Histogram) map[string]histogramJSON {
	out := make(map[string]histogramJSON, len(in))
	for name, h := range in {
		out[name] = histogramJSON(h)
	}
	return out
}

// getStats is GET /v1/stats: the numbers that a console draws. All but those of
// connections are counted since the node's start, so that everybody can take
// differences between whatever times he likes.
func (s *Server) getStats(c echo.Context, _ *auth.Identity) error {
	type latency struct {
		Bounds    []float64                           `json:"bounds"`
		Stored    map[string]histogramJSON            `json:"stored"`
		Delivered map[string]map[string]histogramJSON `json:"delivered"`
	}
	n := s.o.Metrics.Read()
	_, _, users, crowds := s.o.Presence.People(presence.Look{Limit: 1})
	answer := struct {
		Node        string               `json:"node"`
		Time        string               `json:"time"`
		Started     string               `json:"started"`
		Head        uint64               `json:"head"`
		Users       int                  `json:"users"`
		Connections map[string]crowdJSON `json:"connections"`
		Deliveries  map[string]uint64    `json:"deliveries"`
		Events      map[string]uint64    `json:"events"`
		Changes     map[string]uint64    `json:"changes"`
		Latency     latency              `json:"latency"`
	}{
		s.o.Presence.Node(), inTime(time.Now()), inTime(s.begun), s.o.View.Head(),
		users, s.crowds(crowds), n.Deliveries, n.Events, n.Changes,
		latency{n.Bounds, histogramsJSON(n.Storing), map[string]map[string]histogramJSON{}},
	}
	for transport, by := range n.Delivering {
		answer.Latency.Delivered[transport] = histogramsJSON(by)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return writeJSON(c, http.StatusOK, answer)
}

func inTime(t time.Time) string { return t.UTC().Format(inbox.TimeFormat) }
