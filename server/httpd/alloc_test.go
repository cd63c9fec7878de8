//go:build !race

package httpd

import (
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/metrics"
	"tocsin/server/presence"
)

// What a flush has reached costs no memory, however its latency is counted.
func TestAllocsOfWhatIsReached(t *testing.T) {
	s := &Server{o: Options{Metrics: metrics.New()}}
	s.measure()
	session := presence.New(presence.Options{}).Connect("ada", bySSE).Subscribe()
	reached := s.reached(session, bySSE)
	r := inbox.Reach{From: 1, To: 2, Groups: []string{"crew"}}
	now := time.Now().Add(time.Second).UnixMicro()
	r.Oldest = inbox.Oldest{now, 0, 0, now, 0, now}
	reached(r)
	if got := testing.AllocsPerRun(1000, func() {
		r.From, r.To = r.To, r.To+1
		reached(r)
	}); got != 0 {
		t.Errorf("%v allocations", got)
	}
	if n := s.o.Metrics.Read().Delivering[bySSE]["critical"]; n.Counts[0] < 1000 {
		t.Errorf("counted %+v", n)
	}
	if n := s.o.Metrics.Read().Delivering[bySSE]["major"]; n.Sum != 0 || n.Counts[0] != 0 {
		t.Errorf("counted %+v", n)
	}
}
