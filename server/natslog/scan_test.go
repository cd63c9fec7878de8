package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// scanned collects the sequences of a scan that ends.
func scanned(t *testing.T, l inbox.Log, s inbox.Scan) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	got := []uint64{}
	if err := l.Scan(ctx, s, func(m inbox.Message) error {
		if m.Subject != string(m.Data) {
			t.Errorf("message %d of %s has the data of %s", m.Seq, m.Subject, m.Data)
		}
		got = append(got, m.Seq)
		return nil
	}); err != nil {
		t.Fatalf("scan %+v: %v", s, err)
	}
	return got
}

func TestScanForms(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		type form struct {
			s    inbox.Scan
			want []uint64
		}
		check := func(when string, forms ...form) {
			t.Helper()
			for _, f := range forms {
				if got := scanned(t, l, f.s); !slices.Equal(got, f.want) && len(got)+len(f.want) > 0 {
					t.Errorf("%s, %+v: got %v, want %v", when, f.s, got, f.want)
				}
			}
		}
		purge := func(below uint64) {
			t.Helper()
			if err := l.Purge(t.Context(), below); err != nil {
				t.Fatal(err)
			}
		}
		bounds := func(want inbox.Bounds) {
			t.Helper()
			b, err := l.Bounds(t.Context())
			if b.Bytes = 0; err != nil || b != want {
				t.Errorf("bounds %+v, %v, want %+v", b, err, want)
			}
		}
		bounds(inbox.Bounds{First: 1})
		check("empty", form{inbox.Scan{}, nil}, form{inbox.Scan{From: 9}, nil}, form{inbox.Scan{Newest: true}, nil})

		one := put(t, l, subject(1), 0)
		put(t, l, subject(2), 0)
		put(t, l, subject(1), one)
		put(t, l, subject(3), 0)
		bounds(inbox.Bounds{First: 1, Last: 4, Messages: 4})
		check("filled",
			form{inbox.Scan{}, []uint64{1, 2, 3, 4}},
			form{inbox.Scan{From: 1}, []uint64{1, 2, 3, 4}},
			form{inbox.Scan{From: 3}, []uint64{3, 4}},
			form{inbox.Scan{From: 4}, []uint64{4}},
			form{inbox.Scan{From: 5}, nil},
			form{inbox.Scan{Newest: true}, []uint64{2, 3, 4}},
			form{inbox.Scan{Newest: true, From: 3}, []uint64{3, 4}},
			form{inbox.Scan{Newest: true, From: 5}, nil})

		purge(0) // nothing, and not everything
		purge(3)
		bounds(inbox.Bounds{First: 3, Last: 4, Messages: 2})
		check("purged", form{inbox.Scan{}, []uint64{3, 4}}, form{inbox.Scan{From: 2}, []uint64{3, 4}},
			form{inbox.Scan{Newest: true}, []uint64{3, 4}})

		purge(1000) // beyond the end: everything, without moving the end
		bounds(inbox.Bounds{First: 5, Last: 4})
		check("fully purged", form{inbox.Scan{}, nil}, form{inbox.Scan{From: 3}, nil}, form{inbox.Scan{Newest: true}, nil})
		if seq := put(t, l, subject(1), 0); seq != 5 {
			t.Errorf("the next sequence is %d, want 5", seq)
		}
		check("filled again", form{inbox.Scan{}, []uint64{5}}, form{inbox.Scan{Newest: true}, []uint64{5}})
	})
}

func TestReadsOfOneMessage(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		one := put(t, l, subject(1), 0)
		two := put(t, l, subject(1), one)
		put(t, l, subject(2), 0)
		for seq, want := range map[uint64]error{0: inbox.ErrNotFound, one: nil, two: nil, 99: inbox.ErrNotFound} {
			if m, err := l.At(t.Context(), seq); !errors.Is(err, want) || want == nil && (m.Seq != seq || m.Subject != subject(1)) {
				t.Errorf("At(%d) = %+v, %v", seq, m, err)
			}
		}
		if m, err := l.Newest(t.Context(), subject(1)); err != nil || m.Seq != two || string(m.Data) != subject(1) {
			t.Errorf("Newest = %+v, %v", m, err)
		}
		if _, err := l.Newest(t.Context(), subject(3)); !errors.Is(err, inbox.ErrNotFound) {
			t.Errorf("Newest of nothing: %v", err)
		}
		if err := l.Purge(t.Context(), two); err != nil {
			t.Fatal(err)
		}
		if _, err := l.At(t.Context(), one); !errors.Is(err, inbox.ErrNotFound) {
			t.Errorf("At of a purged one: %v", err)
		}
	})
}

