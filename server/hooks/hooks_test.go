package hooks_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/hooks"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// critical is an entry that has reached nobody.
func critical(seq uint64) inbox.Entry {
	return inbox.Entry{Seq: seq, Subject: inbox.AlarmSubject("d1", "hot", ""), Tag: "1.x",
		Body: []byte(`{"type":"alarm.raised","alarm":{"id":"d1.hot._.1.x","device":"d1"}}`)}
}

func newHooks(t *testing.T, o hooks.Options) *hooks.Hooks {
	t.Helper()
	o.Secret = secret
	h, err := hooks.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestAMessageIsSentAgainUntilItIsAccepted(t *testing.T) {
	statuses := []int{500, 302, 404, 429, 204}
	r := newReceiver(t, func(n int) int { return statuses[min(n, len(statuses))-1] })
	var counted [2]atomic.Int64
	now := time.Now()
	var attempts atomic.Int64
	h := newHooks(t, hooks.Options{
		Receivers: []hooks.Receiver{{URL: r.url, Queue: openQueue(t, openLog(t, t.TempDir()), "hooks")}},
		Now:       func() time.Time { return now.Add(time.Duration(attempts.Add(1)) * time.Second) },
		Count: func(outcome string) {
			counted[map[string]int{hooks.Failed: 0, hooks.Sent: 1}[outcome]].Add(1)
		},
	})
	run(t, h)
	for range 2 { // the second is the same message
		if err := h.Undelivered(t.Context(), critical(7)); err != nil {
			t.Fatal(err)
		}
	}
	first := r.next()
	last := first
	for range len(statuses) - 1 {
		m := r.next()
		if m.id != first.id || m.Timestamp != first.Timestamp || m.timestamp == last.timestamp {
			t.Errorf("after %+v came %+v", last, m)
		}
		last = m
	}
	if first.Type != hooks.Undelivered || first.Data.Alarm.Device != "d1" || first.Data.Entry != 7 {
		t.Errorf("got %+v", first)
	}
	if err := h.Undelivered(t.Context(), critical(8)); err != nil {
		t.Fatal(err)
	}
	if m := r.next(); m.Data.Entry != 8 {
		t.Errorf("after it was accepted came %+v", m)
	}
	for began := time.Now(); counted[0].Load() != 4 || counted[1].Load() != 2; {
		if time.Since(began) > patience {
			t.Fatalf("counted %d failed and %d sent", counted[0].Load(), counted[1].Load())
		}
	}
}

func TestAReceiverThatIsGoneIsLeftAlone(t *testing.T) {
	r := newReceiver(t, func(int) int { return http.StatusGone })
	gone := make(chan string, 10)
	h := newHooks(t, hooks.Options{
		Receivers: []hooks.Receiver{{URL: r.url, Queue: openQueue(t, openLog(t, t.TempDir()), "hooks")}},
		Count:     func(outcome string) { gone <- outcome },
	})
	run(t, h)
	for seq := uint64(1); seq <= 2; seq++ {
		if err := h.Undelivered(t.Context(), critical(seq)); err != nil {
			t.Fatal(err)
		}
		if m := r.next(); m.Data.Entry != seq {
			t.Errorf("got %+v, want that of entry %d", m, seq)
		}
		if outcome := <-gone; outcome != hooks.Gone {
			t.Errorf("counted as %s", outcome)
		}
	}
}

func TestASlowReceiverHoldsUpNoOther(t *testing.T) {
	let := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		select {
		case <-let:
		case <-q.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(let) })
	r := newReceiver(t, nil)
	l := openLog(t, t.TempDir())
	h := newHooks(t, hooks.Options{Timeout: time.Minute, Receivers: []hooks.Receiver{
		{URL: slow.URL, Queue: openQueue(t, l, "slow")}, {URL: r.url, Queue: openQueue(t, l, "quick")}}})
	run(t, h)
	for seq := uint64(1); seq <= 50; seq++ {
		if err := h.Undelivered(t.Context(), critical(seq)); err != nil {
			t.Fatal(err)
		}
	}
	for range 50 {
		r.next()
	}
}

func TestWhatIsTooOldBecomesADeadLetter(t *testing.T) {
	r := newReceiver(t, func(int) int { return 500 })
	letters := make(chan hooks.Letter, 10)
	full := true
	h := newHooks(t, hooks.Options{
		Receivers: []hooks.Receiver{{URL: strings.Replace(r.url, "http://", "http://user:password@", 1), Queue: openQueue(t, openLog(t, t.TempDir()), "hooks")}},
		GiveUp:    200 * time.Millisecond,
		Dead: func(_ context.Context, l hooks.Letter) error {
			letters <- l
			if full {
				full = false
				return inbox.ErrFull
			}
			return nil
		},
	})
	stop := run(t, h)
	if err := h.Undelivered(t.Context(), critical(7)); err != nil {
		t.Fatal(err)
	}
	m := r.next()
	for range 2 { // the first time it could not be kept
		select {
		case l := <-letters:
			if l.ID != m.id || l.Event != hooks.Undelivered || l.Attempts < 2 || l.Reason != "the receiver answered 500" ||
				!strings.Contains(string(l.Body), `"entry":7`) || strings.Contains(l.URL, "password") {
				t.Errorf("got %+v", l)
			}
		case <-time.After(patience):
			t.Fatal("it was never given up")
		}
	}
	stop()
	if len(letters) != 0 {
		t.Errorf("it was given up again: %+v", <-letters)
	}
}

