package transports_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
)

// A world is a view with a writer and one route that ada reads.
type world struct {
	*inboxtest.Writer
	view *inbox.View
	to   inbox.Audience
}

func newWorld(t *testing.T) *world {
	t.Helper()
	log := &inbox.MemoryLog{}
	w := &world{Writer: inboxtest.NewWriter(t, log)}
	w.to = w.Route("crew")
	w.Member("crew", "ada", true)
	w.view, _ = inboxtest.StartView(t, log, inbox.ViewOptions{})
	return w
}

// raise stores an alarm and waits until the view has it.
func (w *world) raise(device, body string) {
	w.T.Helper()
	inboxtest.Reach(w.T, w.view, w.Alarm(device, w.to, inbox.Major, body))
}

func (w *world) session(t *testing.T, cursor string) transports.Session {
	t.Helper()
	r, err := w.view.Open("ada", nil, inbox.Start{Cursor: cursor})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s := transports.Session{Reader: r}
	if transports.IsPlace(cursor) {
		s.Place = cursor
	}
	return s
}

// cursor is where a reader stands who has read everything.
func (w *world) cursor(t *testing.T) string {
	t.Helper()
	b, err := w.session(t, inbox.Latest).Reader.Read(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	return b.Cursor
}

// A recorder is an Encoder that writes down what it is told, one word each.
type recorder struct {
	said    []string
	hello   transports.Hello
	cursors []string
	pinged  []time.Duration // since the beginning
	began   time.Time
	retry   time.Duration
	flushes int
	onFlush func() error
	cause   error // what the stream ended with
}

func (r *recorder) Hello(h transports.Hello) {
	r.hello = h
	r.said = append(r.said, "hello")
}

func (r *recorder) Part(p transports.Part) {
	if p.Gap != nil && p.From == 0 {
		r.said = append(r.said, "gap:"+string(p.Gap.Reason))
	}
	for i := p.From; i < p.To; i++ {
		text := string(p.Items[i].AppendJSON(nil))
		_, body, _ := strings.Cut(text, `"body":"`)
		body, _, _ = strings.Cut(body, `"`)
		r.said = append(r.said, body)
		r.cursors = append(r.cursors, p.CursorAt(i))
	}
	if p.Changed {
		r.said = append(r.said, "counts")
	}
}

func (r *recorder) Ping(cursor string, _ bool) {
	r.said = append(r.said, "ping")
	r.cursors = append(r.cursors, cursor)
	r.pinged = append(r.pinged, time.Since(r.began))
}

func (r *recorder) Bye(reason transports.Reason, retry time.Duration) {
	r.said = append(r.said, "bye:"+string(reason))
	r.retry = retry
}

func (r *recorder) Flush() (done bool, err error) {
	r.flushes++
	if r.onFlush != nil {
		return false, nil // it may wait
	}
	return true, nil
}

func (r *recorder) Settle() error { return r.onFlush() }

// run streams in a goroutine of its own, which ends with the context; done is
// closed then.
func (r *recorder) run(ctx context.Context, s transports.Session, l transports.Limits) (done chan struct{}) {
	done = make(chan struct{})
	r.began = time.Now()
	go func() { // ends with the context or the stream
		defer close(done)
		pump := transports.NewPump(l)
		running, stop := context.WithCancel(context.Background())
		defer stop()
		go pump.Run(running) // ends with stop
		r.cause = pump.Serve(ctx, s, r)
	}()
	return done
}

func (r *recorder) wantSaid(t *testing.T, want ...string) {
	t.Helper()
	if got, want := strings.Join(r.said, " "), strings.Join(want, " "); got != want {
		t.Errorf("the stream said\n %s\nwant\n %s", got, want)
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error %v, want %v", err, want)
	}
}