func TestScanReturnsWhatEachReturned(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		put(t, l, subject(1), 0)
		put(t, l, subject(2), 0)
		enough, calls := errors.New("enough"), 0
		err := l.Scan(t.Context(), inbox.Scan{Follow: true}, func(inbox.Message) error { calls++; return enough })
		if err != enough || calls != 1 {
			t.Errorf("after %d calls: %v", calls, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err = l.Scan(ctx, inbox.Scan{Follow: true}, func(inbox.Message) error { cancel(); return nil })
		if err != context.Canceled {
			t.Errorf("after the context ended: %v", err)
		}
	})
}

// churn appends to subjects 0 to n-1 in turn until stopped, and returns the last
// sequence.
func churn(t *testing.T, l inbox.Log, n int, stop <-chan struct{}) <-chan uint64 {
	out := make(chan uint64, 1)
	last := make([]uint64, n)
	go func() { // ends when stop is closed
		newest := uint64(0)
		defer func() { out <- newest }()
		for {
			batch := make([]inbox.Proposal, n)
			for i := range batch {
				batch[i] = inbox.Proposal{Subject: subject(i), Expect: last[i], Data: []byte(subject(i))}
			}
			for i, r := range l.Append(context.Background(), batch...) {
				if r.Err != nil {
					t.Error(r.Err)
					return
				}
				last[i], newest = r.Seq, r.Seq
			}
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	return out
}

func TestScansWhileOthersAppend(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const moving, still = 50, 3000
		batch := make([]inbox.Proposal, still)
		for i := range batch {
			batch[i] = inbox.Proposal{Subject: subject(moving + i), Data: []byte(subject(moving + i))}
		}
		for _, r := range l.Append(t.Context(), batch...) {
			if r.Err != nil {
				t.Fatal(r.Err)
			}
		}
		stop := make(chan struct{})
		last := churn(t, l, moving, stop)
		for range 10 {
			all := scanned(t, l, inbox.Scan{From: 5})
			for i, seq := range all {
				if seq != uint64(i)+5 {
					t.Fatalf("message %d is %d: lost or out of order", i, seq)
				}
			}
			subjects := map[string]bool{}
			if err := l.Scan(t.Context(), inbox.Scan{Newest: true}, func(m inbox.Message) error {
				subjects[m.Subject] = true
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if len(subjects) < still || !subjects[subject(moving+still-1)] {
				t.Fatalf("the newest of %d subjects, want at least %d", len(subjects), still)
			}
		}
		close(stop)
		b, err := l.Bounds(t.Context())
		if end := wait(t, last); err != nil || b.Last > end {
			t.Fatalf("bounds %+v, %v, appended up to %d", b, err, end)
		}
		if got := scanned(t, l, inbox.Scan{Newest: true}); len(got) != moving+still || !slices.IsSorted(got) {
			t.Fatalf("at rest %d subjects, want %d in order", len(got), moving+still)
		}
	})
}

func TestNewestScanMissesNoSubjectThatMoves(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const n = 200
		stop := make(chan struct{})
		last := churn(t, l, n, stop)
		for len(scanned(t, l, inbox.Scan{Newest: true})) < n { // until the first round is in
		}
		for range 20 {
			subjects := map[string]bool{}
			if err := l.Scan(t.Context(), inbox.Scan{Newest: true}, func(m inbox.Message) error {
				subjects[m.Subject] = true
				return nil
			}); err != nil || len(subjects) != n {
				t.Fatalf("%d subjects of %d, %v", len(subjects), n, err)
			}
		}
		close(stop)
		wait(t, last)
	})
}

func TestFollowAcrossAPurge(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		const n = 400
		stop := make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		last := churn(t, l, n, stop)
		seen := make(chan uint64, 1<<20)
		done := make(chan error, 1)
		go func() { // ends with ctx
			done <- l.Scan(ctx, inbox.Scan{Follow: true}, func(m inbox.Message) error { seen <- m.Seq; return nil })
		}()
		at, below := uint64(0), uint64(0)
		next := func() {
			seq := wait(t, seen)
			if seq <= at {
				t.Fatalf("%d came after %d", seq, at)
			}
			if seq != at+1 && at+1 >= below {
				t.Fatalf("%d came after %d, purged below %d", seq, at, below)
			}
			at = seq
		}
		for range 10 {
			for range n {
				next()
			}
			b, err := l.Bounds(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			// Each subject has its newest within two rounds: those must stay,
			// else its writer is beaten.
			below = max(below, b.Last-min(b.Last, 3*n))
			if err := l.Purge(t.Context(), below); err != nil {
				t.Fatal(err)
			}
		}
		close(stop)
		for end := wait(t, last); at < end; {
			next()
		}
		cancel()
		if err := wait(t, done); err != context.Canceled {
			t.Errorf("Scan said %v", err)
		}
	})
}

