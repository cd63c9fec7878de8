package inbox_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// A farLog is one whose leader can be out of reach, or far ahead.
type farLog struct {
	*inbox.MemoryLog
	away  atomic.Bool
	ahead atomic.Uint64
	led   atomic.Int64 // how long its leader has led, 0 is not known
	// behind is the end as a leader sees it who lacks some; 0 is the real one.
	behind atomic.Uint64
	cut    atomic.Pointer[context.CancelFunc] // ends who follows
	late   atomic.Int64                       // how long what is followed takes to come
}

func (l *farLog) Bounds(ctx context.Context) (inbox.Bounds, error) {
	if l.away.Load() {
		<-ctx.Done()
		return inbox.Bounds{}, inbox.ErrUnavailable
	}
	b, err := l.MemoryLog.Bounds(ctx)
	b.Last += l.ahead.Load()
	if end := l.behind.Load(); end > 0 {
		b.Last = end
	}
	b.Led = time.Duration(l.led.Load())
	return b, err
}

func (l *farLog) Scan(ctx context.Context, s inbox.Scan, each func(inbox.Message) error) error {
	if s.Follow {
		following, cut := context.WithCancel(ctx)
		defer cut()
		l.cut.Store(&cut)
		ctx = following
	}
	return l.MemoryLog.Scan(ctx, s, func(m inbox.Message) error {
		if end := l.behind.Load(); end > 0 && m.Seq > end {
			return nil
		}
		if s.Follow {
			<-time.After(time.Duration(l.late.Load()))
		}
		return each(m)
	})
}

// view is one that follows the log until stop is called, or a minute is over, as is the
// context then.
func (l *farLog) view(t *testing.T) (ctx context.Context, v *inbox.View, stop func()) {
	v = inbox.NewView(l, inbox.ViewOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	done := make(chan struct{})
	go func() { defer close(done); _ = v.Run(ctx) }() // ends with the context
	<-v.Ready()
	return ctx, v, func() { cancel(); <-done }
}

// A node is stale three seconds after it has lost touch and no earlier, whether the
// leader is silent or what it has does not come; readers who wait hear of it at
// once, and of its end.
func TestANodeThatLosesTouchSaysSo(t *testing.T) {
	for name, lose := range map[string]func(l *farLog, lost bool){
		"silent": func(l *farLog, lost bool) { l.away.Store(lost) },
		"ahead": func(l *farLog, lost bool) {
			l.ahead.Store(map[bool]uint64{true: 5}[lost])
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &farLog{MemoryLog: &inbox.MemoryLog{}}
				w := inboxtest.NewWriter(t, log.MemoryLog)
				w.Alarm("d", w.Route("g"), inbox.Major, "x")
				ctx, v, stop := log.view(t)
				defer stop()
				r, err := v.Open("ann", []string{"g"}, inbox.Start{Cursor: inbox.Earliest})
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				if b, err := r.Next(ctx, 10); err != nil || b.Counts.Stale || len(b.Items) != 1 {
					t.Fatalf("in touch: %+v, %v", b, err)
				}
				for round := range 2 {
					began := time.Now()
					lose(log, true)
					b, err := r.Next(ctx, 10)
					if took := time.Since(began); err != nil || !b.Counts.Stale || !v.Stale() || took < 2*time.Second || took > 6*time.Second {
						t.Errorf("round %d: after %v: %+v, %v", round, took, b.Counts, err)
					}
					if text := string(b.Counts.AppendJSON(nil)); !strings.HasSuffix(text, `,"stale":true`) {
						t.Errorf("it is told as %s", text)
					}
					began = time.Now()
					lose(log, false)
					b, err = r.Next(ctx, 10)
					if took := time.Since(began); err != nil || b.Counts.Stale || v.Stale() || took > 2*time.Second {
						t.Errorf("round %d, again in touch after %v: %+v, %v", round, took, b.Counts, err)
					}
				}
			})
		})
	}
}

