package inbox_test

import (
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// What batches say that they deliver, over a snapshot, a catch-up and plainly.
func TestReach(t *testing.T) {
	log := &inbox.MemoryLog{}
	w := inboxtest.NewWriter(t, log)
	crew := w.Route("crew")
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{Window: 1}) // keeps nothing: whoever is behind catches up
	var seqs []uint64
	raise := func(devices ...string) {
		for _, d := range devices {
			seqs = append(seqs, w.Alarm(d, crew, inbox.Major, "hot"))
		}
		inboxtest.Reach(t, v, seqs[len(seqs)-1])
	}
	raise("a", "b", "c")
	read := func(r *inbox.Reader, limit int) inbox.Batch {
		t.Helper()
		b, err := r.Read(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	want := func(what string, b inbox.Batch, n int, from, to uint64, snapshot, partial bool) {
		t.Helper()
		got := b.Reach(n)
		if got.From != from || got.To != to || got.Snapshot != snapshot || got.Partial != partial || len(got.Groups) != 1 {
			t.Errorf("%s: %+v", what, got)
		}
	}
	r := inboxtest.Open(t, v, "ada", inbox.Start{Snapshot: true}, "crew")
	want("half a snapshot", read(r, 2), 2, 0, 0, true, true)
	b := read(r, 2)
	want("its end", b, 1, seqs[2], seqs[2], true, false)
	want("its end, not written whole", b, 0, seqs[1], seqs[1], true, true)
	want("nothing new", read(r, 2), 0, seqs[2], seqs[2], false, false)
	raise("d", "e", "f")
	b = read(r, 2)
	if b.Gap == nil || b.Gap.Reason != inbox.GapCompacted {
		t.Fatalf("gap %+v", b.Gap)
	}
	want("half a catch-up", b, 2, seqs[2], seqs[2], false, true)
	want("its end", read(r, 2), 1, seqs[4], seqs[5], false, false)

	v, _ = inboxtest.StartView(t, log, inbox.ViewOptions{})
	r = inboxtest.Open(t, v, "ada", inbox.Start{}, "crew")
	end := v.Head()
	want("from the end", read(r, 9), 0, end, end, false, false)
	raise("g", "h", "i")
	inboxtest.Reach(t, v, seqs[8])
	b = read(r, 9)
	want("plainly, a part", b, 1, end, seqs[6], false, false)
	want("plainly", b, 3, end, seqs[8], false, false)
	b.Cut(2)
	want("cut", b, 2, end, seqs[7], false, false)
}