// An end that is purged away under a scan must not leave it waiting for it.
func TestScanEndsWhenItsEndIsPurged(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		for _, newest := range []bool{false, true} {
			t.Run(fmt.Sprintf("newest=%v", newest), func(t *testing.T) {
				// More than one pull takes, so that the engine has to stop.
				batch := make([]inbox.Proposal, 20_000)
				for i := range batch {
					batch[i] = inbox.Proposal{Subject: subject(i)}
					if newest {
						batch[i].Subject = inbox.AlarmSubject(fmt.Sprint(i), "newest", "")
					}
				}
				for _, r := range l.Append(t.Context(), batch...) {
					if r.Err != nil {
						t.Fatal(r.Err)
					}
				}
				purged := false
				done := make(chan error, 1)
				go func() { // ends with the scan
					done <- l.Scan(t.Context(), inbox.Scan{Newest: newest}, func(m inbox.Message) error {
						if purged {
							return nil
						}
						purged = true
						return l.Purge(t.Context(), 1<<40)
					})
				}()
				if err := wait(t, done); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// A server may be ahead of a leader that has just begun: what a scan for the newest has
// chosen there comes, though it lies beyond the end that the leader says. Else a node
// would know nothing of what moved on a moment before.
func TestAScanForTheNewestBringsWhatLiesBeyondTheEnd(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	for _, subject := range []string{"alarm.a.t._", "alarm.b.t._", "alarm.c.t._", "alarm.d.t._", "alarm.a.t._"} {
		if r := l.Append(t.Context(), inbox.Proposal{Subject: subject, Any: true, Data: []byte(subject)})[0]; r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	for end := range uint64(6) { // 0 is that it is not known
		var got []uint64
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		err := l.ScanNewest(ctx, end, func(m inbox.Message) error {
			got = append(got, m.Seq)
			return nil
		})
		cancel()
		if err != nil || !slices.Equal(got, []uint64{2, 3, 4, 5}) {
			t.Errorf("with the end at %d: %v, %v", end, got, err)
		}
	}
}

// While others append, what a scan for the newest brings is the newest of every subject
// as of the highest sequence that it brings.
func TestAScanForTheNewestIsAsOfItsHighest(t *testing.T) {
	eachLog(t, func(t *testing.T, l inbox.Log) {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		defer cancel()
		var writing sync.WaitGroup
		defer writing.Wait()
		for w := range 4 {
			writing.Go(func() { // ends when it has written so much
				rng := rand.New(rand.NewPCG(uint64(w), 3))
				for range 400 {
					subject := fmt.Sprintf("alarm.d%d.t._", rng.IntN(50))
					if r := l.Append(ctx, inbox.Proposal{Subject: subject, Any: true, Data: []byte(subject)})[0]; r.Err != nil {
						t.Error(r.Err)
						return
					}
				}
			})
		}
		var scans []map[string]uint64
		for range 20 {
			got := map[string]uint64{}
			if err := l.Scan(ctx, inbox.Scan{Newest: true}, func(m inbox.Message) error {
				got[m.Subject] = max(got[m.Subject], m.Seq)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			scans = append(scans, got)
		}
		writing.Wait()
		for i, got := range scans {
			highest := uint64(0)
			for _, seq := range got {
				highest = max(highest, seq)
			}
			want := map[string]uint64{}
			if err := l.Scan(ctx, inbox.Scan{}, func(m inbox.Message) error {
				if m.Seq <= highest {
					want[m.Subject] = m.Seq
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if !maps.Equal(got, want) {
				t.Fatalf("scan %d, up to %d: got %v, want %v", i, highest, got, want)
			}
		}
	})
}

// A consumer whose server does not get on gives nothing, and sends its heart-beats: a
// scan goes on with another one, and gives nothing twice.
func TestAScanLeavesAConsumerThatGivesNothing(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	pauseAll := func() {
		t.Helper()
		for name := range l.Stream().ConsumerNames(t.Context()).Name() {
			if _, err := l.Stream().PauseConsumer(t.Context(), name, time.Now().Add(time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	given, done := make(chan uint64, 10), make(chan error, 1)
	go func() { // ends when cancel is called
		done <- l.Scan(ctx, inbox.Scan{Follow: true}, func(m inbox.Message) error {
			given <- m.Seq
			return nil
		})
	}()
	for n := range uint64(3) {
		put(t, l, subject(int(n)), 0)
		if n > 0 {
			if _, err := l.Bounds(t.Context()); err != nil { // a view asks every second
				t.Fatal(err)
			}
		}
		if seq := wait(t, given); seq != n+1 {
			t.Fatalf("%d came, not %d", seq, n+1)
		}
		pauseAll()
	}
	cancel()
	if err := wait(t, done); err != context.Canceled {
		t.Errorf("Scan said %v", err)
	}
}
