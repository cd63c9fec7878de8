package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tocsin/server/internal/streamtest"
)

// figures of a replay, as the command prints them last.
type figures struct {
	Events      int `json:"events"`
	Occurrences int `json:"occurrences"`
	Repeats     int `json:"repeat raises"`
	Clears      int `json:"clears that clear"`
	Orphans     int `json:"orphan clears"`
	Late        int `json:"late"`
	Rejected    int `json:"rejected"`
	Active      int `json:"active at the end"`
}

func wanted(s streamtest.Stream) figures {
	return figures{Events: s.Want.Events, Occurrences: s.Want.Occurrences, Repeats: s.Want.Repeats,
		Clears: s.Want.Clears, Orphans: s.Want.Orphans, Active: s.Want.Active}
}

// replay runs the command and returns the figures it prints.
func replay(ctx context.Context, s *server, path string, flags ...string) (figures, error) {
	args := append([]string{"replay", path, "--url", s.url(), "--token", s.root()}, flags...)
	out, errs, err := s.tocsin(ctx, args...)
	if err != nil {
		return figures{}, fmt.Errorf("replay: %w\n%s", err, errs)
	}
	var f figures
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		return f, fmt.Errorf("replay printed %q: %w", out, err)
	}
	return f, nil
}

// told is how many entries readers are shown of a stream.
func told(f figures) int { return f.Occurrences + f.Repeats + f.Clears }

func TestReplayGivesTheFigures(t *testing.T) {
	t.Parallel()
	for _, stream := range streamtest.Streams(t) {
		t.Run(stream.Name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, "--device-time", "trust", "--fold", "0")
			for _, run := range []string{"first", "again"} {
				got, err := replay(t.Context(), s, stream.Path)
				if err != nil {
					t.Fatal(err)
				}
				if want := wanted(stream); got != want {
					t.Errorf("the %s time: got %+v\nwant %+v", run, got, want)
				}
			}
			if all := everything(t, s); len(all) != told(wanted(stream)) {
				t.Errorf("readers are shown %d entries, want %d", len(all), told(wanted(stream)))
			}
			// Folding changes what is told, never what is counted.
			folds := newServer(t, "--device-time", "trust")
			if got, err := replay(t.Context(), folds, stream.Path); err != nil || got != wanted(stream) {
				t.Errorf("folding: got %+v, %v\nwant %+v", got, err, wanted(stream))
			}
			if all := everything(t, folds); len(all) > told(wanted(stream)) {
				t.Errorf("folding, readers are shown %d entries, which is more than %d", len(all), told(wanted(stream)))
			}
		})
	}
}

// A replay with three kills -9 on the way, while forty readers hop between
// transports: the figures are the same, and everyone has exactly what is his.
func TestReplayThroughKillsWithFortyReaders(t *testing.T) {
	for _, stream := range streamtest.Streams(t) {
		t.Run(stream.Name, func(t *testing.T) {
			s := newServer(t, "--device-time", "trust", "--fold", "0") // every entry is looked at
			groups := groupsOf(stream)
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			defer all.Wait()
			defer cancel()
			hoppers := make([]*hopper, 40)
			for i := range hoppers {
				mine := []string{groups[i%len(groups)], groups[(i*i+3)%len(groups)]}
				if i%8 == 0 {
					mine = []string{"*"}
				}
				h := newHopper(s, fmt.Sprint("user-", i), uint64(i), []string{"sse", "longpoll", "poll"}, mine...)
				h.begin(t)
				hoppers[i] = h
				all.Go(func() { h.run(ctx, 400*time.Millisecond) })
			}
			var got figures
			var err error
			done := make(chan struct{})
			all.Go(func() {
				defer close(done)
				got, err = replay(ctx, s, stream.Path, "--batch", "20")
			})
			for _, part := range []float64{0.15, 0.4, 0.7} {
				waitFor(ctx, done, func() bool { return float64(hoppers[0].count()) >= part*float64(told(wanted(stream))) })
				s.kill()
				s.start()
			}
			<-done
			if err != nil {
				t.Fatalf("%v\n%s", err, s.log)
			}
			if want := wanted(stream); got != want {
				t.Errorf("got %+v\nwant %+v", got, want)
			}
			entries := everything(t, s)
			if len(entries) != told(wanted(stream)) {
				t.Errorf("%d entries are shown, want %d", len(entries), told(wanted(stream)))
			}
			settle(t, hoppers, entries)
			cancel()
			all.Wait()
			checkAll(t, hoppers, entries)
		})
	}
}

// waitFor waits until it holds, or done is closed, or the context ends.
func waitFor(ctx context.Context, done <-chan struct{}, holds func() bool) {
	for !holds() && ctx.Err() == nil {
		select {
		case <-done:
			return
		default:
			pause(ctx, time.Millisecond)
		}
	}
}

func groupsOf(s streamtest.Stream) []string {
	var groups []string
	for _, l := range s.Lines {
		if !slices.Contains(groups, l.Group) {
			groups = append(groups, l.Group)
		}
	}
	return groups
}
