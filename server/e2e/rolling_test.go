package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A steadyPublisher sends one batch of new alarms after the other, each again with
// its ids until it has been answered.
type steadyPublisher struct {
	name   string
	mu     sync.Mutex
	sent   int // alarms that were acknowledged
	failed []string
}

func (p *steadyPublisher) run(ctx context.Context, s *server, base string) {
	root := s.root()
	for batch := 0; ctx.Err() == nil; batch++ {
		const size = 5
		var body bytes.Buffer
		for i := range size {
			n := batch*size + i
			fmt.Fprintf(&body, `{"id":"%[1]s-%[2]d","device":"device-%[3]d","type":"%[1]s-%[2]d","severity":"major"}`+"\n", p.name, n, n%12)
		}
		for {
			// A batch that was begun is brought to its end.
			a, err := request(context.WithoutCancel(ctx), "POST", base+"/v1/alarms", root, body.String(), "Content-Type", "application/x-ndjson")
			if err == nil && a.status == 202 && !strings.Contains(a.body, `"rejected"`) {
				break
			}
			p.mu.Lock()
			p.failed = append(p.failed, fmt.Sprint(a.status, " ", err))
			p.mu.Unlock()
			pause(ctx, 50*time.Millisecond)
		}
		p.mu.Lock()
		p.sent += size
		p.mu.Unlock()
		pause(ctx, 50*time.Millisecond)
	}
}

// A drain is what a node was seen to do from when it was told to stop.
type drain struct {
	unready time.Duration // until /readyz said so
	refused time.Duration // until a connection was refused first
	ended   time.Duration // until the process had ended
	polls   []int         // status of short polls meanwhile
	sent    []int         // of publishing
}

// watchDrain tells a node to stop and looks at what it does.
func watchDrain(t *testing.T, s *server) (d drain) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	began := time.Now()
	ended := make(chan struct{})
	go func() { // ends with the process
		defer close(ended)
		s.signal(syscall.SIGTERM)
		d.ended = time.Since(began)
	}()
	s.mu.Lock()
	address, ops := s.http, s.ops
	s.mu.Unlock()
	client := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	token, root := s.token("looker", "inbox"), s.root()
	ask := func(method, path, token, body string) int {
		r, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return 0
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := client.Do(r)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	for i := 0; ; i++ {
		c, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			d.refused = time.Since(began)
			break
		}
		c.Close()
		if d.unready == 0 {
			if resp, err := client.Get("http://" + ops + "/readyz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusServiceUnavailable {
					d.unready = time.Since(began)
				}
			}
		}
		if i%10 == 0 && d.unready > 0 && time.Since(began) < 3*time.Second {
			d.polls = append(d.polls, ask("GET", "/v1/inbox", token, ""))
			d.sent = append(d.sent, ask("POST", "/v1/alarms", root, fmt.Sprintf(`{"device":"device-1","type":"at-%s-%d","severity":"major"}`, address, i)))
		}
		pause(ctx, 10*time.Millisecond)
	}
	<-ended
	return d
}

// Two nodes behind nginx are restarted one after the other, again and again, while
// readers hop between all ways and publishers go on: nobody loses or repeats
// anything, and what a publisher was refused it is not when it asks again.
func TestARollingRestartLosesNothing(t *testing.T) {
	const spread = 4 * time.Second
	url := startNATS(t)
	var nodes []*server
	for i := range 2 {
		nodes = append(nodes, newServer(t, "--nats-url", url, "--node", fmt.Sprint("gw", i+1), "--fold", "0", "--drain", spread.String()))
	}
	a := nodes[0]
	front := transporttest.Nginx(t, []string{nodes[0].http, nodes[1].http})
	var directory strings.Builder
	for i := range 12 {
		fmt.Fprintf(&directory, `{"device":"device-%d","groups":["group-%d"]}`+"\n", i, i%4)
	}
	a.want(a.request("POST", "/v1/directory", a.root(), directory.String(), "Content-Type", "application/x-ndjson"), 200)
	ctx, cancel := context.WithCancel(t.Context())
	publishing, enough := context.WithCancel(t.Context())
	var readers, publishers sync.WaitGroup
	defer func() { enough(); publishers.Wait(); cancel(); readers.Wait() }()
	var hoppers []*hopper
	for i := range 40 {
		h := newHopper(a, fmt.Sprint("user-", i), uint64(i), []string{allWays[i%len(allWays)]}, fmt.Sprint("group-", i%4))
		h.base = front
		h.begin(t)
		hoppers = append(hoppers, h)
		readers.Go(func() { h.run(ctx, time.Minute) }) // ends with the context; a stay lasts until the node goes
	}
	var all []*steadyPublisher
	for i := range 2 {
		p := &steadyPublisher{name: fmt.Sprint("publisher-", i)}
		all = append(all, p)
		publishers.Go(func() { p.run(publishing, a, front) }) // ends with the context
	}
	byHand := 0
	for _, s := range nodes {
		d := watchDrain(t, s)
		byHand += len(d.sent)
		t.Logf("unready after %s, refused after %s, ended after %s; %d polls", d.unready, d.refused, d.ended, len(d.polls))
		if d.unready == 0 || d.unready > time.Second {
			t.Errorf("not ready any more after %s", d.unready)
		}
		if d.refused < spread {
			t.Errorf("a connection was refused after %s, while clients were still sent here", d.refused)
		}
		if other := func(status int) bool { return status != 200 }; len(d.polls) == 0 || slices.ContainsFunc(d.polls, other) {
			t.Errorf("polls meanwhile: %v", d.polls)
		}
		if other := func(status int) bool { return status != 202 }; slices.ContainsFunc(d.sent, other) {
			t.Errorf("publishing meanwhile: %v", d.sent)
		}
		s.start()
		// Whoever restarts the next one waits until clients come to this one again.
		within(t, patience, "clients come to the node again", func() bool {
			var p presenceAnswer
			s.want(s.request("GET", "/v1/presence?limit=1", s.root(), ""), 200).json(t, &p)
			i := slices.IndexFunc(p.Nodes, func(n presenceNode) bool { return n.Node == s.name() })
			return i >= 0 && p.Nodes[i].Connections > len(hoppers)/10
		})
	}
	enough()
	publishers.Wait()
	sent := byHand
	for _, p := range all {
		sent += p.sent
		t.Logf("%s: %d alarms, refused and sent again: %v", p.name, p.sent, p.failed)
	}
	entries := everything(t, a)
	if len(entries) != sent {
		t.Errorf("%d entries are shown, want %d", len(entries), sent)
	}
	settle(t, hoppers, entries)
	cancel()
	readers.Wait()
	checkAll(t, hoppers, entries)
}