func TestEventsOfConnectionsAreDroppedRatherThanKept(t *testing.T) {
	r := newReceiver(t, nil)
	var dropped atomic.Int64
	o := hooks.Options{
		Receivers: []hooks.Receiver{{URL: r.url, Queue: openQueue(t, openLog(t, t.TempDir()), "hooks")}},
		Events:    []hooks.Event{hooks.Connected},
		Count: func(outcome string) {
			if outcome == hooks.Dropped {
				dropped.Add(1)
			}
		},
	}
	h := newHooks(t, o)
	const room, more = 4096, 100
	at := time.Now()
	for n := range room + more {
		h.Offer(hooks.Connected, hooks.Connection{ID: fmt.Sprint(n), User: "ada"}, at)
		h.Offer(hooks.Subscribed, hooks.Connection{ID: fmt.Sprint(n)}, at) // nobody wants it
	}
	if dropped.Load() != more {
		t.Errorf("%d were dropped, want %d", dropped.Load(), more)
	}
	run(t, h)
	for n := range 10 {
		if m := r.next(); m.Type != hooks.Connected || m.Data.User != "ada" || m.Data.Connection == "" {
			t.Errorf("message %d: %+v", n, m)
		}
	}
}

// ack appends an acknowledgement as the engine does.
func ack(w *inboxtest.Writer, device, by string, quiet bool) uint64 {
	return w.Append(inbox.Entry{Subject: inbox.AlarmSubject(device, "hot", ""), Audience: w.Route("crew"), Status: "acked",
		Quiet: quiet, Tag: "1.x", Severity: inbox.Major, Acked: true,
		Body: fmt.Appendf(nil, `{"type":"alarm.acked","time":"2026-11-21T02:00:00.250Z","by":%q,"note":"seen","alarm":{"id":"x","device":%q}}`, by, device)}, false)
}

func TestAcknowledgementsFollowTheLog(t *testing.T) {
	dir := t.TempDir()
	r := newReceiver(t, nil)
	l := openLog(t, dir)
	w := inboxtest.NewWriter(t, l)
	ack(w, "before", "ada", false) // before anybody wanted to hear
	o := hooks.Options{Receivers: []hooks.Receiver{{URL: r.url, Queue: openQueue(t, l, "hooks")}}}
	h := newHooks(t, o)
	positions, err := l.Positions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := h.BeginAcks(t.Context(), l, positions); err != nil {
		t.Fatal(err)
	}
	ack(w, "away", "ada", false) // before anything ran
	ack(w, "away", "bob", true)  // a second one: told to nobody
	follow := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { // ends with stop
			defer close(done)
			h.FollowAcks(ctx, l, positions)
		}()
		return func() { cancel(); <-done }
	}
	stopRun, stop := run(t, h), follow()
	m := r.next()
	if m.Type != hooks.Acked || m.Data.Alarm.Device != "away" || m.Data.By != "ada" || m.Data.Note != "seen" || m.Data.Entry == 0 ||
		!strings.HasPrefix(m.id, "acked_"+w.Epoch+"_") || m.Timestamp.Year() != 2026 {
		t.Errorf("got %+v", m)
	}
	stop()
	ack(w, "while down", "ada", false)
	stopRun()
	closeLog(t, l)

	l = openLog(t, dir)
	w.Log = l
	o.Receivers[0].Queue = openQueue(t, l, "hooks")
	h = newHooks(t, o)
	if positions, err = l.Positions(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(t, h)
	stop = follow()
	defer stop()
	ack(w, "after", "ada", false)
	missing := map[string]bool{"while down": true, "after": true} // in any order
	for len(missing) > 0 {
		m := r.next()
		if device := m.Data.Alarm.Device; device == "before" || m.Data.By != "ada" {
			t.Errorf("got %+v", m)
		} else {
			delete(missing, device)
		}
	}
}

func TestSecrets(t *testing.T) {
	for text, want := range map[string]string{
		"a line of the file, as it stands\n":       "a line of the file, as it stands",
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n": "\x31\xf2\x90\xf6\xbf\x06\x29\x8a\xab\x4f\x08\xd4\x3c\x3f\x08\x2c\xf6\x48\xa3\x62\xda\x2d\xa4\xb0",
		strings.Repeat("x", 64):                    strings.Repeat("x", 64),
	} {
		if got, err := hooks.ParseSecret(text); err != nil || string(got) != want {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "short", strings.Repeat("x", 23), strings.Repeat("x", 65), "whsec_", "whsec_!!!!", "whsec_AAAA"} {
		if got, err := hooks.ParseSecret(text); err == nil {
			t.Errorf("%q: %q", text, got)
		}
	}
	if _, err := hooks.New(hooks.Options{Secret: secret}); err == nil {
		t.Error("hooks for nobody")
	}
	bad := hooks.Options{Secret: secret, Receivers: []hooks.Receiver{{URL: "ftp://x"}}}
	if _, err := hooks.New(bad); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a receiver of another kind: %v", err)
	}
}
