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

// move restores a backup into new nodes and starts them: the restoring at the
// first, while the others wait to serve.
func move(t *testing.T, file string, nodes []*server) {
	t.Helper()
	failed := make([]error, len(nodes))
	var all sync.WaitGroup
	for i, s := range nodes[1:] {
		all.Go(func() { failed[i+1] = s.up() })
	}
	all.Go(func() {
		out, errs, err := nodes[0].tocsin(t.Context(), append([]string{"restore", file}, nodes[0].logFlags()...)...)
		if err != nil {
			failed[0] = fmt.Errorf("%w: %s%s", err, out, errs)
			return
		}
		failed[0] = nodes[0].up()
	})
	all.Wait()
	for _, err := range failed {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A log moves from one node to three and back under publishers who never stop: all
// that was answered is there, once, at its sequence, and readers go on with their
// cursors.
func TestOneNodeGrowsToThreeAndBack(t *testing.T) {
	t.Parallel() // it mostly waits
	one := newServer(t, "--fold", "0")
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	reader := newHopper(one, "reader", 1, []string{"sse", "longpoll", "ws"}, "*")
	reader.begin(t)
	// One address for publishers, wherever the log is.
	var address atomic.Pointer[string]
	at := func(s *server) { url := s.url(); address.Store(&url) }
	at(one)
	const batches, size = 150, 4
	var stored atomic.Int64
	done := make(chan error, 1)
	go func() { done <- sendMoving(ctx, &address, one.root(), batches, size, &stored) }() // ends with its batches or the context
	reach := func(n int64) {
		waitFor(ctx, nil, func() bool { return stored.Load() >= n })
	}
	stay := func(s *server) context.CancelFunc {
		here, leave := context.WithCancel(ctx)
		reader.base = s.url()
		var reading sync.WaitGroup
		reading.Go(func() { reader.run(here, time.Second) }) // ends with leave
		return func() { leave(); reading.Wait() }
	}

	leave := stay(one)
	reach(batches * size / 4)
	file := one.backup("--last")
	leave()
	one.kill()
	three := prepareCluster(t, "--fold", "0")
	began := time.Now()
	move(t, file, three.nodes)
	t.Logf("one to three: %v", time.Since(began))
	at(three.nodes[1])
	leave = stay(three.nodes[2])
	reach(batches * size / 2)
	dead := three.leader()
	dead.kill()
	three.start(dead)
	reach(batches * size * 3 / 4)

	file = three.nodes[0].backup("--last")
	leave()
	for _, s := range three.nodes {
		s.kill()
	}
	again := prepareServer(t, "--fold", "0")
	began = time.Now()
	move(t, file, []*server{again})
	t.Logf("three to one: %v", time.Since(began))
	at(again)
	leave = stay(again)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	entries := everything(t, again)
	if len(entries) != batches*size {
		t.Errorf("%d entries are shown, want %d", len(entries), batches*size)
	}
	settle(t, []*hopper{reader}, entries)
	leave()
	checkAll(t, []*hopper{reader}, entries)
}

// sendMoving is sendBatches to an address that changes.
func sendMoving(ctx context.Context, address *atomic.Pointer[string], token string, batches, size int, stored *atomic.Int64) error {
	for b := range batches {
		for {
			var body strings.Builder
			for i := range size {
				n := b*size + i
				fmt.Fprintf(&body, "{\"id\":\"m-%d\",\"device\":\"m-%d\",\"type\":\"t\",\"severity\":\"major\"}\n", n, n)
			}
			one, cancel := context.WithTimeout(ctx, 2*time.Second)
			a, err := request(one, "POST", *address.Load()+"/v1/alarms", token, body.String(), "Content-Type", "application/x-ndjson")
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
		pause(ctx, 20*time.Millisecond)
	}
	return nil
}
