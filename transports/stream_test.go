package transports_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

func TestStreamTellsWhatComesInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		from := w.cursor(t)
		w.raise("d1", "one")
		var r recorder
		ctx, cancel := context.WithCancel(t.Context())
		done := r.run(ctx, w.session(t, from), transports.Limits{})
		synctest.Wait()
		w.raise("d2", "two")
		synctest.Wait()
		w.raise("d2", "again") // the same alarm: no counter changes
		synctest.Wait()
		cancel()
		<-done
		r.wantSaid(t, "hello", "one", "two", "counts", "again")
		wantErr(t, r.cause, context.Canceled)
		if r.hello.Cursor != from || !r.hello.Resumed || r.hello.Gap {
			t.Errorf("hello %+v", r.hello)
		}
		if r.hello.Counts.Unread != 1 {
			t.Errorf("hello counts %+v", r.hello.Counts)
		}
	})
}

func TestStreamResumesFromTheCursorOfHello(t *testing.T) {
	for _, start := range []inbox.Start{{Cursor: inbox.Earliest}, {Snapshot: true}} {
		w := newWorld(t)
		w.raise("d1", "one")
		w.raise("d2", "two")
		reader, err := w.view.Open("ada", nil, start)
		if err != nil {
			t.Fatal(err)
		}
		r := recorder{onFlush: func() error { return errors.New("cut") }}
		<-r.run(t.Context(), transports.Session{Reader: reader}, transports.Limits{})
		r.wantSaid(t, "hello", "one", "two")
		again := recorder{onFlush: r.onFlush}
		<-again.run(t.Context(), w.session(t, r.hello.Cursor), transports.Limits{})
		again.wantSaid(t, "hello", "one", "two")
	}
}

func TestStreamPingsOnlyWhenSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r recorder
		ctx, cancel := context.WithCancel(t.Context())
		done := r.run(ctx, w.session(t, ""), transports.Limits{Ping: 20 * time.Second, Rotate: -1})
		for range 8 { // an alarm every 10 s: nothing to ping about
			<-time.After(10 * time.Second)
			w.raise("d1", "again")
		}
		synctest.Wait()
		if len(r.pinged) > 0 {
			t.Errorf("pinged after %v although it was never silent", r.pinged)
		}
		w.Notice(inbox.UserAudience("bob"), "n", "for bob")
		<-time.After(70 * time.Second)
		cancel()
		<-done
		if n := len(r.pinged); n != 3 {
			t.Fatalf("%d pings in 70 s of silence, want 3", n)
		}
		for i, at := range r.pinged {
			last := 80 * time.Second
			if i > 0 {
				last = r.pinged[i-1]
			}
			if d := at - last; d < 18*time.Second || d > 22*time.Second {
				t.Errorf("ping %d came %v after what was said before, want 20 s ± 10 %%", i, d)
			}
		}
		// The ping's cursor is beyond bob's notice, and nothing is lost from there.
		ping := r.cursors[len(r.cursors)-1]
		w.raise("d2", "later")
		again := recorder{onFlush: func() error { return errors.New("cut") }}
		<-again.run(t.Context(), w.session(t, ping), transports.Limits{})
		again.wantSaid(t, "hello", "later")
	})
}

func TestStreamEndsWithItsReason(t *testing.T) {
	tests := []struct {
		reason transports.Reason
		limits transports.Limits
		least  time.Duration
		most   time.Duration
		end    func(*transports.Session, context.CancelCauseFunc)
	}{
		{transports.Rotate, transports.Limits{Ping: time.Hour}, 8 * time.Minute, 12 * time.Minute, nil},
		{transports.Expired, transports.Limits{Ping: time.Hour}, time.Minute, time.Minute + 200*time.Millisecond,
			func(s *transports.Session, _ context.CancelCauseFunc) { s.Expires = time.Now().Add(time.Minute) }},
		{transports.Drain, transports.Limits{Ping: time.Hour}, time.Second, time.Second,
			func(_ *transports.Session, cancel context.CancelCauseFunc) {
				time.AfterFunc(time.Second, func() { cancel(transports.Drain) })
			}},
	}
	for _, test := range tests {
		t.Run(string(test.reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.session(t, "")
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.end != nil {
					test.end(&s, cancel)
				}
				var r recorder
				<-r.run(ctx, s, test.limits)
				if took := time.Since(r.began); took < test.least || took > test.most {
					t.Errorf("it ended after %v", took)
				}
				r.wantSaid(t, "hello", "bye:"+string(test.reason))
				wantErr(t, r.cause, test.reason)
				if r.retry < 0 || r.retry > 2*time.Second {
					t.Errorf("come back after %v", r.retry)
				}
			})
		})
	}
}