// A cursor beyond what the leader has is of a log that has lost its end, and its reader
// is told so; but not by a leader that has just begun, and may be behind the others.
func TestALeaderThatHasJustBegunTellsNobodyThatTheLogHasLostItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &farLog{MemoryLog: &inbox.MemoryLog{}}
		w := inboxtest.NewWriter(t, log.MemoryLog)
		seq := w.Alarm("d", w.Route("g"), inbox.Major, "x")
		ctx, v, stop := log.view(t)
		defer stop()
		r, err := v.Open("ann", []string{"g"}, inbox.Start{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Read(ctx, 10); err != nil {
			t.Fatal(err)
		}
		here, err := inbox.ParseCursor(r.Cursor())
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
		here.Seq = seq + 7
		for led, gap := range map[time.Duration]bool{0: true, time.Second: false, 14 * time.Second: false, time.Minute: true} {
			log.led.Store(int64(led))
			r, err := v.Open("ann", []string{"g"}, inbox.Start{Cursor: here.String()})
			if err != nil {
				t.Fatal(err)
			}
			b, err := r.Read(ctx, 10)
			if gap && (err != nil || b.Gap == nil || b.Gap.Reason != inbox.GapEpoch) || !gap && !errors.Is(err, inbox.ErrStale) {
				t.Errorf("a leader of %v: %+v, %v", led, b.Gap, err)
			}
			r.Close()
		}
	})
}

// A view that has to load the log again takes nothing back because of a leader that has
// just begun; and what a leader said of a cursor once does not hold for what is loaded
// later.
func TestAViewTakesNothingBackForALeaderThatHasJustBegun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &farLog{MemoryLog: &inbox.MemoryLog{}}
		w := inboxtest.NewWriter(t, log.MemoryLog)
		crew := w.Route("g")
		first := w.Alarm("d", crew, inbox.Major, "x")
		ctx, v, stop := log.view(t)
		defer stop()
		read := func(r *inbox.Reader, items int) {
			t.Helper()
			if b, err := r.Read(ctx, 10); err != nil || b.Gap != nil || len(b.Items) != items {
				t.Fatalf("%+v, gap %+v, %v", b.Items, b.Gap, err)
			}
		}
		// His cursor is above the head: the leader is asked, and has it.
		here := inboxtest.Open(t, v, "ann", inbox.Start{}, "g")
		read(here, 0)
		cursor, err := inbox.ParseCursor(here.Cursor())
		if err != nil {
			t.Fatal(err)
		}
		cursor.Seq++
		log.ahead.Store(1)
		written := make(chan struct{})
		go func() { // ends when it has written
			defer close(written)
			<-time.After(time.Second)
			w.Alarm("d", crew, inbox.Major, "y")
		}()
		r := inboxtest.Open(t, v, "ann", inbox.Start{Cursor: cursor.String()}, "g")
		read(r, 0)
		<-written
		log.ahead.Store(0)

		log.led.Store(int64(time.Second))
		log.behind.Store(first)
		(*log.cut.Load())()
		<-time.After(5 * time.Second)
		if v.Head() <= first {
			t.Errorf("the view went back to %d", v.Head())
		}
		read(r, 0)
		log.behind.Store(0)
		w.Alarm("d", crew, inbox.Major, "z")
		<-time.After(time.Second)
		read(r, 1)
		read(here, 2)
	})
}

// aMark keeps one.
type aMark struct {
	inbox.Marks
	inbox.Mark
}

func (k *aMark) Update(_ context.Context, _ string, change func(inbox.Mark) (inbox.Mark, error)) (m inbox.Mark, err error) {
	if m, err = change(k.Mark); err == nil {
		k.Mark = m
	}
	return m, err
}

// What somebody has published here he can mark as read at once, by its id and as the
// latest, though the tail has not brought it.
func TestWhatWasAppendedHereCanBeReadAtOnce(t *testing.T) {
	for name, mark := range map[string]struct {
		upto string
		ids  []string
	}{
		"latest": {upto: inbox.Latest},
		"id":     {ids: []string{"d.t._.1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := &farLog{MemoryLog: &inbox.MemoryLog{}}
				w := inboxtest.NewWriter(t, log.MemoryLog)
				crew := w.Route("g")
				ctx, v, stop := log.view(t)
				defer stop()
				log.late.Store(int64(100 * time.Millisecond))
				v.Appended(w.Alarm("d", crew, inbox.Major, "x"))
				counts, err := v.MarkRead(ctx, &aMark{}, "ann", []string{"g"}, mark.upto, mark.ids)
				if err != nil || counts.Unread != 0 || counts.Active[inbox.Major] != 1 {
					t.Errorf("%+v, %v", counts, err)
				}
			})
		})
	}
}
