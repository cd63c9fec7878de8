//go:build !race

package sse

import (
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// An event costs no memory but its buffer, which comes from a pool.
func TestAllocsOfAnEvent(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pool
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(t, log)
	to := w.Route("crew")
	w.Member("crew", "ada", true)
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	inboxtest.Reach(t, v, w.Alarm("d", to, inbox.Major, strings.Repeat("x", 300)))
	batch, err := inboxtest.Open(t, v, "ada", inbox.Start{Cursor: inbox.Earliest}).Read(t.Context(), 100)
	if err != nil || len(batch.Items) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	e := encoder{w: httptest.NewRecorder(), begun: true}
	const most = 0
	if got := testing.AllocsPerRun(1000, func() {
		e.Part(transports.Part{Batch: &batch, To: 1, Changed: true})
		e.Release()
	}); got > most {
		t.Errorf("%v allocations, at most %v", got, most)
	}
}
