package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// A sockPoller is a user's client of STOMP over SockJS, that polls from an address
// of its own, with a connection for each request, and comes back by itself.
type sockPoller struct {
	s      *server // who signs its token
	base   string
	user   string
	client http.Client

	mu      sync.Mutex
	ready   bool // it has subscribed
	cursor  string
	devices []string
	ends    []string // of its sessions, and why
}

func newSockPoller(s *server, base, user, address string) *sockPoller {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return &sockPoller{s: s, base: base, user: user, client: http.Client{
		Timeout: patience, Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}}
}

// run has one session after the other until the context ends.
func (p *sockPoller) run(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		err := p.session(ctx, fmt.Sprintf("%s/endpoint-websocket/%03d/%s-%d", p.base, n%1000, p.user, n))
		if ctx.Err() == nil {
			p.mu.Lock()
			p.ends = append(p.ends, err.Error())
			p.mu.Unlock()
			pause(ctx, 50*time.Millisecond)
		}
	}
}

// session is one: it opens, connects, subscribes, and polls to its end.
func (p *sockPoller) session(ctx context.Context, url string) error {
	if text, err := p.post(ctx, url+"/xhr", ""); err != nil || text != "o\n" {
		return fmt.Errorf("open: %q, %w", text, err)
	}
	p.mu.Lock()
	from := p.cursor
	p.mu.Unlock()
	if from != "" {
		from = `\ncursor:` + from
	}
	if _, err := p.post(ctx, url+"/xhr_send", `["CONNECT\naccept-version:1.2\npasscode:`+p.s.token(p.user, "inbox", "crew")+`\n\n\u0000",`+
		`"SUBSCRIBE\nid:i\nreceipt:r\ndestination:/user/queue/inbox`+from+`\n\n\u0000"]`); err != nil {
		return err
	}
	for {
		text, err := p.post(ctx, url+"/xhr", "")
		if err != nil {
			return err
		}
		switch {
		case strings.HasPrefix(text, "a"):
			var frames []string
			if err := json.Unmarshal([]byte(text[1:]), &frames); err != nil {
				return fmt.Errorf("%q: %w", text, err)
			}
			for _, frame := range frames {
				p.hear(frame)
			}
		case text != "h\n":
			return errors.New("told " + text)
		}
	}
}

func (p *sockPoller) post(ctx context.Context, url, body string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := p.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		return "", fmt.Errorf("%s: %d %s", url, resp.StatusCode, text)
	}
	return string(text), err
}

// hear takes a frame of STOMP.
func (p *sockPoller) hear(frame string) {
	head, body, _ := strings.Cut(frame, "\n\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	for line := range strings.SplitSeq(head, "\n") {
		if name, value, _ := strings.Cut(line, ":"); name == "message-id" || name == "cursor" {
			p.cursor = value
		}
	}
	p.ready = p.ready || strings.HasPrefix(head, "RECEIPT")
	var entry struct{ Alarm struct{ Device string } }
	if strings.HasPrefix(head, "MESSAGE") && json.Unmarshal([]byte(strings.TrimSuffix(body, "\x00")), &entry) == nil && entry.Alarm.Device != "" {
		p.devices = append(p.devices, entry.Alarm.Device)
	}
}

func (p *sockPoller) has(so func(*sockPoller) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return so(p)
}

// Two nodes on one log, nginx before them: each request of a session comes to its
// node, whatever the connection; and when a node is killed, its clients go on at
// the other one, without a loss or a repeat.
func TestSockJSAtTwoNodesBehindNginx(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	one, two := newServer(t, "--nats-url", nats, "--node", "gw1"), newServer(t, "--nats-url", nats, "--node", "gw2")
	front := transporttest.Nginx(t, []string{one.http, two.http})
	ctx, cancel := context.WithCancel(t.Context())
	var all []*sockPoller
	var running sync.WaitGroup
	for i := range 24 {
		p := newSockPoller(one, front, fmt.Sprint("user-", i), fmt.Sprintf("127.0.%d.%d", 1+i%5, 7+i*11))
		all = append(all, p)
		running.Go(func() { p.run(ctx) }) // ends with the context
	}
	defer func() { cancel(); running.Wait() }()
	everyone(t, all, "subscribes", func(p *sockPoller) bool { return p.ready })
	if a, b := stompConnections(t, one), stompConnections(t, two); a == 0 || b == 0 || a+b != len(all) {
		t.Fatalf("%d and %d of %d connections are at the nodes", a, b, len(all))
	}
	var want []string
	raise := func(s *server, from, to int) {
		t.Helper()
		for i := from; i < to; i++ {
			device := fmt.Sprint("device-", i)
			s.want(s.request("PUT", "/v1/devices/"+device, s.root(), `{"groups":["crew"]}`), 200)
			s.want(s.request("POST", "/v1/alarms", s.root(), `{"device":"`+device+`","type":"smoke","severity":"major"}`), 202)
			want = append(want, device)
		}
	}
	raise(one, 0, 30)
	raise(two, 30, 60)
	complete := func(p *sockPoller) bool { return len(p.devices) >= len(want) }
	everyone(t, all, "has every alarm", complete)
	for _, p := range all {
		if p.has(func(p *sockPoller) bool { return len(p.ends) > 0 }) {
			t.Errorf("%s lost sessions while both nodes were there: %q", p.user, p.ends)
		}
	}
	two.kill()
	raise(one, 60, 90)
	everyone(t, all, "has every alarm after the kill", complete)
	for _, p := range all {
		if !p.has(func(p *sockPoller) bool { return slices.Equal(p.devices, want) }) {
			t.Errorf("%s has %v", p.user, p.devices)
		}
	}
	if n := stompConnections(t, one); n < len(all) {
		t.Errorf("%d connections are at the node that is left", n)
	}
}

// everyone waits until it is so for each.
func everyone(t *testing.T, all []*sockPoller, what string, so func(*sockPoller) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for _, p := range all {
		for !p.has(so) {
			if ctx.Err() != nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				t.Fatalf("not everyone %s: %s has %d alarms; %q", what, p.user, len(p.devices), p.ends)
			}
			pause(ctx, 10*time.Millisecond)
		}
	}
}

// stompConnections is how many there are at this node.
func stompConnections(t *testing.T, s *server) (n int) {
	t.Helper()
	var list struct {
		Connections []struct{ Transport, Node string }
	}
	s.want(s.request("GET", "/v1/connections", s.root(), ""), 200).json(t, &list)
	for _, c := range list.Connections {
		if c.Transport == "stomp" && c.Node == s.name() {
			n++
		}
	}
	return n
}
