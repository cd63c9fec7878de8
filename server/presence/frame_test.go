package presence

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// A memoryFeed is a Feed in memory.
type memoryFeed struct {
	mu   sync.Mutex
	at   []time.Time
	data [][]byte
	err  error
}

func (f *memoryFeed) Append(_ context.Context, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err == nil {
		f.at, f.data = append(f.at, time.Now()), append(f.data, data)
	}
	return f.err
}

func (f *memoryFeed) Scan(ctx context.Context, since time.Time, each func(time.Time, []byte) error) error {
	f.mu.Lock()
	at, data := f.at, f.data
	f.mu.Unlock()
	for i := range data {
		if at[i].Before(since) {
			continue
		}
		if err := each(at[i], data[i]); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// A tally is what a whole feed tells.
type tally struct {
	*watch
	bytes, ended int
}

func (f *memoryFeed) watch(t *testing.T) tally {
	t.Helper()
	w := tally{watch: newWatch()}
	err := f.Scan(t.Context(), time.Time{}, func(at time.Time, data []byte) error {
		w.bytes += len(data)
		touched, err := w.apply(at, data)
		for _, s := range touched {
			if s.ended && w.sessions[s.key] == s {
				w.ended++
				delete(w.sessions, s.key)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func TestAFrameIsReadAsWritten(t *testing.T) {
	want := &frame{run: "e1", node: "n1",
		stated: []statement{
			{id: 3, user: "ada", transport: "sse", since: 1795219200000, groups: []string{"crew", "ä"}, stretch: stretch{7, 0, 9}},
			{id: 900, user: "", transport: "poll", since: -1, stretch: stretch{1 << 60, 1 << 61, 1 << 62}}},
		moved: []move{{1, 1 << 63}, {2, 5}, {70000, 6}}, ended: []uint64{4, 5, 1 << 40}}
	var p packer
	var u unpacker
	for range 2 { // both are used again
		data, err := p.pack(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := u.unpack(data)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
		for n := range data {
			if _, err := u.unpack(data[:n]); err == nil {
				t.Errorf("%d of %d bytes are a frame", n, len(data))
			}
		}
	}
}

func FuzzUnpack(f *testing.F) {
	var p packer
	data, err := p.pack(&frame{run: "e", stated: []statement{{id: 1, user: "a", groups: []string{"g"}}}, moved: []move{{1, 2}}, ended: []uint64{3}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, data []byte) {
		var u unpacker
		got, err := u.unpack(data)
		if err != nil {
			return
		}
		var p packer
		again, err := p.pack(got)
		if err != nil {
			t.Fatal(err)
		}
		if same, err := u.unpack(again); err != nil || !reflect.DeepEqual(same, got) {
			t.Errorf("%+v became %+v, %v", got, same, err)
		}
	})
}

// What 5,000 sessions cost that move every second, and what they cost at rest.
func TestTheCostOfEvidence(t *testing.T) {
	now := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC)
	feed := &memoryFeed{}
	r := New(Options{Node: "gateway-1", Run: "0mi8q3g00abc", Now: func() time.Time { return now }})
	c := NewRecorder(r, feed, nil)
	var sessions []*Session
	for n := range 5000 {
		s := r.Connect(fmt.Sprintf("operator-%d", n), "websocket").Subscribe()
		s.Reached(inbox.Reach{From: 1_000_000, To: 1_000_000, Groups: []string{fmt.Sprintf("fleet-%d", n%100)}})
		sessions = append(sessions, s)
	}
	run := func(seconds int, move func(n int)) (perSecond float64, messages int) {
		before, count := feed.watch(t).bytes, len(feed.data)
		for n := range seconds {
			now = now.Add(time.Second)
			move(n)
			c.checkpoint(t.Context())
		}
		return float64(feed.watch(t).bytes-before) / float64(seconds), len(feed.data) - count
	}
	together, _ := run(120, func(n int) {
		for _, s := range sessions {
			s.position.at.Store(uint64(1_000_000 + 100*n))
		}
	})
	apart, _ := run(120, func(n int) {
		for _, s := range sessions {
			s.position.at.Store(uint64(2_000_000 + 40_000*n + rand.IntN(40_000)))
		}
	})
	rest, messages := run(120, func(int) {})
	t.Logf("bytes a second: %.0f moving together, %.0f apart, %.0f at rest in %d messages", together, apart, rest, messages)
	if together > 3000 || apart > 25_000 || rest > 2000 || messages > 6 {
		t.Error("that is too much")
	}
	if w := feed.watch(t); len(w.sessions) != len(sessions) {
		t.Errorf("%d sessions are known", len(w.sessions))
	}
	// Whoever begins to read within the last minute knows everybody.
	late := newWatch()
	for i := len(feed.data) - messages/2; i < len(feed.data); i++ {
		if _, err := late.apply(now, feed.data[i]); err != nil {
			t.Fatal(err)
		}
	}
	if len(late.sessions) != len(sessions) {
		t.Errorf("who reads the last minute knows %d sessions", len(late.sessions))
	}
}

func TestWhatTheFeedDoesNotTakeIsRecordedLater(t *testing.T) {
	feed := &memoryFeed{err: inbox.ErrFull}
	r := New(Options{})
	c := NewRecorder(r, feed, nil)
	k := r.Connect("ada", "sse")
	s := k.Subscribe()
	s.Reached(inbox.Reach{From: 1, To: 1})
	c.checkpoint(t.Context())
	s.Reached(inbox.Reach{From: 1, To: 5})
	k.Close()
	c.checkpoint(t.Context())
	feed.err = nil
	c.checkpoint(t.Context())
	c.checkpoint(t.Context())
	w := newWatch()
	var last *sighting
	for i, data := range feed.data {
		touched, err := w.apply(feed.at[i], data)
		if err != nil {
			t.Fatal(err)
		}
		last = touched[0]
	}
	if len(feed.data) != 2 || last == nil || last.at != 5 || !last.ended || last.user != "ada" {
		t.Errorf("%d messages end with %+v", len(feed.data), last)
	}
}
