package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// A hooked is a message that a receiver took.
type hooked struct {
	id   string
	Type string
	Data struct {
		Alarm       struct{ ID, Device string }
		By, Note    string
		User        string
		Transport   string
		Connection  string
		Destination string
		Node        string
	}
}

// A receiver is a web server on an address that it keeps while it is down.
type receiver struct {
	t       *testing.T
	address string
	server  *http.Server
	got     chan hooked
}

// newReceiver makes a receiver that is down.
func newReceiver(t *testing.T) *receiver {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &receiver{t: t, address: l.Addr().String(), got: make(chan hooked, 1000)}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.down)
	return r
}

func (r *receiver) url() string { return "http://" + r.address + "/hook" }

// up begins to answer with the status.
func (r *receiver) up(status int) {
	r.t.Helper()
	l, err := net.Listen("tcp", r.address)
	if err != nil {
		r.t.Fatal(err)
	}
	verifier, err := standardwebhooks.NewWebhook(hookSecret)
	if err != nil {
		r.t.Fatal(err)
	}
	r.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil {
			return
		}
		m := hooked{id: q.Header.Get("webhook-id")}
		if err := verifier.Verify(body, q.Header); err != nil {
			r.t.Errorf("%s: %v", body, err)
		}
		if err := json.Unmarshal(body, &m); err != nil {
			r.t.Errorf("%s: %v", body, err)
		}
		w.WriteHeader(status)
		r.got <- m
	})}
	go r.server.Serve(l) // ends with down
}

func (r *receiver) down() {
	if r.server != nil {
		r.server.Close()
		r.server = nil
	}
}

// next is the next message of the type.
func (r *receiver) next(typ string) hooked {
	r.t.Helper()
	for limit := time.After(patience); ; {
		select {
		case m := <-r.got:
			if m.Type == typ {
				return m
			}
		case <-limit:
			r.t.Fatalf("%s never came", typ)
		}
	}
}

