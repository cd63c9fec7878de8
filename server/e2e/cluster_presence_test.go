package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// newNodes starts servers that share a log.
func newNodes(t *testing.T, names ...string) (nodes []*server) {
	t.Helper()
	url := startNATS(t)
	for _, name := range names {
		nodes = append(nodes, newServer(t, "--nats-url", url, "--node", name, "--drain", "1s"))
	}
	return nodes
}

type presenceAnswer struct {
	Users []struct {
		User string
		Over []struct {
			Transport   string
			Connections int
			Seen        time.Time `json:"last_seen"`
			Nodes       []string
		}
	}
	Nodes []presenceNode
}

type presenceNode struct {
	Node        string
	Connections int
}

// name is what --node says.
func (s *server) name() string {
	named := func(flag string) bool { return flag == "--node" || flag == "--cluster-node" }
	return s.flags[slices.IndexFunc(s.flags, named)+1]
}

// says is who is there, as the node has it: "user transport×connections@nodes".
func (s *server) says(query string) (people []string, nodes []string) {
	s.t.Helper()
	var p presenceAnswer
	s.want(s.request("GET", "/v1/presence?"+query, s.root(), ""), 200).json(s.t, &p)
	for _, u := range p.Users {
		for _, o := range u.Over {
			people = append(people, fmt.Sprintf("%s %s×%d@%s", u.User, o.Transport, o.Connections, strings.Join(o.Nodes, "+")))
		}
	}
	for _, n := range p.Nodes {
		nodes = append(nodes, n.Node)
	}
	return people, nodes
}

// within fails the test unless it becomes so in that time; it returns after how
// long it was.
func within(t *testing.T, bound time.Duration, what string, so func() bool) time.Duration {
	t.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > bound {
			t.Fatalf("not within %s: %s", bound, what)
		}
		pause(t.Context(), 10*time.Millisecond)
	}
	return time.Since(began)
}

// socket opens a WebSocket of the user that reads, and returns it when it has begun.
func (s *server) socket(user string, groups ...string) *transporttest.Socket {
	s.t.Helper()
	c := transporttest.MustDial(s.t, s.url(), "/v1/inbox/ws?access_token="+s.token(user, "inbox", groups...))
	c.Send(`{"op":"start"}`)
	if hello := c.Read(); !strings.Contains(hello, `"op":"hello"`) {
		s.t.Fatal(hello)
	}
	return c
}

func TestPresenceIsThatOfAllNodes(t *testing.T) {
	nodes := newNodes(t, "gw1", "gw2", "gw3")
	a, b, c := nodes[0], nodes[1], nodes[2]
	a.socket("ada")
	b.socket("ada")
	c.socket("cleo")
	b.want(b.request("GET", "/v1/inbox", b.token("poll", "inbox"), ""), 200)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sse, err := open(ctx, c.url()+"/v1/inbox/sse", c.token("sse", "inbox"))
	if err != nil {
		t.Fatal(err)
	}
	defer sse.Body.Close()
	want := []string{"ada websocket×2@gw1+gw2", "cleo websocket×1@gw3", "poll poll×1@gw2", "sse sse×1@gw3"}
	for _, s := range nodes {
		var people, names []string
		took := within(t, 5*time.Second, "everybody is known", func() bool { people, names = s.says(""); return slices.Equal(people, want) })
		if !slices.Equal(names, []string{"gw1", "gw2", "gw3"}) {
			t.Errorf("%v", names)
		}
		t.Logf("known after another %s", took)
		var list struct {
			Connections []struct {
				User, Node string
				Subscribed bool
				Position   *uint64
			}
		}
		s.want(s.request("GET", "/v1/connections?user=ada", s.root(), ""), 200).json(t, &list)
		for i, one := range list.Connections {
			if one.Node != []string{"gw1", "gw2"}[i] || !one.Subscribed || one.Position == nil {
				t.Errorf("%+v", one)
			}
		}
		if len(list.Connections) != 2 {
			t.Errorf("%+v", list)
		}
	}
	if got := a.request("POST", "/push", a.root(), `{"users":["cleo","sse","poll","nobody"],"title":"t","message":"hello"}`); got.body != `{"users":4,"online":2}`+"\n" {
		t.Errorf("online at other nodes: %s", got.body)
	}
	if got := a.request("GET", "/notice/online", a.root(), ""); !strings.Contains(got.body, `{"userId":"ada","transports":["websocket"],"connections":2}`) ||
		!strings.Contains(got.body, `"userId":"sse"`) {
		t.Errorf("%s", got.body)
	}
	c.kill()
	took := within(t, 7*time.Second, "those at the dead node are gone", func() bool {
		people, names := a.says("")
		return slices.Equal(people, []string{want[0], want[2]}) && slices.Equal(names, []string{"gw1", "gw2"})
	})
	t.Logf("the dead node's people were gone after %s", took)
	b.signal(15)
	within(t, 2*time.Second, "who leaves takes his people along at once", func() bool { people, _ := a.says(""); return slices.Equal(people, []string{"ada websocket×1@gw1"}) })
}

