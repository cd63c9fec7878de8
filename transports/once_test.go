package transports_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
	"tocsin/transports"
)

// hold holds a poll of the session until it is answered.
func hold(ctx context.Context, t *testing.T, s transports.Session, wait time.Duration) (transports.Page, error) {
	t.Helper()
	l := transports.Limits{}.WithDefaults()
	empty, err := transports.Once(ctx, s, 10, l)
	if err != nil || !empty.Empty() {
		t.Fatalf("the first page: %+v, %v", empty, err)
	}
	pump := transports.NewPump(l)
	running, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { // ends with stop
		pump.Run(running)
		close(done)
	}()
	defer func() { stop(); <-done }()
	type result struct {
		transports.Page
		err error
	}
	answered := make(chan result, 2)
	h := pump.Hold(s, transports.Ask{Limit: 10, Wait: wait}, empty, func(p transports.Page, err error) { answered <- result{p, err} })
	defer context.AfterFunc(ctx, func() { h.End(context.Cause(ctx)) })()
	h.Start()
	r := <-answered
	return r.Page, r.err
}

// coarse is how exact a pump's deadlines are.
const coarse = 200 * time.Millisecond

func TestAPollIsHeldAsLongAsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		began := time.Now()
		p, err := hold(t.Context(), t, w.session(t, w.cursor(t)), 25*time.Second)
		if took := time.Since(began); err != nil || !p.Empty() || p.Cursor != w.cursor(t) || took < 25*time.Second || took > 25*time.Second+coarse {
			t.Errorf("page %+v, error %v, after %v", p, err, took)
		}
	})
}

func TestAHeldPollIsEndedBy(t *testing.T) {
	const after = time.Second
	tests := map[string]struct {
		happens func(*world, *transports.Session, context.CancelCauseFunc)
		check   func(*transports.Page) bool
		err     error
	}{
		"an entry": {
			func(w *world, _ *transports.Session, _ context.CancelCauseFunc) {
				w.Alarm("d1", w.to, inbox.Minor, "one")
			},
			func(p *transports.Page) bool { return len(p.Items) == 1 && p.Counts.Unread == 1 }, nil},
		"counters": {
			func(w *world, _ *transports.Session, _ context.CancelCauseFunc) {
				w.Quiet("d1", w.to, inbox.Minor, "unseen")
			},
			func(p *transports.Page) bool { return p.Empty() && p.Counts.Active[inbox.Minor] == 1 }, nil},
		"the drain": {
			func(_ *world, _ *transports.Session, cancel context.CancelCauseFunc) { cancel(transports.Drain) },
			func(p *transports.Page) bool { return p.Empty() && p.Drained }, nil},
		"revocation": {
			func(_ *world, _ *transports.Session, cancel context.CancelCauseFunc) { cancel(transports.Revoked) },
			nil, transports.Revoked},
		"the client": {
			func(_ *world, _ *transports.Session, cancel context.CancelCauseFunc) { cancel(nil) },
			nil, context.Canceled},
		"expiry": {
			nil, nil, transports.Expired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.session(t, w.cursor(t))
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if test.happens == nil {
					s.Expires = time.Now().Add(after)
				} else {
					time.AfterFunc(after, func() { test.happens(w, &s, cancel) })
				}
				began := time.Now()
				p, err := hold(ctx, t, s, time.Minute)
				if took := time.Since(began); took < after || took > after+coarse {
					t.Errorf("it waited %v", took)
				}
				if test.err != nil {
					wantErr(t, err, test.err)
				} else if err != nil || !test.check(&p) {
					t.Errorf("page %+v, error %v", p, err)
				}
				synctest.Wait()
			})
		})
	}
}

func TestOnceBoundsThePage(t *testing.T) {
	w := newWorld(t)
	cursor := w.cursor(t)
	for i := range 7 {
		w.raise("d1", strings.Repeat("x", 300)+string(rune('a'+i)))
	}
	var pages []int
	for range 7 {
		p, err := transports.Once(t.Context(), w.session(t, cursor), 100, transports.Limits{PageBytes: 1000}.WithDefaults())
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, len(p.Items))
		if cursor = p.Cursor; !p.More {
			break
		}
	}
	if !slices.Equal(pages, []int{3, 3, 1}) {
		t.Errorf("pages of %v entries, want 3 3 1", pages)
	}
}

func TestOnceTellsAnErrorOfTheLog(t *testing.T) {
	w := newWorld(t)
	w.raise("d1", "one")
	view := inbox.NewView(failing{w.Log.(*inbox.MemoryLog)}, inbox.ViewOptions{Window: 1})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go view.Run(ctx) // ends with the test
	<-view.Ready()
	w.Alarm("d1", w.to, 0, "over")
	w.raise("d2", "two")
	if err := view.Wait(t.Context(), w.view.Head()); err != nil {
		t.Fatal(err)
	}
	r, err := view.Open("ada", nil, inbox.Start{Cursor: inbox.Earliest})
	if err != nil {
		t.Fatal(err)
	}
	_, err = transports.Once(t.Context(), transports.Session{Reader: r}, 10, transports.Limits{}.WithDefaults())
	wantErr(t, err, errBroken)
}