// newHooked starts a server that tells the receiver of these events.
func newHooked(t *testing.T, r *receiver, events string) *server {
	t.Helper()
	file := filepath.Join(t.TempDir(), "hook.key")
	if err := os.WriteFile(file, []byte(hookSecret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return newServer(t, "--hook-url", r.url(), "--hook-secret-file", file, "--hook-events", events, "--hook-timeout", "2s")
}

// raised publishes an alarm of the device and returns its id.
func (s *server) raised(device, severity string) string {
	s.t.Helper()
	var a struct{ Results []struct{ ID string } }
	s.want(s.request("POST", "/v1/alarms", s.root(), `[{"device":"`+device+`","type":"fire","severity":"`+severity+`"}]`), 202).json(s.t, &a)
	return a.Results[0].ID
}

func (s *server) ack(id, token string) {
	s.t.Helper()
	s.want(s.request("POST", "/v1/alarms/"+url.PathEscape(id)+"/ack", token, `{"note":"seen"}`), 200)
}

// Acknowledgements are told although the process is killed right after them,
// although the receiver is down, and refuses at first.
func TestAcknowledgementsAreToldThroughKillsAndOutages(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	s := newHooked(t, r, "alarm.acked")
	missing := map[string]bool{}
	for n := range 6 {
		id := s.raised(string(rune('a'+n)), "major")
		missing[id] = true
		s.ack(id, s.root())
		s.kill() // at whatever point of the way
		if n == 2 {
			r.up(503)
		}
		s.start()
	}
	r.next("alarm.acked") // refused
	r.down()
	r.up(204)
	ids := map[string]string{}
	for len(missing) > 0 {
		m := r.next("alarm.acked")
		if m.Data.By != "root" || m.Data.Note != "seen" {
			t.Errorf("got %+v", m)
		}
		if was := ids[m.Data.Alarm.ID]; was != "" && was != m.id {
			t.Errorf("%s was told as %s and %s", m.Data.Alarm.ID, was, m.id)
		}
		ids[m.Data.Alarm.ID] = m.id
		delete(missing, m.Data.Alarm.ID)
	}
}

// listen reads the user's events until stop.
func (s *server) listen(user string, groups ...string) (stop func()) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	q, err := http.NewRequestWithContext(ctx, "GET", s.url()+"/v1/inbox/sse", nil)
	if err != nil {
		s.t.Fatal(err)
	}
	q.Header.Set("Authorization", "Bearer "+s.token(user, "inbox", groups...))
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Scan()
	go func() { // ends with stop
		defer resp.Body.Close()
		for lines.Scan() {
		}
	}()
	s.t.Cleanup(cancel)
	return sync.OnceFunc(cancel)
}

func TestComingAndGoingAreTold(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.up(200)
	s := newHooked(t, r, "connection.connected,connection.subscribed,connection.unsubscribed,connection.disconnected")
	stop := s.listen("ann", "crew")
	seen := map[string]hooked{}
	take := func(types ...string) {
		t.Helper()
		for range types {
			select {
			case m := <-r.got:
				seen[strings.TrimPrefix(m.Type, "connection.")] = m
			case <-time.After(patience):
				t.Fatalf("only %v came", seen)
			}
		}
		for _, typ := range types {
			m := seen[typ]
			if m.Data.User != "ann" || m.Data.Transport != "sse" || m.Data.Connection != seen["connected"].Data.Connection || m.Data.Node == "" {
				t.Errorf("%s: %+v", typ, m)
			}
		}
	}
	take("connected", "subscribed")
	stop()
	take("unsubscribed", "disconnected")
}

// With the real 15 seconds: the hook comes for whom nobody got, and not for the
// other; then it can be asked who got what, and why not, also after a kill.
func TestUndeliveredDeliveriesAndExplain(t *testing.T) {
	r := newReceiver(t)
	r.up(200)
	s := newHooked(t, r, "alarm.undelivered")
	root := s.root()
	for path, groups := range map[string]string{"devices/here": "day", "devices/away": "night", "users/ann": "day", "users/bob": "night"} {
		s.want(s.request("PUT", "/v1/"+path, root, `{"groups":["`+groups+`"]}`), 200)
	}
	s.listen("ann")
	began := time.Now()
	here, away := s.raised("here", "critical"), s.raised("away", "critical")
	if m := r.next("alarm.undelivered"); m.Data.Alarm.ID != away {
		t.Errorf("told of %+v, want %s", m, away)
	}
	if took := time.Since(began); took < 14*time.Second || took > 25*time.Second {
		t.Errorf("it took %v", took)
	}
	s.kill()
	s.start()
	var d struct {
		Deliveries []struct {
			User      string
			Delivered bool
			Transport *string
			At        *time.Time
		}
		Since *time.Time `json:"evidence_since"`
	}
	s.want(s.request("GET", "/v1/alarms/"+url.PathEscape(here)+"/deliveries", root, ""), 200).json(t, &d)
	if len(d.Deliveries) != 1 || d.Since == nil || d.Deliveries[0].User != "ann" || !d.Deliveries[0].Delivered ||
		*d.Deliveries[0].Transport != "sse" || d.Deliveries[0].At.Sub(began) > 10*time.Second {
		t.Errorf("deliveries %+v", d)
	}
	for _, c := range []struct{ alarm, user, verdict, says string }{
		{here, "ann", "delivered", "reached him over sse"},
		{away, "bob", "not-connected", "waits in his inbox"},
		{away, "ann", "no-group", "NO   visible"},
	} {
		out, errs, err := s.tocsin(t.Context(), "explain", "--url", s.url(), "--token", root, "--alarm", c.alarm, "--user", c.user)
		if err != nil || !strings.HasSuffix(out, c.verdict+"\n") || !strings.Contains(out, c.says) {
			t.Errorf("%s for %s: %v\n%s%s\nwant %s and %q", c.alarm, c.user, err, out, errs, c.verdict, c.says)
		}
	}
	out, _, err := s.tocsin(t.Context(), "explain", "--url", s.url(), "--token", root, "--device", "here", "--user", "ann", "--json")
	if err != nil || !strings.Contains(out, `"verdict":"visible"`) {
		t.Errorf("%s, %v", out, err)
	}
	for len(r.got) > 0 { // once more is possible, after the kill
		if m := <-r.got; m.Data.Alarm.ID != away {
			t.Errorf("told of %+v too", m)
		}
	}
}
