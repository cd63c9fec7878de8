package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"

	"tocsin/transports/transporttest"
)

// A stompClient is a user's session of STOMP.
type stompClient struct {
	t *testing.T
	*transporttest.Stomp
	session string
	receipt int
}

// stomp connects a user at this address, which may be a proxy's.
func (s *server) stomp(base, user string, groups ...string) *stompClient {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	conn, err := transporttest.DialStomp(ctx, base)
	if err != nil {
		s.t.Fatalf("connect to %s: %v", base, err)
	}
	s.t.Cleanup(conn.Close)
	c := &stompClient{t: s.t, Stomp: conn}
	c.say("CONNECT\naccept-version:1.2\npasscode:"+s.token(user, "inbox", groups...), "")
	c.session = c.want("CONNECTED").Header["session"]
	return c
}

func (c *stompClient) say(head, body string) {
	c.t.Helper()
	if err := c.Say(head, body); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next frame.
func (c *stompClient) next() transporttest.StompFrame {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	for {
		f, err := c.Read(ctx)
		if err != nil {
			c.t.Fatalf("instead of a frame: %v", err)
		}
		if f.Command != "" {
			return f
		}
	}
}

func (c *stompClient) want(command string) transporttest.StompFrame {
	c.t.Helper()
	f := c.next()
	if f.Command != command {
		c.t.Fatalf("the frame %+v, want %s", f, command)
	}
	return f
}

// done says a frame without a body and waits for its receipt.
func (c *stompClient) done(head string) {
	c.t.Helper()
	c.receipt++
	c.say(fmt.Sprintf("%s\nreceipt:%d", head, c.receipt), "")
	if f := c.want("RECEIPT"); f.Header["receipt-id"] != fmt.Sprint(c.receipt) {
		c.t.Fatalf("the receipt %+v, want %d", f, c.receipt)
	}
}

// Two nodes on one log, nginx before them: what is sent at either is heard by all,
// in one order; and where a user has acknowledged to at one node, he goes on at the
// other.
func TestStompAtTwoNodesBehindNginx(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	one, two := newServer(t, "--nats-url", nats, "--node", "gw1"), newServer(t, "--nats-url", nats, "--node", "gw2")
	front := transporttest.Nginx(t, []string{one.http, two.http})
	var clients []*stompClient
	for i := range 6 {
		c := one.stomp(front, fmt.Sprint("user-", i))
		c.done("SUBSCRIBE\nid:t\ndestination:/topic/all")
		clients = append(clients, c)
	}
	at := map[string]int{}
	for _, s := range []*server{one, two} {
		at[s.http] = stompConnections(t, s)
	}
	if at[one.http] == 0 || at[two.http] == 0 || at[one.http]+at[two.http] != len(clients) {
		t.Fatalf("clients are at %v", at)
	}
	const each = 50
	for k, c := range clients {
		go func() { // ends when all is said
			for i := range each {
				if c.Say(fmt.Sprintf("SEND\ndestination:/topic/all\ncontent-type:text/x-%d", k), fmt.Sprint(k, " ", i)) != nil {
					return
				}
			}
		}()
	}
	var all sync.WaitGroup
	heard := make([][]string, len(clients))
	for k, c := range clients {
		all.Go(func() {
			for range each * len(clients) {
				f := c.want("MESSAGE")
				heard[k] = append(heard[k], f.Header["from"]+" "+f.Body+" "+f.Header["message-id"])
			}
		})
	}
	all.Wait()
	for k := range clients {
		if got, want := strings.Join(heard[k], "\n"), strings.Join(heard[0], "\n"); got != want {
			t.Errorf("%d heard\n%s\n0 heard\n%s", k, got, want)
		}
	}
	acknowledgeElsewhere(t, one, two)
}

func acknowledgeElsewhere(t *testing.T, one, two *server) {
	one.want(one.request("PUT", "/v1/devices/d", one.root(), `{"groups":["crew"]}`), 200)
	c := one.stomp(one.url(), "ann", "crew")
	c.done("SUBSCRIBE\nid:i\ndestination:/user/queue/inbox\nack:client-individual")
	for i := range 3 {
		one.want(one.request("POST", "/v1/alarms", one.root(), fmt.Sprintf(`{"device":"d","type":"t%d","severity":"major"}`, i)), 202)
	}
	var acks []string
	for range 3 {
		acks = append(acks, c.want("MESSAGE").Header["ack"])
	}
	c.done("ACK\nid:" + acks[0])
	c.done("ACK\nid:" + acks[1])
	c.done("DISCONNECT")
	c = two.stomp(two.url(), "ann", "crew")
	c.done("SUBSCRIBE\nid:i\ndestination:/user/queue/inbox\nack:client-individual")
	var e struct{ Alarm struct{ Type string } }
	if err := json.Unmarshal([]byte(c.want("MESSAGE").Body), &e); err != nil || e.Alarm.Type != "t2" {
		t.Errorf("at the other node it goes on with %+v, %v", e, err)
	}
}

// Coming, going and subscriptions are told to hooks, by the session's id, and are
// in the server's log.
func TestStompSessionsAreTold(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	r.up(200)
	s := newHooked(t, r, "connection.connected,connection.subscribed,connection.unsubscribed,connection.disconnected")
	c := s.stomp(s.url(), "ann")
	next := func(typ, destination string) {
		t.Helper()
		m := r.next("connection." + typ)
		if m.Data.User != "ann" || m.Data.Transport != "stomp" || m.Data.Connection != c.session || m.Data.Destination != destination {
			t.Errorf("%s: %+v", typ, m)
		}
		line := fmt.Sprintf(`"stomp: %s","session":%q,"user":"ann"`, typ, c.session)
		if destination != "" {
			line += fmt.Sprintf(`,"destination":%q`, destination)
		}
		ctx, cancel := contextUntil(t, func() bool { return strings.Contains(s.log.String(), line) })
		<-ctx.Done()
		cancel()
		if !strings.Contains(s.log.String(), line) {
			t.Errorf("the log lacks %s:\n%s", line, s.log)
		}
	}
	next("connected", "")
	c.done("SUBSCRIBE\nid:1\ndestination:/chat/v1")
	next("subscribed", "/chat/v1")
	c.done("UNSUBSCRIBE\nid:1")
	next("unsubscribed", "/chat/v1")
	c.done("DISCONNECT")
	next("disconnected", "")
}

// The chat's door pushes from the server's side: for publishers and trusted
// networks, and never because a browser has been made to ask.
func TestTheChatsDoor(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--compat-publish-from", "127.0.0.1/32", "--stomp-app", "v1/chat=news")
	c := s.stomp(s.url(), "ann")
	c.done("SUBSCRIBE\nid:1\ndestination:/chat/single/ann")
	c.done("SUBSCRIBE\nid:2\ndestination:/topic/news")
	path := "/v1/chat/http?from=ops&content=" + url.QueryEscape("a b&c")
	s.want(s.request("GET", path+"&to=ann", "", ""), 200)
	if f := c.want("MESSAGE"); f.Header["subscription"] != "1" || f.Body != `{"from":"ops","to":"ann","content":"a b\u0026c"}` {
		t.Errorf("%+v", f)
	}
	s.want(s.request("GET", path, "", ""), 200)
	if f := c.want("MESSAGE"); f.Header["subscription"] != "2" || f.Header["destination"] != "/topic/news" || f.Header["from"] != "ops" {
		t.Errorf("%+v", f)
	}
	wantProblem(t, "from a page", s.request("GET", path, "", "", "Sec-Fetch-Site", "cross-site"), 403, "origin")
	wantProblem(t, "nothing to say", s.request("GET", "/v1/chat/http?to=ann", "", ""), 400, "malformed")

	strict := newServer(t)
	publisher := strict.token("backend", "publish")
	wantProblem(t, "nobody", strict.request("GET", path, "", ""), 401, "unauthenticated")
	wantProblem(t, "by a cookie", strict.request("GET", path, "", "", "Cookie", "tocsin_session="+publisher), 401, "unauthenticated")
	wantProblem(t, "a reader", strict.request("GET", path, strict.token("ann", "inbox"), ""), 403, "forbidden")
	strict.want(strict.request("GET", path, publisher, ""), 200)
}

// After a kill comes again what was not acknowledged, once, and nothing else.
func TestAStompClientThroughKills(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--fold", "0")
	s.want(s.request("PUT", "/v1/devices/d", s.root(), `{"groups":["crew"]}`), 200)
	got := map[string]int{}
	n := 0
	// read reads until the alarm of this number has come; ack is of the one at.
	read := func(c *stompClient, until, at int) (ack string) {
		t.Helper()
		for got[fmt.Sprint("t", until)] == 0 {
			f := c.want("MESSAGE")
			var e struct{ Alarm struct{ Type string } }
			if err := json.Unmarshal([]byte(f.Body), &e); err != nil {
				t.Fatal(err)
			}
			if got[e.Alarm.Type]++; e.Alarm.Type == fmt.Sprint("t", at) {
				ack = f.Header["ack"]
			}
		}
		return ack
	}
	for range 4 {
		c := s.stomp(s.url(), "ann", "crew")
		c.done("SUBSCRIBE\nid:i\ndestination:/user/queue/inbox\nack:client")
		for range 10 {
			n++
			s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"d","type":"t%d","severity":"major"}`, n)), 202)
		}
		c.done("ACK\nid:" + read(c, n, n-4))
		s.kill()
		s.start()
	}
	c := s.stomp(s.url(), "ann", "crew")
	c.done("SUBSCRIBE\nid:i\ndestination:/user/queue/inbox\nack:client")
	n++
	s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":"d","type":"t%d","severity":"major"}`, n)), 202)
	read(c, n, 0)
	for i := 1; i <= n; i++ { // in each round the last four were not acknowledged
		want := 1
		if last := (i - 1) % 10; last > 5 && i < n {
			want = 2
		}
		if times := got[fmt.Sprint("t", i)]; times != want {
			t.Errorf("t%d came %d times, want %d", i, times, want)
		}
	}
}