// open sends a request whose answer goes on.
func open(ctx context.Context, url, token string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return http.DefaultClient.Do(r)
}

// end reads a socket up to its bye, whose reason it returns.
func end(t *testing.T, c *transporttest.Socket) string {
	t.Helper()
	for {
		text := c.Read()
		var f struct{ Op, Reason string }
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(text)
		}
		if f.Op == "bye" {
			return f.Reason
		}
	}
}

func TestKicksLimitsAndRevocationsReachAllNodes(t *testing.T) {
	nodes := newNodes(t, "gw1", "gw2", "gw3")
	a, b, c := nodes[0], nodes[1], nodes[2]
	known := func(user string, n int) {
		t.Helper()
		for _, s := range nodes {
			within(t, 5*time.Second, user+" is known", func() bool {
				var list struct{ Connections []struct{} }
				s.want(s.request("GET", "/v1/connections?user="+user, s.root(), ""), 200).json(t, &list)
				return len(list.Connections) == n
			})
		}
	}
	t.Run("kick", func(t *testing.T) {
		at := []*transporttest.Socket{b.socket("kim"), c.socket("kim"), b.socket("other")}
		known("kim", 2)
		began := time.Now()
		a.want(a.request("DELETE", "/v1/users/kim/connections", a.root(), ""), 200)
		for _, s := range at[:2] {
			if why := end(t, s); why != "kicked" {
				t.Errorf("ended with %s", why)
			}
		}
		t.Logf("kicked at two other nodes within %s", time.Since(began))
		known("kim", 0)
		known("other", 1)
		b.socket("kim")
		c.socket("kim")
		known("kim", 2)
		if got := a.request("DELETE", "/v1/users/kim/connections", a.root(), ""); got.body != `{"ended":2}`+"\n" {
			t.Errorf("%s", got.body)
		}
	})
	t.Run("limit", func(t *testing.T) {
		var all []*transporttest.Socket
		for i := range 21 {
			all = append(all, nodes[i%3].socket("lim"))
			if i == 0 {
				known("lim", 1) // it is surely the oldest
			}
		}
		if why := end(t, all[0]); why != "superseded" {
			t.Errorf("the oldest ended with %s", why)
		}
		known("lim", 20)
		pause(t.Context(), 5*time.Second) // and nobody else does
		known("lim", 20)
	})
	t.Run("revocation", func(t *testing.T) {
		held := make(chan answer, 1)
		go func() { // ends with the revocation
			held <- c.request("GET", "/v1/inbox?wait=55", c.token("rev", "inbox"), "")
		}()
		at := []*transporttest.Socket{a.socket("rev"), b.socket("rev"), c.socket("rev")}
		known("rev", 4)
		began := time.Now()
		a.want(a.request("POST", "/v1/revocations", a.root(), `{"sub":"rev"}`), 204)
		for i, s := range at {
			if why := end(t, s); why != "revoked" {
				t.Errorf("node %d: ended with %s", i, why)
			}
		}
		if got := <-held; got.status != 401 {
			t.Errorf("the poll was answered %d", got.status)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("revoked after %s", took)
		} else {
			t.Logf("revoked at all nodes within %s", took)
		}
		for _, s := range nodes {
			s.want(s.request("GET", "/v1/inbox", s.token("rev", "inbox"), ""), 401)
		}
	})
}

// What one node knows of a user, all do: tickets are good once wherever they are
// used, and what was read at one node has been read at all.
func TestTicketsAndReadMarksAreOfAllNodes(t *testing.T) {
	t.Parallel()
	nodes := newNodes(t, "gw1", "gw2")
	a, b := nodes[0], nodes[1]
	a.want(a.request("PUT", "/v1/devices/d1", a.root(), `{"groups":["crew"]}`), 200)
	a.want(a.request("POST", "/v1/alarms", a.root(), `{"device":"d1","type":"smoke","severity":"major"}`), 202)
	reader := a.token("ann", "inbox", "crew")
	unread := func(s *server) (n int, cursor string) {
		var page struct {
			Unread int
			Cursor string
		}
		s.want(s.request("GET", "/v1/inbox", reader, ""), 200).json(t, &page)
		return page.Unread, page.Cursor
	}
	within(t, 5*time.Second, "the alarm is unread at both", func() bool {
		n, _ := unread(a)
		m, _ := unread(b)
		return n == 1 && m == 1
	})
	_, cursor := unread(b)
	b.want(b.request("POST", "/v1/inbox/read", reader, `{"upto":"`+cursor+`"}`), 200)
	within(t, 2*time.Second, "it is read at both", func() bool {
		n, _ := unread(a)
		m, _ := unread(b)
		return n == 0 && m == 0
	})
	var ticket struct{ Ticket string }
	a.want(a.request("POST", "/v1/ticket", reader, ""), 200).json(t, &ticket)
	b.want(b.request("GET", "/v1/inbox?ticket="+ticket.Ticket, "", ""), 200)
	a.want(a.request("GET", "/v1/inbox?ticket="+ticket.Ticket, "", ""), 401)
}
