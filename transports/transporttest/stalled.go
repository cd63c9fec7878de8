package transporttest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/transports"
)

// stalled has a client that accepts nothing: it is cut after the write timeout,
// the others do not notice, and it has lost nothing when it comes back.
func stalled(t *testing.T, env Env) {
	const timeout = 3 * time.Second
	w := env.World(t, Settings{Limits: transports.Limits{WriteTimeout: timeout}})
	c := w.Crew()
	token := c.Token("", time.Minute)
	others := []*Follower{w.Follow(env.Via, token, "")}
	for _, via := range env.All {
		if via.Name != env.Via.Name && via.Rows == 0 && len(others) < 2 {
			others = append(others, w.Follow(via, token, ""))
		}
	}
	gauge := fmt.Sprintf("tocsin_connections{transport=%q}", env.Via.Gauge)
	before := w.Gauge(gauge)
	lame := w.Follow(env.Via, token, "")
	var said []string
	var worst time.Duration
	var behind float64
	for range 60 { // more than all the kernel's buffers hold
		began := time.Now()
		said = append(said, c.notify(len(said), 10, 15<<10)...)
		for _, f := range others {
			f.Expect(said...)
		}
		worst = max(worst, time.Since(began))
		behind = max(behind, w.Gauge(`tocsin_readers_behind{waiting_for="client"}`))
	}
	if behind == 0 {
		t.Error("an operator does not see that a reader is behind")
	}
	if worst >= timeout {
		t.Errorf("others waited %v", worst)
	}
	began := time.Now()
	for w.Gauge(gauge) > before {
		if time.Since(began) > 2*timeout {
			t.Fatalf("it is still connected, %v after everybody else had everything", time.Since(began))
		}
		if err := pause(t.Context(), 20*time.Millisecond); err != nil {
			t.Fatal(err)
		}
	}
	lame.Expect(said...)
	lame.noGap()
	if lame.Sessions < 2 {
		t.Error("it had everything in one session, so it was never cut")
	}
}

// notify sends n large notices to the group.
func (c *Crew) notify(from, n, size int) (titles []string) {
	c.T.Helper()
	node, _ := c.node()
	body := strings.Repeat("x", size)
	for i := range n {
		title := fmt.Sprintf("notice %d", from+i+1)
		titles = append(titles, title)
		if _, err := node.alarms.Notify(c.T.Context(), "publisher", alarm.Notice{Groups: []string{c.Group}, Title: title, Body: body}); err != nil {
			c.T.Fatal(err)
		}
	}
	return titles
}
