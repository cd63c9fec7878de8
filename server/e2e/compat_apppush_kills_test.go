package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/internal/streamtest"
	"tocsin/transports/transporttest"
)

// A forgetful app keeps no cursor. It connects anew with another token whenever it
// likes, before or after it gives the old connection up, and does not read what that
// one still brings.
type forgetful struct {
	s     *server
	user  string
	group string
	rng   *rand.Rand
	deaf  bool // it answers no pings

	mu    sync.Mutex
	got   map[string]string // the entry of each message, by its id
	times int               // that something came
	gaps  int
}

func (f *forgetful) run(ctx context.Context, base string) {
	var old *websocket.Conn
	over := func() {
		if old != nil {
			_ = old.NetConn().Close()
		}
	}
	defer func() { over() }()
	for ctx.Err() == nil {
		if f.rng.IntN(2) == 0 {
			over()
			old = nil
		}
		conn, err := dialApp(ctx, base, f.s.token(f.user, "inbox", f.group), "")
		if err != nil {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		over()
		old = conn
		if f.deaf {
			conn.SetPingHandler(func(string) error { return nil })
		}
		// Until it is bored, or the server is gone.
		_ = conn.SetReadDeadline(time.Now().Add(time.Duration(f.rng.IntN(1500)) * time.Millisecond))
		stop := context.AfterFunc(ctx, func() { _ = conn.NetConn().Close() })
		for {
			_, text, err := conn.ReadMessage()
			if err != nil {
				break
			}
			f.take(text)
		}
		stop()
	}
}

func (f *forgetful) take(text []byte) {
	var p struct {
		MessageID string `json:"messageId"`
		Content   entry
	}
	if err := json.Unmarshal(text, &p); err != nil {
		panic(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.times++
	if p.Content.Type == "gap" {
		f.gaps++
		return
	}
	e := fmt.Sprint(p.Content.Alarm.ID, " ", p.Content.Alarm.Rev, " ", p.Content.Type)
	if has, known := f.got[p.MessageID]; known && has != e {
		e = "both " + has + " and " + e
	}
	f.got[p.MessageID] = e
}

// Nothing is lost to clients without a cursor who come with new tokens while their
// old connections live, through kills of the server in the middle of a flood, direct
// and through nginx; and what comes again has the same id.
func TestAppPushLosesNothing(t *testing.T) {
	t.Parallel()
	stream := streamtest.Made(t)
	for _, through := range []string{"direct", "nginx"} {
		t.Run(through, func(t *testing.T) {
			s := newServer(t, "--device-time", "trust", "--fold", "0", "--ping-interval", "1s")
			s.want(s.request("POST", "/v1/directory", s.root(), directoryOf(stream.Lines), "Content-Type", "application/x-ndjson"), 200)
			base := s.url()
			if through == "nginx" {
				base = transporttest.Nginx(t, []string{s.http})
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var all sync.WaitGroup
			groups := groupsOf(stream)
			apps := make([]*forgetful, 20)
			for i := range apps {
				f := &forgetful{s: s, user: fmt.Sprint("user-", i), group: groups[i%len(groups)],
					rng: rand.New(rand.NewPCG(uint64(i), 3)), deaf: i%5 == 4, got: map[string]string{}}
				apps[i] = f
				first := connectApp(t, base, s.token(f.user, "inbox", f.group), "") // before anything comes
				s.holds(f.user, 1)
				_ = first.NetConn().Close()
				all.Go(func() { f.run(ctx, base) })
			}
			floodThroughKills(ctx, t, s, stream)
			wanted := map[string]map[string]bool{}
			for _, e := range everything(t, s) {
				for _, g := range e.Alarm.Groups {
					if wanted[g] == nil {
						wanted[g] = map[string]bool{}
					}
					wanted[g][fmt.Sprint(e.Alarm.ID, " ", e.Alarm.Rev, " ", e.Type)] = true
				}
			}
			for _, f := range apps {
				has := func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.got) >= len(wanted[f.group]) }
				bounded, stop := context.WithTimeout(ctx, patience)
				waitFor(bounded, nil, has)
				stop()
			}
			cancel()
			all.Wait()
			times := 0
			for _, f := range apps {
				for id, e := range f.got {
					if !wanted[f.group][e] {
						t.Errorf("%s has %s as %s", f.user, e, id)
					}
				}
				if len(f.got) != len(wanted[f.group]) || f.gaps > 0 {
					t.Errorf("%s has %d messages, want %d; %d gaps", f.user, len(f.got), len(wanted[f.group]), f.gaps)
				}
				times += f.times
			}
			t.Logf("%d messages came %d times", len(apps)*len(wanted[groups[0]]), times)
		})
	}
}
