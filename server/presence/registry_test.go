package presence

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
)

func TestWhoComesAndGoesIsTold(t *testing.T) {
	var kinds []Kind
	r := New(Options{Node: "n1", Run: "e1", Observe: func(e Event) {
		kinds = append(kinds, e.Kind)
		if e.User != "ada" || e.Transport != "websocket" || e.Node != "n1" || e.Connection != "e1-1" {
			t.Errorf("told of %+v", e)
		}
	}})
	c := r.Connect("ada", "websocket")
	if got := r.Clients(""); len(got) != 1 || got[0].Subscribed {
		t.Errorf("connected only: %+v", got)
	}
	s := c.Subscribe()
	s.Reached(inbox.Reach{From: 7, To: 7})
	if got := r.Clients("ada"); len(got) != 1 || !got[0].Subscribed || got[0].Position != 7 {
		t.Errorf("subscribed: %+v", got)
	}
	if got := r.Clients("bob"); len(got) != 0 {
		t.Errorf("bob's: %+v", got)
	}
	s.End()
	s = c.Subscribe()
	s.End()
	s.End()
	c.Close()
	if want := []Kind{Connected, Subscribed, Unsubscribed, Subscribed, Unsubscribed, Disconnected}; !slices.Equal(kinds, want) {
		t.Errorf("told %v, want %v", kinds, want)
	}
	if len(r.Clients("")) != 0 {
		t.Errorf("left: %+v", r.Clients(""))
	}
}

func TestPollersAreThereUntilTheyStayAway(t *testing.T) {
	var kinds []Kind
	now := time.Now()
	r := New(Options{Observe: func(e Event) { kinds = append(kinds, e.Kind) }, Now: func() time.Time { return now }})
	pass := func(d time.Duration) {
		now = now.Add(d)
		r.Sweep()
	}
	first, done := r.Poll("ada", "poll", []string{"crew"})
	if pass(2 * AwayAfter); len(r.Clients("")) != 1 {
		t.Error("one whose poll is being answered is taken for gone")
	}
	done()
	pass(AwayAfter - 1)
	again, done := r.Poll("ada", "poll", []string{"crew"})
	done()
	if again != first {
		t.Error("the next poll is another session")
	}
	other, done := r.Poll("ada", "poll", nil)
	done()
	if other == first {
		t.Error("a token with other groups shares a session")
	}
	pass(AwayAfter)
	if len(r.Clients("")) != 0 || len(r.pollers)+len(r.sessions) != 0 {
		t.Errorf("left: %+v", r.Clients(""))
	}
	want := []Kind{Connected, Subscribed, Connected, Subscribed, Unsubscribed, Disconnected, Unsubscribed, Disconnected}
	if !slices.Equal(kinds, want) {
		t.Errorf("told %v", kinds)
	}
}

func TestChurnLeavesNothingBehind(t *testing.T) {
	for _, recorded := range []bool{false, true} {
		r := New(Options{})
		feed := &memoryFeed{}
		c := NewRecorder(r, feed, nil)
		r.recorded = recorded
		const clients, each = 20, 5000
		var all sync.WaitGroup
		for n := range clients {
			all.Go(func() { // ends with its last connection
				for i := range each {
					k := r.Connect(fmt.Sprint("user", n), "sse")
					s := k.Subscribe()
					s.Reached(inbox.Reach{From: uint64(i), To: uint64(i + 1)})
					k.Close()
					if i%500 == 0 {
						_, done := r.Poll(fmt.Sprint("user", n, i), "poll", nil)
						done()
					}
				}
			})
		}
		all.Wait()
		for range 1 + clients*each/maxStated {
			c.checkpoint(t.Context())
		}
		r.o.Now = func() time.Time { return time.Now().Add(AwayAfter) }
		r.Sweep()
		c.checkpoint(t.Context())
		if n := r.connections + len(r.sessions) + len(r.pollers) + len(r.ended); n != 0 || cap(r.ended) > 4*maxStated {
			t.Errorf("%d connections, %d sessions, %d pollers, %d endings (room for %d) are left",
				r.connections, len(r.sessions), len(r.pollers), len(r.ended), cap(r.ended))
		}
		if w := feed.watch(t); recorded != (w.ended == clients*each) {
			t.Errorf("recorded %v: %d endings in the feed", recorded, w.ended)
		}
	}
}
