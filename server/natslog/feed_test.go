package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

func openFeed(t *testing.T, l *natslog.Log, c natslog.FeedConfig) *natslog.Feed {
	t.Helper()
	f, err := l.Feed(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// scanFeed is everything since then, and when each was stored.
func scanFeed(t *testing.T, f *natslog.Feed, since time.Time) (texts []string, times []time.Time) {
	t.Helper()
	if err := f.Scan(t.Context(), since, func(at time.Time, data []byte) error {
		texts, times = append(texts, string(data)), append(times, at)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return texts, times
}

func TestFeedIsReadByTimeAlsoAfterAReopen(t *testing.T) {
	dir := t.TempDir()
	c := natslog.FeedConfig{Name: "evidence", Description: "a test's", MaxAge: time.Hour}
	first := open(t, natslog.Options{Dir: dir})
	f := openFeed(t, first, c)
	if texts, _ := scanFeed(t, f, time.Time{}); len(texts) != 0 {
		t.Fatalf("an empty feed gave %v", texts)
	}
	var want []string
	for n := range 500 {
		want = append(want, fmt.Sprint(n))
		if err := f.Append(t.Context(), []byte(want[n])); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, first)

	f = openFeed(t, open(t, natslog.Options{Dir: dir}), c)
	texts, times := scanFeed(t, f, time.Time{})
	if !slices.Equal(texts, want) {
		t.Fatalf("got %d messages: %v", len(texts), texts)
	}
	if !slices.IsSortedFunc(times, time.Time.Compare) {
		t.Error("the times are not in order")
	}
	if texts, _ := scanFeed(t, f, times[300]); !slices.Equal(texts, want[300:]) {
		t.Errorf("since the time of message 300: %v", texts)
	}
	if texts, _ := scanFeed(t, f, times[499].Add(time.Second)); len(texts) != 0 {
		t.Errorf("after the last one: %v", texts)
	}
}

func TestFeedScanEndsWhereItBeganAndByTheErrorOfEach(t *testing.T) {
	f := openFeed(t, open(t, natslog.Options{Dir: t.TempDir()}), natslog.FeedConfig{Name: "f"})
	for range 3 {
		if err := f.Append(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	given := 0
	if err := f.Scan(t.Context(), time.Time{}, func(time.Time, []byte) error {
		given++
		return f.Append(t.Context(), nil) // each one makes another: only an end ends this
	}); err != nil || given != 3 {
		t.Errorf("gave %d, %v", given, err)
	}
	enough := errors.New("enough")
	if err := f.Scan(t.Context(), time.Time{}, func(time.Time, []byte) error { return enough }); err != enough {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := f.Scan(ctx, time.Time{}, func(time.Time, []byte) error { cancel(); return nil })
	if err != context.Canceled {
		t.Errorf("got %v", err)
	}
}

func TestFeedForgetsTheOldest(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	bySize := openFeed(t, l, natslog.FeedConfig{Name: "size", MaxBytes: 64 << 10})
	for n := range 100 {
		if err := bySize.Append(t.Context(), []byte(fmt.Sprint(n, strings.Repeat(" ", 4096)))); err != nil {
			t.Fatal(err)
		}
	}
	texts, _ := scanFeed(t, bySize, time.Time{})
	if len(texts) < 10 || len(texts) > 16 || !strings.HasPrefix(texts[len(texts)-1], "99 ") {
		t.Errorf("64 KiB hold %d messages of 4 KiB", len(texts))
	}

	byAge := openFeed(t, l, natslog.FeedConfig{Name: "age", MaxAge: 500 * time.Millisecond})
	for range 2 {
		if err := byAge.Append(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	for began := time.Now(); ; {
		texts, _ := scanFeed(t, byAge, time.Time{})
		if len(texts) == 0 {
			break
		}
		if time.Since(began) > limit {
			t.Fatal("the messages never grew too old")
		}
	}
}

func TestFeedScanEndsWhenTheRestIsForgotten(t *testing.T) {
	f := openFeed(t, open(t, natslog.Options{Dir: t.TempDir()}), natslog.FeedConfig{Name: "f", MaxBytes: 1 << 20})
	big := make([]byte, 100<<10)
	for range 9 {
		if err := f.Append(t.Context(), big); err != nil {
			t.Fatal(err)
		}
	}
	given := 0
	if err := f.Scan(t.Context(), time.Time{}, func(time.Time, []byte) error {
		if given++; given == 1 {
			for range 20 { // pushes all that was there out
				if err := f.Append(t.Context(), big); err != nil {
					return err
				}
			}
		}
		return nil
	}); err != nil || given > 9 {
		t.Errorf("gave %d, %v", given, err)
	}
}

func TestFeedQueueAndPositionsAreRefusedBelowTheReserve(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir(), Reserve: 1 << 62})
	if err := openFeed(t, l, natslog.FeedConfig{Name: "f"}).Append(t.Context(), nil); !errors.Is(err, inbox.ErrFull) {
		t.Errorf("a feed's Append said %v", err)
	}
	q, err := l.Queue(t.Context(), natslog.QueueConfig{Name: "q"})
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Put(t.Context(), "id", nil); !errors.Is(err, inbox.ErrFull) {
		t.Errorf("a queue's Put said %v", err)
	}
	p, err := l.Positions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Set(t.Context(), "hooks", 1); !errors.Is(err, inbox.ErrFull) {
		t.Errorf("Set said %v", err)
	}
}

func TestFeedOfAClosedLogIsUnavailable(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	f := openFeed(t, l, natslog.FeedConfig{Name: "f"})
	shut(t, l)
	if err := f.Append(t.Context(), nil); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("Append said %v", err)
	}
	if err := f.Scan(t.Context(), time.Time{}, nil); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("Scan said %v", err)
	}
}

func TestPositionsAreKeptAndNeverGoBack(t *testing.T) {
	dir := t.TempDir()
	first := open(t, natslog.Options{Dir: dir})
	p, err := first.Positions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if seq, err := p.Get(t.Context(), "the hooks"); err != nil || seq != 0 {
		t.Fatalf("nothing was set: %d, %v", seq, err)
	}
	for _, seq := range []uint64{7, 5} {
		if err := p.Set(t.Context(), "the hooks", seq); err != nil {
			t.Fatal(err)
		}
	}
	shut(t, first)
	if p, err = open(t, natslog.Options{Dir: dir}).Positions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if seq, err := p.Get(t.Context(), "the hooks"); err != nil || seq != 7 {
		t.Errorf("after 7, 5 and a reopen: %d, %v", seq, err)
	}
}