func TestStreamBoundsAFlush(t *testing.T) {
	w := newWorld(t)
	from := w.cursor(t)
	for range 5 {
		w.raise("d1", strings.Repeat("x", 400))
	}
	delivered := 0
	s := w.session(t, from)
	s.Delivered = func(n int) { delivered += n }
	ctx, cancel := context.WithCancel(t.Context())
	r := recorder{onFlush: func() error {
		if delivered == 4 {
			cancel()
		}
		return nil
	}}
	<-r.run(ctx, s, transports.Limits{FlushBytes: 1000})
	if r.flushes != 3 || delivered != 5 {
		t.Errorf("%d entries in %d flushes, want 5 in 3", delivered, r.flushes)
	}
}

func TestStreamStopsWhenTheClientTakesNothing(t *testing.T) {
	w := newWorld(t)
	stalled := errors.New("stalled")
	r := recorder{onFlush: func() error { return stalled }}
	<-r.run(t.Context(), w.session(t, ""), transports.Limits{})
	r.wantSaid(t, "hello")
	wantErr(t, r.cause, stalled)
}

func TestStreamTellsAGapBeforeAnything(t *testing.T) {
	w := newWorld(t)
	w.raise("d1", "one")
	r := recorder{onFlush: func() error { return errors.New("cut") }}
	s := transports.Session{Reader: w.view.OpenLost("ada", nil, "nonsense"), Place: "nonsense"}
	<-r.run(t.Context(), s, transports.Limits{})
	r.wantSaid(t, "hello", "gap:epoch", "one")
	if !r.hello.Gap || r.hello.Resumed || r.hello.Cursor != "nonsense" {
		t.Errorf("hello %+v", r.hello)
	}
}

// A failing log gives no entry by sequence.
type failing struct{ *inbox.MemoryLog }

var errBroken = errors.New("broken")

func (failing) At(context.Context, uint64) (inbox.Message, error) {
	return inbox.Message{}, errBroken
}

// Whoever has a stream may end it before it has been started, and hears of the end
// when it is.
func TestAStreamThatWasEndedNeverStarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pump := transports.NewPump(transports.Limits{})
		ctx, cancel := context.WithCancel(t.Context())
		go pump.Run(ctx) // ends with cancel
		var r recorder
		ended := make(chan error, 1)
		st := pump.Stream(w.session(t, ""), &r, func(err error) { ended <- err })
		st.End(transports.Revoked)
		synctest.Wait()
		if len(ended) != 0 {
			t.Error("it ended before whoever has it was ready to hear so")
		}
		st.Start()
		synctest.Wait()
		wantErr(t, <-ended, transports.Revoked)
		r.wantSaid(t)
		cancel()
		synctest.Wait()
	})
}

// A panic ends one stream and nobody else's.
func TestAPanicEndsOneStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		pump := transports.NewPump(transports.Limits{Ping: time.Second})
		ctx, cancel := context.WithCancel(t.Context())
		go pump.Run(ctx) // ends with cancel
		ended := make(chan error, 2)
		bad, good := &recorder{}, &recorder{}
		pump.Stream(w.session(t, ""), panicking{bad}, func(err error) { ended <- err }).Start()
		other := pump.Stream(w.session(t, ""), good, func(err error) { ended <- err })
		other.Start()
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("it ended with %v", err)
		}
		synctest.Wait() // the other one has begun, from what is now
		w.raise("d1", "one")
		synctest.Wait()
		good.wantSaid(t, "hello", "one", "counts")
		other.End(transports.Drain)
		wantErr(t, <-ended, transports.Drain)
		cancel()
		synctest.Wait()
	})
}

type panicking struct{ *recorder }

func (panicking) Hello(transports.Hello) { panic("on purpose") }
