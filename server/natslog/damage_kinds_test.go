package natslog_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// lines are what a logger was told.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// full stores something of every kind: the log, a bucket, a queue with what waits in it.
func full(t *testing.T, dir string) tale {
	t.Helper()
	l, err := natslog.Open(t.Context(), quiet(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, l)
	s := tellTale(t, l, 50, 100)
	marks, err := l.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for n := range 20 {
		_, err := marks.Update(t.Context(), "ann", func(m inbox.Mark) (inbox.Mark, error) {
			m.Rev, m.Epoch, m.Upto = m.Rev+1, s.epoch, s.first+uint64(n)
			return m, nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	queue, err := l.Queue(t.Context(), natslog.QueueConfig{Name: "jobs", Description: "of the test"})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 10 {
		if err := queue.Put(t.Context(), fmt.Sprint("job", n), []byte("do it")); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// A file of any kind is damaged at a place that chance chooses: the log is refused, or
// opened with all that was stored. What is opened is never less without a word.
func TestAnyDamagedFileIsRefusedOrMadeAnew(t *testing.T) {
	rng := damageSeed(t)
	whole := t.TempDir()
	s := full(t, whole)
	streams := filepath.Join("jetstream", "$G", "streams")
	for _, kind := range []string{"LOG/meta.inf", "LOG/meta.sum", "LOG/msgs/index.db", "LOG/msgs/1.blk",
		"KV_marks/meta.inf", "KV_marks/meta.sum", "KV_marks/msgs/index.db", "KV_marks/msgs/*.blk",
		"QUEUE_jobs/meta.inf", "QUEUE_jobs/obs/*/meta.inf", "QUEUE_jobs/obs/*/o.dat", "QUEUE_jobs/msgs/*.blk"} {
		t.Run(kind, func(t *testing.T) {
			for range 4 {
				dir := copied(t, whole)
				files, err := filepath.Glob(filepath.Join(dir, streams, kind))
				if err != nil || len(files) == 0 {
					t.Fatalf("there is no such file: %v", err)
				}
				flip(t, files[0], rng.Int64N(sizeOf(t, files[0])), 1<<rng.IntN(8))
				checkOpens(t, dir, s, strings.HasSuffix(kind, ".blk") || strings.HasSuffix(kind, "o.dat"))
			}
		})
	}
}

// Where a queue stands that nobody has begun is told by a few bytes without a checksum:
// whichever bit of them is another, it is seen.
func TestADamagedPositionIsSeen(t *testing.T) {
	whole := t.TempDir()
	s := full(t, whole)
	find := filepath.Join("jetstream", "$G", "streams", "QUEUE_jobs", "obs", "*", "o.dat")
	files, err := filepath.Glob(filepath.Join(whole, find))
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v", files, err)
	}
	for bit := range 8 * sizeOf(t, files[0]) {
		dir := copied(t, whole)
		files, _ := filepath.Glob(filepath.Join(dir, find))
		flip(t, files[0], bit/8, 1<<(bit%8))
		checkOpens(t, dir, s, true)
	}
}

// checkOpens opens what may be damaged. What cannot be made anew, since the messages
// themselves are in it, may be refused, or be less if that is said.
func checkOpens(t *testing.T, dir string, s tale, messages bool) {
	t.Helper()
	said := &lines{}
	o := quiet(dir)
	o.SyncAlways, o.Logger = true, said.logger()
	l, err := natslog.Open(t.Context(), o)
	if messages && errors.Is(err, natslog.ErrDamaged) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	told := func() bool { return messages && strings.Contains(said.String(), "damaged") }
	defer shut(t, l)
	b, err := l.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if want := s.last(); b.Messages != want && !told() {
		t.Errorf("the log has %d of %d messages, and nothing was said:\n%s", b.Messages, want, said)
	}
	marks, err := l.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	m, err := marks.Update(t.Context(), "ann", func(m inbox.Mark) (inbox.Mark, error) { return m, nil })
	if err != nil || m.Rev != 20 && !told() {
		t.Errorf("the mark is %+v, %v, and nothing was said:\n%s", m, err, said)
	}
	queue, err := l.Queue(t.Context(), natslog.QueueConfig{Name: "jobs", Description: "of the test"})
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := queue.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if waiting != 10 && !told() {
		t.Errorf("%d of 10 jobs wait, and nothing was said:\n%s", waiting, said)
	}
}

// How long a start takes to look everything through is to stay a small part of it.
func BenchmarkExamine(b *testing.B) {
	dir := b.TempDir()
	l, err := natslog.Open(b.Context(), quiet(dir))
	if err != nil {
		b.Fatal(err)
	}
	e := inbox.Entry{Subject: inbox.TopicSubject("news"), Body: []byte(strings.Repeat("x", 350))}
	data := e.Encode()
	for range 300 {
		batch := make([]inbox.Proposal, 1000)
		for i := range batch {
			batch[i] = inbox.Proposal{Subject: e.Subject, Any: true, Data: data}
		}
		for _, r := range l.Append(b.Context(), batch...) {
			if r.Err != nil {
				b.Fatal(r.Err)
			}
		}
	}
	shut(b, l)
	b.ResetTimer()
	for b.Loop() {
		r, err := natslog.Examine(b.Context(), quiet(dir), nil)
		if err != nil || r.Stream(natslog.StreamName).Messages != 300_000 {
			b.Fatal(err)
		}
		b.SetBytes(r.Bytes)
	}
}
