package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
)

// A traceLine is a line of GET /v1/trace.
type traceLine struct {
	What, Node, User, Transport, Reason, Op, Alarm, URL, Method string
	From, To                                                    uint64
	Status, Count                                               int
	Claimed, Snapshot                                           bool
	text                                                        string
}

// follow begins a trace and hands its lines over until the test is over.
func (s *server) follow(user string) <-chan traceLine {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", s.url()+"/v1/trace?for=60&user="+user, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.root())
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != 200 {
		s.t.Fatal(resp, err)
	}
	lines, ended := make(chan traceLine, 1000), make(chan struct{})
	go func() { // ends with the context
		defer close(ended)
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		for in.Scan() {
			if err := openAPI().fits("#/components/schemas/TraceLine", in.Bytes()); err != nil {
				s.t.Errorf("%s: %v", in.Text(), err)
			}
			l := traceLine{text: in.Text()}
			if err := json.Unmarshal(in.Bytes(), &l); err != nil {
				s.t.Errorf("%s: %v", in.Text(), err)
			}
			lines <- l
		}
	}()
	s.t.Cleanup(func() { cancel(); <-ended })
	return lines
}

// wantLine waits for a line that fits.
func wantLine(t *testing.T, lines <-chan traceLine, what string, fits func(traceLine) bool) traceLine {
	t.Helper()
	var had []string
	late := time.After(patience)
	for {
		select {
		case l := <-lines:
			if l.What == what && (fits == nil || fits(l)) {
				return l
			}
			had = append(had, l.text)
		case <-late:
			t.Fatalf("no such line of %s among\n%s", what, strings.Join(had, "\n"))
		}
	}
}

func TestATraceTellsWhatHappensToOneUserAndNobodyElse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.want(s.request("PUT", "/v1/devices/d", s.root(), `{"groups":["crew"]}`), 200)
	anna, bob := s.token("anna", "inbox publish", "crew"), s.token("bob", "inbox", "crew")
	old, err := auth.Sign(s.secret, auth.Issue{User: "anna", TTL: time.Minute}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	lines := s.follow("anna")
	wantLine(t, lines, "tracing", nil)

	a := s.want(s.request("POST", "/v1/alarms", s.root(), `{"device":"d","type":"t","severity":"major"}`), 202)
	var published struct {
		Results []struct {
			ID  string
			Seq uint64
		}
	}
	a.json(t, &published)
	one := published.Results[0]
	s.want(s.request("GET", "/v1/inbox?cursor=earliest", bob, ""), 200)
	s.want(s.request("GET", "/v1/inbox?cursor=earliest", anna, ""), 200)
	wantLine(t, lines, "connected", func(l traceLine) bool { return l.Transport == "poll" })
	wantLine(t, lines, "delivered", func(l traceLine) bool { return l.From < one.Seq && l.To >= one.Seq && l.Transport == "poll" })
	wantLine(t, lines, "request", func(l traceLine) bool { return l.URL == "/v1/inbox?cursor=earliest" && l.Status == 200 })

	s.want(s.request("GET", "/v1/inbox?access_token="+old, "", ""), 401)
	refused := wantLine(t, lines, "refused", nil)
	if !refused.Claimed || !strings.Contains(refused.Reason, "expired") || strings.Contains(refused.text, old[10:]) {
		t.Errorf("%s", refused.text)
	}
	s.want(s.request("GET", "/v1/devices", anna, ""), 403)
	wantLine(t, lines, "request", func(l traceLine) bool { return l.Status == 403 && strings.Contains(l.Reason, "admin") })
	s.want(s.request("GET", "/v1/inbox?cursor=0mwprdiyok3f.16.2hx91kq0a", anna, ""), 200)
	wantLine(t, lines, "gap", func(l traceLine) bool { return l.Reason != "" })

	stream, err := http.NewRequestWithContext(t.Context(), "GET", s.url()+"/v1/inbox/sse?cursor=earliest", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.Header.Set("Authorization", "Bearer "+anna)
	resp, err := http.DefaultClient.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	wantLine(t, lines, "subscribed", func(l traceLine) bool { return l.Transport == "sse" })
	wantLine(t, lines, "delivered", func(l traceLine) bool { return l.Transport == "sse" && l.To >= one.Seq })
	s.want(s.request("POST", "/v1/alarms/"+one.ID+"/ack", anna, ""), 200)
	wantLine(t, lines, "command", func(l traceLine) bool { return l.Op == "ack" && l.Alarm == one.ID && l.Reason == "" })
	s.want(s.request("POST", "/v1/alarms/none/ack", anna, ""), 404)
	wantLine(t, lines, "command", func(l traceLine) bool { return l.Alarm == "none" && l.Reason != "" })
	s.want(s.request("DELETE", "/v1/users/anna/connections", s.root(), ""), 200)
	wantLine(t, lines, "ended", func(l traceLine) bool { return l.Transport == "sse" && l.Reason == "kicked" })
	for {
		select {
		case l := <-lines:
			if l.User != "anna" && l.User != "" {
				t.Errorf("a line of somebody else's: %s", l.text)
			}
			if leaks.MatchString(l.text) {
				t.Errorf("a line has a secret: %s", l.text)
			}
			continue
		default:
		}
		break
	}
}

func TestTheCommandTracePrintsUntilItsTimeIsOver(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, errs, err := s.tocsin(t.Context(), "trace", "--url", s.url(), "--token", s.root(), "--user", "anna", "--for", "1s")
	if err != nil || !strings.Contains(out, "tracing") || !strings.Contains(out, "end") || !strings.Contains(out, "reason=over") {
		t.Errorf("%s%s%v", out, errs, err)
	}
	if _, errs, err = s.tocsin(t.Context(), "trace", "--url", s.url(), "--token", s.token("anna", "inbox"), "--user", "bob"); err == nil || !strings.Contains(errs, "403") {
		t.Errorf("somebody without admin: %s, %v", errs, err)
	}
}

func TestATraceHearsOfAllNodes(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, "gw1", "gw2")
	lines := nodes[0].follow("anna")
	wantLine(t, lines, "tracing", nil)
	within(t, patience, "the other node knows whom somebody follows", func() bool {
		nodes[1].want(nodes[1].request("GET", "/v1/inbox", nodes[1].token("anna", "inbox"), ""), 200)
		select {
		case l := <-lines:
			return l.Node == "gw2" && l.User == "anna"
		default:
			return false
		}
	})
	nodes[1].socket("anna")
	wantLine(t, lines, "connected", func(l traceLine) bool { return l.Node == "gw2" && l.Transport == "websocket" })
	within(t, patience, "the first node hears the other one, and kicks", func() bool {
		got := nodes[0].want(nodes[0].request("DELETE", "/v1/users/anna/connections", nodes[0].root(), ""), 200)
		return !strings.Contains(got.body, `"ended":0`)
	})
	wantLine(t, lines, "ended", func(l traceLine) bool { return l.Node == "gw2" && l.Reason == "kicked" })
}
