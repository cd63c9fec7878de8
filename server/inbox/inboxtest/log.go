package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"tocsin/server/inbox"
)

// A Factory returns a new, empty log that lives as long as the test.
type Factory func(t *testing.T) inbox.Log

// Log runs every scenario on logs of the factory.
func Log(t *testing.T, make Factory) {
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) { s.run(t, make(t)) })
	}
}

type scenario struct {
	name string
	run  func(t *testing.T, log inbox.Log)
}

var scenarios = []scenario{
	{"an append expects the newest of its subject", appendExpects},
	{"an append may expect nothing", appendAny},
	{"an id is stored once, on whatever subject", appendOnce},
	{"of writers who expect the same one wins", appendRace},
	{"a batch is answered in order and survives a loser", appendBatch},
	{"a scan gives everything, the newest, or what follows", scanForms},
	{"a purge leaves a hole and the newest", purgeHole},
	{"an append between register and read is never slept through", registerThenRead},
	{"two audiences filled in alternation", twoAudiences},
	{"a change of epoch is told, and only to whom it concerns", epochChange},
	{"a cursor older than the log has expired", cursorExpired},
	{"quiet changes hide nothing that was told", toldThenQuiet},
	{"a poller comes to the end of a snapshot", pollSnapshot},
	{"a poller comes to the end of a catch-up", pollCatchUp},
	{"an alarm that moved and changed again, from behind the window", movedBehindWindow},
	{"an alarm that moved, inside the window", movedInWindow},
	{"a restart leaves the window and its readers as they were", restart},
	{"a load with repeats and steps back", loadRepeats},
	{"a purge in the middle of a load", loadPurge},
	{"a load while everything moves on", loadMoving},
	{"a reader that never reads holds up nobody", neverReads},
	{"memberships reach open readers at their place", memberships},
	{"who joins a group hears of what comes right after it", joinedWhileRung},
	{"a cursor from another user reads one's own inbox", foreignCursor},
	{"a cursor beyond the end of the log is told", beyondHead},
	{"an alarm on a wrong route is held back until it has moved", heldBack},
	{"counters equal a recount", counters},
	{"a scan of one subject", subjectScan},
	{"the history of an alarm", history},
	{"a flood begins and ends, and both are told", flood},
	{"a flood is the user's own, and critical alarms are never quiet", floodOfUser},
	{"floods equal a recount, after a restart too", floodRecount},
	{"lists equal a recount", listRecount},
	{"pages are those of the list as it was at first", listStable},
	{"the stream goes on where a list began", listCursor},
	{"a list that has changed too much begins again", listAgain},
	{"a page that has read much is short, and not the last", listBudget},
	{"an alarm that is purged or renewed while it is listed", listPurged},
	{"lists are whole while alarms change", listConcurrent},
	{"a text is found as it was, not as it is stored", listText},
}

func appendExpects(t *testing.T, log inbox.Log) {
	one := func(p inbox.Proposal) inbox.Receipt { return log.Append(t.Context(), p)[0] }
	first := one(inbox.Proposal{Subject: "alarm.a.b.c", Data: []byte("1")})
	if first.Err != nil || first.Seq == 0 {
		t.Fatalf("first append: %+v", first)
	}
	for _, expect := range []uint64{0, first.Seq + 7} {
		if r := one(inbox.Proposal{Subject: "alarm.a.b.c", Expect: expect, Data: []byte("2")}); !errors.Is(r.Err, inbox.ErrConflict) {
			t.Errorf("expecting %d: %+v, want a conflict", expect, r)
		}
	}
	other := one(inbox.Proposal{Subject: "alarm.a.b.d", Data: []byte("x")})
	second := one(inbox.Proposal{Subject: "alarm.a.b.c", Expect: first.Seq, Data: []byte("2")})
	if other.Err != nil || second.Err != nil || second.Seq <= first.Seq {
		t.Fatalf("appends on top: %+v, %+v", other, second)
	}
	m, err := log.Newest(t.Context(), "alarm.a.b.c")
	if err != nil || m.Seq != second.Seq || string(m.Data) != "2" {
		t.Errorf("newest is %+v, %v", m, err)
	}
	if m, err := log.At(t.Context(), first.Seq); err != nil || string(m.Data) != "1" || m.Subject != "alarm.a.b.c" {
		t.Errorf("message %d is %+v, %v", first.Seq, m, err)
	}
	if _, err := log.Newest(t.Context(), "alarm.no.such.thing"); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("the newest of nothing: %v", err)
	}
	if _, err := log.At(t.Context(), second.Seq+100); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("a message beyond the end: %v", err)
	}
}

func appendAny(t *testing.T, log inbox.Log) {
	var last uint64
	for i := range 3 {
		r := log.Append(t.Context(), inbox.Proposal{Subject: "topic.news", Any: true, ID: fmt.Sprint("any/", i), Data: []byte{byte(i)}})[0]
		if r.Err != nil || r.Duplicate || r.Seq <= last {
			t.Fatalf("append %d: %+v after %d", i, r, last)
		}
		last = r.Seq
	}
	again := log.Append(t.Context(), inbox.Proposal{Subject: "topic.news", Any: true, ID: "any/1", Data: []byte("other")})[0]
	if again.Err != nil || !again.Duplicate || again.Seq != last-1 {
		t.Errorf("the second one again: %+v, want a duplicate of %d", again, last-1)
	}
}

