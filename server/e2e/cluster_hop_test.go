package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// sendBatches raises alarms of devices that nobody else has, each batch with its
// ids until it has been answered in full. It counts what was answered.
func sendBatches(ctx context.Context, base, token, name string, batches, size int, stored *atomic.Int64) error {
	for b := range batches {
		var body strings.Builder
		for i := range size {
			n := b*size + i
			fmt.Fprintf(&body, "{\"id\":\"%s-%d\",\"device\":\"%s-%d\",\"type\":\"t\",\"severity\":\"major\",\"message\":\"%d\"}\n", name, n, name, n, n)
		}
		for {
			one, cancel := context.WithTimeout(ctx, 10*time.Second)
			a, err := request(one, "POST", base+"/v1/alarms", token, body.String(), "Content-Type", "application/x-ndjson")
			cancel()
			if err == nil && a.status == 202 && !strings.Contains(a.body, `"rejected"`) {
				break
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			pause(ctx, 20*time.Millisecond)
		}
		stored.Add(int64(size))
		pause(ctx, 30*time.Millisecond)
	}
	return nil
}

// Readers go with their cursor from node to node and from way to way, some direct
// and some through nginx, while one node after the other is killed and comes back:
// nothing is lost, nothing is repeated.
func TestReadersHopBetweenThreeNodesOfWhichOneDies(t *testing.T) {
	c := newCluster(t, "--fold", "0")
	front := &server{t: t, http: strings.TrimPrefix(c.front, "http://"), secret: c.nodes[0].secret}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	bases := []string{c.front}
	for _, s := range c.nodes {
		bases = append(bases, s.url())
	}
	var hoppers []*hopper
	for i := range 24 {
		h := newHopper(front, fmt.Sprint("user-", i), uint64(i), allWays, "*")
		if h.bases = bases; i%2 == 0 {
			h.bases = bases[:1]
		}
		h.begin(t)
		hoppers = append(hoppers, h)
		all.Go(func() { h.run(ctx, time.Second) })
	}
	const publishers, batches, size = 3, 60, 5
	var stored atomic.Int64
	failed := make(chan error, publishers)
	for p := range publishers {
		base := []string{c.front, c.front, c.nodes[0].url()}[p]
		all.Go(func() {
			failed <- sendBatches(ctx, base, c.nodes[0].root(), fmt.Sprint("p", p), batches, size, &stored)
		})
	}
	// One that follows, and then the one that leads.
	for i, part := range []int64{5, 2} {
		waitFor(ctx, nil, func() bool { return stored.Load() > publishers*batches*size/part })
		dead := c.leader()
		if i == 0 {
			dead = c.others(dead)[0]
		}
		dead.kill()
		pause(ctx, 500*time.Millisecond)
		c.start(dead)
	}
	for range publishers {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	entries := everything(t, front)
	if len(entries) != publishers*batches*size {
		t.Errorf("%d entries are shown, want %d", len(entries), publishers*batches*size)
	}
	settle(t, hoppers, entries)
	cancel()
	all.Wait()
	checkAll(t, hoppers, entries)
}
