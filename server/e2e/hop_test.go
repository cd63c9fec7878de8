package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/internal/streamtest"
	"tocsin/transports/transporttest"
)

// allWays are the five ways to read an inbox.
var allWays = []string{"ws", "sse", "longpoll", "poll", "page"}

// publish sends a stream in batches, each again with its ids until it has been
// answered in full.
func publish(ctx context.Context, s *server, lines []streamtest.Line, batch int, every time.Duration, sent func(n int)) error {
	root := s.root()
	for from := 0; from < len(lines); from += batch {
		var body bytes.Buffer
		for i, l := range lines[from:min(from+batch, len(lines))] {
			text, err := json.Marshal(map[string]any{"id": fmt.Sprint(from + i + 1), "device": l.Device, "type": l.Type,
				"severity": l.Severity, "state": l.State, "message": l.Message, "time": l.Time})
			if err != nil {
				return err
			}
			body.Write(append(text, '\n'))
		}
		for {
			a, err := request(ctx, "POST", s.url()+"/v1/alarms", root, body.String(), "Content-Type", "application/x-ndjson")
			if err == nil && a.status == 202 && !strings.Contains(a.body, `"rejected"`) {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			pause(ctx, 20*time.Millisecond)
		}
		sent(min(from+batch, len(lines)))
		pause(ctx, every)
	}
	return nil
}

// directoryOf is the import of a stream's devices.
func directoryOf(lines []streamtest.Line) string {
	var b strings.Builder
	for _, l := range lines {
		fmt.Fprintf(&b, "{\"device\":%q,\"groups\":[%q]}\n", l.Device, l.Group)
	}
	return b.String()
}

// Sixty readers hop between five ways at random while a flood comes in at 127
// alarms a batch and the server is killed three times: everyone has exactly what
// is his, direct and through nginx.
func TestSixtyReadersHopBetweenFiveWays(t *testing.T) {
	streams := streamtest.Streams(t)
	stream := streams[0]
	for _, s := range streams {
		if s.Name == "microwave" {
			stream = s
		}
	}
	for _, through := range []string{"direct", "nginx"} {
		t.Run(through, func(t *testing.T) {
			s := newServer(t, "--device-time", "trust", "--fold", "0")
			s.want(s.request("POST", "/v1/directory", s.root(), directoryOf(stream.Lines), "Content-Type", "application/x-ndjson"), 200)
			base := s.url()
			if through == "nginx" {
				base = transporttest.Nginx(t, []string{s.http})
			}
			hopAround(t, s, stream, base)
		})
	}
}

func hopAround(t *testing.T, s *server, stream streamtest.Stream, base string) {
	groups := groupsOf(stream)
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	hoppers := make([]*hopper, 60)
	for i := range hoppers {
		mine := []string{groups[i%len(groups)]}
		switch i % 10 {
		case 0:
			mine = []string{"*"}
		case 1, 2, 3:
			mine = append(mine, groups[(i*i+3)%len(groups)], groups[(i+7)%len(groups)])
		}
		h := newHopper(s, fmt.Sprint("user-", i), uint64(i), allWays, mine...)
		h.base = base
		h.begin(t)
		hoppers[i] = h
		all.Go(func() { h.run(ctx, time.Second) })
	}
	live := watch(t, s, base, groups[len(groups)-1])
	var mu sync.Mutex
	sent := 0
	done := make(chan struct{})
	var failed error
	all.Go(func() {
		defer close(done)
		failed = publish(ctx, s, stream.Lines, 127, 200*time.Millisecond, func(n int) { mu.Lock(); sent = n; mu.Unlock() })
	})
	for _, part := range []float64{0.2, 0.45, 0.7} {
		waitFor(ctx, done, func() bool { mu.Lock(); defer mu.Unlock(); return float64(sent) >= part*float64(len(stream.Lines)) })
		s.kill()
		s.start()
	}
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
	entries := everything(t, s)
	if len(entries) != told(wanted(stream)) {
		t.Errorf("%d entries are shown, want %d", len(entries), told(wanted(stream)))
	}
	settle(t, hoppers, entries)
	live.check(t, s)
	cancel()
	all.Wait()
	checkAll(t, hoppers, entries)
}
