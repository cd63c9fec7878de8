//go:build !race

package native

import (
	"runtime/debug"
	"strings"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// taker is a connection whose client takes everything at once.
type taker struct{ transports.Conn }

func (taker) Headroom() int            { return 10 }
func (taker) Try([]byte) (bool, error) { return true, nil }

// A frame costs no memory but its buffer, which comes from a pool, and the cursor
// that the client then has.
func TestAllocsOfAFrame(t *testing.T) {
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
	e := encoder{conn: taker{}}
	const most = 0
	if got := testing.AllocsPerRun(1000, func() {
		e.Part(transports.Part{Batch: &batch, To: 1})
		if done, err := e.Flush(); !done || err != nil {
			t.Fatal(done, err)
		}
	}); got > most {
		t.Errorf("%v allocations, at most %v", got, most)
	}
}
