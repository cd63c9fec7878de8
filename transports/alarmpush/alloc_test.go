//go:build !race

package alarmpush

import (
	"runtime/debug"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// A notice costs no memory but its buffer, which comes from a pool.
func TestAllocsOfANotice(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // it would empty the pool
	o := newOptions(t)
	batch, err := inboxtest.Open(t, o.View, "ann", inbox.Start{Cursor: inbox.Earliest}).Read(t.Context(), 100)
	if err != nil || len(batch.Items) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	l := &line{}
	e := (&Conversation{o: o, conn: l}).Voice()
	e.Part(transports.Part{Batch: &batch, To: 1})
	if done, err := e.Flush(); !done || err != nil {
		t.Fatal(done, err)
	}
	if all, _ := l.frames(t); len(all) != 1 || all[0].GetAlarm().GetState() != unhandled || all[0].GetAlarm().GetCursor() != batch.Cursor {
		t.Fatalf("%v", all)
	}
	l.silent = true
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