func appendOnce(t *testing.T, log inbox.Log) {
	r := log.Append(t.Context(), inbox.Proposal{Subject: "alarm.a.b.c", ID: "id", Data: []byte("1")})[0]
	for _, p := range []inbox.Proposal{
		{Subject: "alarm.a.b.c", ID: "id", Expect: r.Seq, Data: []byte("2")},
		{Subject: "alarm.a.b.c", ID: "id", Expect: 99, Data: []byte("2")}, // the id goes first
		{Subject: "alarm.other.b.c", ID: "id", Data: []byte("2")},
	} {
		if again := log.Append(t.Context(), p)[0]; again.Err != nil || !again.Duplicate || again.Seq != r.Seq {
			t.Errorf("%+v again: %+v, want the duplicate of %d", p, again, r.Seq)
		}
	}
	if b, err := log.Bounds(t.Context()); err != nil || b.Last != r.Seq || b.Messages != 1 {
		t.Errorf("bounds after duplicates: %+v, %v", b, err)
	}
}

func appendRace(t *testing.T, log inbox.Log) {
	const writers, rounds = 8, 20
	for round := range rounds {
		subject := fmt.Sprintf("alarm.race.t.%d", round)
		var won sync.Map
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				if r := log.Append(t.Context(), inbox.Proposal{Subject: subject, Data: []byte{byte(w)}})[0]; r.Err == nil {
					won.Store(w, r.Seq)
				} else if !errors.Is(r.Err, inbox.ErrConflict) {
					t.Errorf("writer %d: %v", w, r.Err)
				}
			})
		}
		all.Wait()
		n := 0
		won.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Fatalf("%d writers won", n)
		}
	}
}

func appendBatch(t *testing.T, log inbox.Log) {
	const n = 3000
	log.Append(t.Context(), inbox.Proposal{Subject: "alarm.d7.t._", Data: []byte("taken")})
	batch := make([]inbox.Proposal, n)
	for i := range batch {
		batch[i] = inbox.Proposal{Subject: fmt.Sprintf("alarm.d%d.t._", i), ID: fmt.Sprint(i), Data: []byte("x")}
	}
	last := uint64(0)
	for i, r := range log.Append(t.Context(), batch...) {
		switch {
		case i == 7:
			if !errors.Is(r.Err, inbox.ErrConflict) {
				t.Errorf("the taken subject: %+v", r)
			}
		case r.Err != nil || r.Seq <= last:
			t.Fatalf("append %d: %+v after %d", i, r, last)
		default:
			last = r.Seq
		}
	}
}

func scanAll(t *testing.T, log inbox.Source, s inbox.Scan) (seqs []uint64) {
	t.Helper()
	if err := log.Scan(t.Context(), s, func(m inbox.Message) error {
		seqs = append(seqs, m.Seq)
		return nil
	}); err != nil {
		t.Fatalf("scan %+v: %v", s, err)
	}
	return seqs
}

func scanForms(t *testing.T, log inbox.Log) {
	if got := scanAll(t, log, inbox.Scan{}); len(got) != 0 {
		t.Errorf("an empty log holds %v", got)
	}
	newest := map[string]uint64{}
	for i := range 10 {
		subject := fmt.Sprintf("alarm.d%d.t._", i%3)
		r := log.Append(t.Context(), inbox.Proposal{Subject: subject, Expect: newest[subject], Data: []byte("x")})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		newest[subject] = r.Seq
	}
	if got := scanAll(t, log, inbox.Scan{}); !slices.Equal(got, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("everything: %v", got)
	}
	if got := scanAll(t, log, inbox.Scan{From: 9}); !slices.Equal(got, []uint64{9, 10}) {
		t.Errorf("from 9: %v", got)
	}
	if got := scanAll(t, log, inbox.Scan{Newest: true}); !slices.Equal(got, []uint64{8, 9, 10}) {
		t.Errorf("the newest: %v", got)
	}
	if got := scanAll(t, log, inbox.Scan{From: 11}); len(got) != 0 {
		t.Errorf("beyond the end: %v", got)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []uint64
	stop := errors.New("enough")
	err := log.Scan(ctx, inbox.Scan{From: 10, Follow: true}, func(m inbox.Message) error {
		if got = append(got, m.Seq); len(got) == 1 {
			log.Append(ctx, inbox.Proposal{Subject: "alarm.new.t._", Data: []byte("x")})
			return nil
		}
		return stop
	})
	if !errors.Is(err, stop) || !slices.Equal(got, []uint64{10, 11}) {
		t.Errorf("following: %v, %v", got, err)
	}
}

func purgeHole(t *testing.T, log inbox.Log) {
	for i := range 10 {
		log.Append(t.Context(), inbox.Proposal{Subject: fmt.Sprintf("alarm.d%d.t._", i), Data: []byte("x")})
	}
	if err := log.Purge(t.Context(), 8); err != nil {
		t.Fatal(err)
	}
	if b, err := log.Bounds(t.Context()); err != nil || b.First != 8 || b.Last != 10 || b.Messages != 3 {
		t.Errorf("bounds: %+v, %v", b, err)
	}
	if got := scanAll(t, log, inbox.Scan{From: 2}); !slices.Equal(got, []uint64{8, 9, 10}) {
		t.Errorf("what is left: %v", got)
	}
	if _, err := log.At(t.Context(), 3); !errors.Is(err, inbox.ErrNotFound) {
		t.Errorf("a purged message: %v", err)
	}
	if err := log.Purge(t.Context(), 11); err != nil {
		t.Fatal(err)
	}
	if got := scanAll(t, log, inbox.Scan{}); len(got) != 0 {
		t.Errorf("after a whole purge: %v", got)
	}
	if b, err := log.Bounds(t.Context()); err != nil || b.First != 11 || b.Last != 10 {
		t.Errorf("bounds of a purged log: %+v, %v", b, err)
	}
	if r := log.Append(t.Context(), inbox.Proposal{Subject: "alarm.d1.t._", Data: []byte("x")})[0]; r.Err != nil || r.Seq != 11 {
		t.Errorf("append after a whole purge: %+v", r)
	}
}
