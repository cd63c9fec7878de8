package hooks_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"tocsin/server/hooks"
	"tocsin/server/natslog"
)

// patience bounds every wait of these tests.
const patience = 30 * time.Second

var secret = []byte("a secret of these tests, long enough")

// openLog opens a real log of the test's own.
func openLog(t *testing.T, dir string) *natslog.Log {
	t.Helper()
	l, err := natslog.Open(t.Context(), natslog.Options{Dir: dir, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeLog(t, l) })
	return l
}

func closeLog(t *testing.T, l *natslog.Log) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Error(err)
	}
}

// A queue is a real one.
type queue struct{ *natslog.Queue }

func (q queue) Run(ctx context.Context, do func(context.Context, hooks.Job) error) error {
	return q.Queue.Run(ctx, func(ctx context.Context, j natslog.Job) error { return do(ctx, hooks.Job(j)) })
}

func openQueue(t *testing.T, l *natslog.Log, name string) hooks.Queue {
	t.Helper()
	q, err := l.Queue(t.Context(), natslog.QueueConfig{Name: name, Backoff: []time.Duration{50 * time.Millisecond}})
	if err != nil {
		t.Fatal(err)
	}
	return queue{q}
}

// A message is one that a receiver got.
type message struct {
	id, timestamp string
	Type          hooks.Event
	Timestamp     time.Time
	Data          struct {
		Alarm      struct{ ID, Device string }
		By, Note   string
		Entry      uint64
		Connection string
		User       string
	}
}

// A receiver is a web server that checks what it gets as anybody would, with the
// convention's own library.
type receiver struct {
	t      *testing.T
	url    string
	got    chan message
	mu     sync.Mutex
	answer func(n int) int // the status of the n-th request, from 1
	asked  int
}

func newReceiver(t *testing.T, answer func(n int) int) *receiver {
	t.Helper()
	r := &receiver{t: t, got: make(chan message, 1000), answer: answer}
	hook, err := standardwebhooks.NewWebhookRaw(secret)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		if err := hook.Verify(body, q.Header); err != nil {
			t.Errorf("the signature of %s: %v", body, err)
		}
		m := message{id: q.Header.Get("webhook-id"), timestamp: q.Header.Get("webhook-timestamp")}
		if err := json.Unmarshal(body, &m); err != nil || q.Header.Get("Content-Type") != "application/json" {
			t.Errorf("got %s: %v", body, err)
		}
		r.mu.Lock()
		r.asked++
		status := 200
		if r.answer != nil {
			status = r.answer(r.asked)
		}
		r.mu.Unlock()
		r.got <- m
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	t.Cleanup(s.Close)
	r.url = s.URL
	return r
}

func (r *receiver) next() message {
	r.t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(patience):
		r.t.Fatal("nothing came")
		return message{}
	}
}

// run runs the hooks until the test ends or stops them.
func run(t *testing.T, h *hooks.Hooks) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		h.Run(ctx)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return stop
}
