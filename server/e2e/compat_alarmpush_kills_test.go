package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	"tocsin/server/internal/streamtest"
	pb "tocsin/transports/alarmpush/alarmpushpb"
	"tocsin/transports/transporttest"
)

// A keeper keeps the cursor of alarm push, and goes on from it.
type keeper struct {
	mu     sync.Mutex
	user   string
	group  string
	cursor string
	got    []string // alarm, state and revision of each notice
	gaps   []string
}

func (k *keeper) run(ctx context.Context, base, token string) {
	for ctx.Err() == nil {
		if err := k.read(ctx, base, token); err != nil && ctx.Err() == nil {
			pause(ctx, 20*time.Millisecond)
		}
	}
}

func (k *keeper) read(ctx context.Context, base, token string) error {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/ws/alarm", nil)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	b, err := proto.Marshal(loginFrame(token, k.cursor))
	if err != nil {
		return err
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return err
	}
	for {
		_, b, err := conn.ReadMessage()
		if err != nil {
			return err
		}
		var f pb.Frame
		if err := proto.Unmarshal(b, &f); err != nil {
			return err
		}
		k.take(&f)
	}
}

func (k *keeper) take(f *pb.Frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if r := f.GetLoginReply(); r != nil {
		if r.Reason != "" {
			k.gaps = append(k.gaps, r.Reason)
		}
		if r.Cursor != "" {
			k.cursor = r.Cursor
		}
	}
	if a := f.GetAlarm(); a != nil {
		k.got = append(k.got, fmt.Sprint(a.AlarmId, " ", a.Rev))
		k.cursor = a.Cursor
	}
}

// Everyone has every change once and in order, through kills of the server in the
// middle of a flood, direct and through nginx.
func TestAlarmPushThroughKills(t *testing.T) {
	t.Parallel()
	stream := streamtest.Made(t)
	for _, through := range []string{"direct", "nginx"} {
		t.Run(through, func(t *testing.T) {
			s := newServer(t, "--device-time", "trust", "--fold", "0")
			s.want(s.request("POST", "/v1/directory", s.root(), directoryOf(stream.Lines), "Content-Type", "application/x-ndjson"), 200)
			base := s.url()
			if through == "nginx" {
				base = transporttest.Nginx(t, []string{s.http})
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			groups := groupsOf(stream)
			keepers := make([]*keeper, 20)
			for i := range keepers {
				k := &keeper{user: fmt.Sprint("user-", i), group: groups[i%len(groups)], cursor: "earliest"}
				keepers[i] = k
				all.Go(func() { k.run(ctx, base, s.token(k.user, "inbox", k.group)) })
			}
			floodThroughKills(ctx, t, s, stream)
			wanted := map[string][]string{}
			for _, e := range everything(t, s) {
				for _, g := range e.Alarm.Groups {
					wanted[g] = append(wanted[g], fmt.Sprint(e.Alarm.ID, " ", e.Alarm.Rev))
				}
			}
			for _, k := range keepers {
				has := func() bool { k.mu.Lock(); defer k.mu.Unlock(); return len(k.got) >= len(wanted[k.group]) }
				bounded, stop := context.WithTimeout(ctx, patience)
				waitFor(bounded, nil, has)
				stop()
			}
			cancel()
			all.Wait()
			for _, k := range keepers {
				if !slices.Equal(k.got, wanted[k.group]) || len(k.gaps) > 0 {
					t.Errorf("%s has %d notices, want %d; gaps %v", k.user, len(k.got), len(wanted[k.group]), k.gaps)
				}
			}
		})
	}
}

// floodThroughKills publishes a stream while the server is killed three times.
func floodThroughKills(ctx context.Context, t *testing.T, s *server, stream streamtest.Stream) {
	t.Helper()
	var mu sync.Mutex
	sent, done := 0, make(chan struct{})
	var failed error
	go func() { // ends when all is published, or with the context
		defer close(done)
		failed = publish(ctx, s, stream.Lines, 127, 100*time.Millisecond, func(n int) { mu.Lock(); sent = n; mu.Unlock() })
	}()
	for _, part := range []float64{0.2, 0.45, 0.7} {
		waitFor(ctx, done, func() bool { mu.Lock(); defer mu.Unlock(); return float64(sent) >= part*float64(len(stream.Lines)) })
		s.kill()
		s.start()
	}
	<-done
	if failed != nil {
		t.Fatal(failed)
	}
}
