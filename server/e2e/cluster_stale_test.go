package e2e

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"
)

func (s *server) ready(ctx context.Context) bool {
	a, err := request(ctx, "GET", "http://"+s.ops+"/readyz", "", "")
	return err == nil && a.status == 200
}

// A node that is cut off from the log tells its readers, on streams and pages,
// refuses publishers at once with a time to come back, is not ready; and says so
// when it has caught up.
func TestANodeThatIsCutOffSaysSoUntilItHasCaughtUp(t *testing.T) {
	t.Parallel() // it mostly waits
	c := newCluster(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	alone := c.nodes[0]
	root := alone.root()
	seq, _ := alone.raiseOne("before")
	var mu sync.Mutex
	told := map[string]bool{} // by the way: the last word about it
	hear := func(way string) func(what, text string) {
		return func(what, text string) {
			if what == "hello" || what == "counts" || what == "entries" {
				mu.Lock()
				told[way] = strings.Contains(text, `"stale":true`)
				mu.Unlock()
			}
		}
	}
	var all sync.WaitGroup
	defer all.Wait()
	here, leave := context.WithCancel(ctx)
	defer leave()
	for _, way := range []string{"sse", "ws"} {
		h := newHopper(alone, way, 1, []string{way}, "*")
		h.listen = hear(way)
		h.begin(t)
		all.Go(func() { h.run(here, patience) })
	}
	allTold := func(stale bool) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(told) == 2 && told["sse"] == stale && told["ws"] == stale
		}
	}
	waitFor(ctx, nil, allTold(false))

	began := time.Now()
	for _, s := range c.others(alone) {
		s.freeze()
		defer s.thaw() // else it would not die
	}
	waitFor(ctx, nil, func() bool { return !alone.ready(ctx) })
	t.Logf("not ready after %v", time.Since(began))
	waitFor(ctx, nil, allTold(true))
	a := alone.request("GET", "/v1/inbox?cursor=earliest", root, "")
	if alone.want(a, 200); !strings.Contains(a.body, `"stale":true`) || !strings.Contains(a.body, `"seq":`) {
		t.Errorf("the poll says %s", a.body)
	}
	if page := alone.request("GET", "/inbox", root, ""); page.status != 200 || !strings.Contains(page.body, "Out of touch:") {
		t.Errorf("the page: %d", page.status)
	}
	asked := time.Now()
	a = alone.request("POST", "/v1/alarms", root, `{"id":"during","device":"d","type":"x","severity":"major"}`)
	wantProblem(t, "publishing", a, 503, "stale")
	if a.header.Get("Retry-After") == "" || time.Since(asked) > time.Second {
		t.Errorf("refused after %v, Retry-After %q", time.Since(asked), a.header.Get("Retry-After"))
	}

	began = time.Now()
	for _, s := range c.others(alone) {
		s.thaw()
	}
	waitFor(ctx, nil, func() bool { return alone.ready(ctx) })
	t.Logf("ready again after %v", time.Since(began))
	waitFor(ctx, nil, allTold(false))
	if ctx.Err() != nil {
		t.Fatalf("told: %v", told)
	}
	waitFor(ctx, nil, func() bool {
		return alone.request("POST", "/v1/alarms", root, `{"id":"during","device":"d","type":"x","severity":"major"}`).status == 202
	})
	var there pageOf // another node hears of it in a moment
	waitFor(ctx, nil, func() bool {
		there = c.nodes[1].poll(root, "earliest")
		return len(there.Entries) == 2
	})
	if len(there.Entries) != 2 || there.Entries[0].Seq != seq {
		t.Errorf("another node has %+v", there.Entries)
	}
}
