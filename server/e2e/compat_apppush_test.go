package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// An app is a client of app push, as docs/compat/app-push.md has it.
type app struct {
	t *testing.T
	*websocket.Conn
}

// A pushed is one of its frames.
type pushed struct {
	MessageID string          `json:"messageId"`
	Title     string          `json:"title"`
	Content   json.RawMessage `json:"content"`
	Cursor    string          `json:"cursor"`
}

func dialApp(ctx context.Context, base, token, query string) (*websocket.Conn, error) {
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/push/"+url.PathEscape(token)+query, nil)
	return conn, err
}

func connectApp(t *testing.T, base, token, query string) *app {
	t.Helper()
	conn, err := dialApp(t.Context(), base, token, query)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &app{t, conn}
}

func (a *app) next() pushed {
	a.t.Helper()
	_ = a.SetReadDeadline(time.Now().Add(patience))
	kind, text, err := a.ReadMessage()
	if err != nil || kind != websocket.TextMessage {
		a.t.Fatalf("a message of kind %d: %v", kind, err)
	}
	var p pushed
	if err := json.Unmarshal(text, &p); err != nil || !isMessageID.MatchString(p.MessageID) {
		a.t.Fatalf("%s: %v", text, err)
	}
	return p
}

var isMessageID = regexp.MustCompile(`^[0-9a-f]+-[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// want reads messages of these titles.
func (a *app) want(titles ...string) (all []pushed) {
	a.t.Helper()
	for _, title := range titles {
		p := a.next()
		if p.Title != title {
			a.t.Errorf("%q, want %q", p.Title, title)
		}
		all = append(all, p)
	}
	return all
}

func (a *app) closed(code int) string {
	a.t.Helper()
	for {
		_ = a.SetReadDeadline(time.Now().Add(patience))
		_, text, err := a.ReadMessage()
		var end *websocket.CloseError
		if errors.As(err, &end) {
			if end.Code != code || end.Text == "" {
				a.t.Errorf("closed with %v, want %d", end, code)
			}
			return end.Text
		}
		if err != nil {
			a.t.Fatal(err)
		}
		a.t.Logf("before the end: %s", text)
	}
}

// holds waits until so many connections of a user are there to be told.
func (s *server) holds(user string, n int) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; pause(s.t.Context(), 5*time.Millisecond) {
		a := s.want(s.request("GET", "/v1/connections?user="+user, s.root(), ""), 200)
		if strings.Count(a.body, `"app-push"`) == n && strings.Count(a.body, `"subscribed":true`) == n {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the connections: %s", a.body)
		}
	}
}

func TestAppPush(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--compat-publish-from", "127.0.0.0/8")
	s.putDevice("d1", `["crew"]`)
	ann := s.token("ann", "inbox", "crew")
	one, two := connectApp(t, s.url(), ann, ""), connectApp(t, s.url(), s.token("ann", "inbox", "crew"), "")
	s.holds("ann", 2)

	// A message to many, from who has no token but the right address.
	push := func(body string) string {
		return s.want(s.request("POST", "/push", "", body), 200).body
	}
	if got := strings.TrimSpace(push(`{"users":["ann","bob","ann"],"title":"hi","message":{"a":[1,"ü"]}}`)); got != `{"users":2,"online":1}` {
		t.Errorf("the answer %s", got)
	}
	push(`{"users":["ann"],"title":"text","message":"say \"ü\""}`)
	push(`{"users":["ann"],"title":"none"}`)
	push(`{"users":["ann"],"title":"number","message":12.50}`)
	want := []string{`{"a":[1,"ü"]}`, `"say \"ü\""`, `""`, `12.50`}
	first := one.want("hi", "text", "none", "number")
	for i, p := range two.want("hi", "text", "none", "number") {
		if p.MessageID != first[i].MessageID || string(p.Content) != want[i] || p.Cursor != "" || string(first[i].Content) != want[i] {
			t.Errorf("message %d: %+v", i, p)
		}
	}
	// Alarms come, too.
	id := s.raiseOf("d1", "fire")
	s.ack(id, s.root())
	s.clearOf("d1", "fire")
	var e entry
	for _, p := range one.want("major fire d1", "acked fire d1", "cleared fire d1") {
		if err := json.Unmarshal(p.Content, &e); err != nil || e.Alarm.ID != id {
			t.Errorf("%s: %v", p.Content, err)
		}
		if strings.Split(p.MessageID, "-")[0] == strings.Split(first[0].MessageID, "-")[0] {
			t.Error("an alarm is called as a notice is")
		}
	}
	two.want("major fire d1", "acked fire d1", "cleared fire d1")

	// With a cursor the client gets cursors, and goes on from each.
	keeps := connectApp(t, s.url(), ann, "?cursor=earliest")
	all := keeps.want("hi", "text", "none", "number", "major fire d1", "acked fire d1", "cleared fire d1")
	again := connectApp(t, s.url(), ann, "?cursor="+all[3].Cursor)
	if got := again.want("major fire d1", "acked fire d1"); got[0].MessageID != all[4].MessageID {
		t.Errorf("another id: %q", got[0].MessageID)
	}

	for body, status := range map[string]int{
		`{"users":[],"title":"x"}`: 422, `{"users":["a"],"message":1}`: 422, `{"users":"a","title":"x"}`: 422, `{`: 400,
		`{"users":["a"],"title":"x","message":"` + strings.Repeat("x", 17<<10) + `"}`: 422,
	} {
		s.want(s.request("POST", "/push", "", body), status)
	}
}

func TestAppPushPublishingIsClosed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const body = `{"users":["ann"],"title":"x","message":1}`
	s.want(s.request("POST", "/push", "", body), 401)
	s.want(s.request("POST", "/push", s.token("ann", "inbox"), body), 403)
	s.want(s.request("POST", "/push", s.token("ann", "publish"), body), 200)
}

func TestAppPushLetsNobodyInWithoutAToken(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--app-push-idle", "2s", "--ping-interval", "1s", "--log-level", "debug")
	old := s.token("ann", "inbox")
	for token, code := range map[string]int{"": 4401, "nobody": 4401, old + "x": 4401, "a/b?c#d%25": 4401, s.token("ann", "publish"): 4403} {
		connectApp(t, s.url(), token, "").closed(code)
	}
	ann := s.token("ann", "inbox")
	s.want(s.request("GET", "/push/"+ann, "", ""), 426)
	s.want(s.request("POST", "/push/"+ann, "", ""), 405)
	s.want(s.request("GET", "//push/"+ann, "", ""), 404)
	s.want(s.request("GET", "/PUSH/"+ann+"/x", "", ""), 404)

	// Who sends nothing is gone after a while, though his pongs come; signs of life,
	// other texts and pings keep him.
	quiet, lively := connectApp(t, s.url(), ann, ""), connectApp(t, s.url(), ann, "")
	began := time.Now()
	ended := make(chan error, 1)
	go func() { // ends with the connection
		_, _, err := lively.ReadMessage()
		ended <- err
	}()
	go func() { // ends with the test
		for i := 0; t.Context().Err() == nil; i++ {
			switch i % 3 {
			case 0:
				lively.WriteMessage(websocket.TextMessage, []byte("--"))
			case 1:
				lively.WriteMessage(websocket.TextMessage, []byte("{}"))
			default:
				lively.WriteMessage(websocket.PingMessage, nil)
			}
			pause(t.Context(), time.Second)
		}
	}()
	quiet.closed(4408)
	if took := time.Since(began); took < 1900*time.Millisecond || took > 4*time.Second {
		t.Errorf("it was idle for %v", took)
	}
	select {
	case err := <-ended:
		t.Errorf("the lively one ended: %v", err)
	case <-time.After(3 * time.Second):
	}
	connectApp(t, s.url(), ann, "").closed(4408)
	binary := connectApp(t, s.url(), ann, "")
	if err := binary.WriteMessage(websocket.BinaryMessage, []byte("--")); err != nil {
		t.Fatal(err)
	}
	binary.closed(1003)
	revoked := connectApp(t, s.url(), ann, "")
	s.holds("ann", 2)
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"sub":"ann"}`), 204)
	revoked.closed(4401)
	for _, secret := range []string{ann, old, strings.Split(ann, ".")[2]} {
		if strings.Contains(s.log.String(), secret) {
			t.Errorf("the log tells a token: %s", s.log)
		}
	}
	if !strings.Contains(s.log.String(), `"url":"/push/…"`) {
		t.Errorf("the log: %s", s.log)
	}
}

// What was written to a connection and not read is not lost: neither when the next
// one comes beside it, or after it, nor when the server was killed in between.
func TestAppPushTellsTheNextConnectionWhatTheLastOneMissed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const n = 50
	for _, how := range []string{"beside", "after", "killed"} {
		t.Run(how, func(t *testing.T) {
			user := "user-" + how
			old := connectApp(t, s.url(), s.token(user, "inbox"), "")
			s.holds(user, 1)
			for i := range n {
				s.want(s.request("POST", "/push", s.root(), fmt.Sprintf(`{"users":[%q],"title":"n%d","message":%d}`, user, i, i)), 200)
			}
			first := old.want("n0", "n1")
			switch how {
			case "after":
				_ = old.NetConn().Close()
				s.holds(user, 0)
			case "killed":
				s.kill()
				s.start()
			}
			next := connectApp(t, s.url(), s.token(user, "inbox"), "")
			_ = old.NetConn().Close()
			for i := range n {
				got := next.want(fmt.Sprint("n", i))[0]
				if i < 2 && got.MessageID != first[i].MessageID {
					t.Errorf("message %d is called %s and %s", i, first[i].MessageID, got.MessageID)
				}
			}
		})
	}
}

// The old connection may be at another node, and that node may be dead.
func TestAppPushGoesOnAtAnotherNode(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	here, there := newServer(t, "--nats-url", nats), newServer(t, "--nats-url", nats)
	push := func(title string) {
		here.want(here.request("POST", "/push", here.root(), `{"users":["ann"],"title":"`+title+`","message":1}`), 200)
	}
	old := connectApp(t, there.url(), there.token("ann", "inbox"), "")
	there.holds("ann", 1)
	push("one")
	old.want("one")
	push("two")
	connectApp(t, here.url(), here.token("ann", "inbox"), "").want("one", "two")
	there.kill()
	connectApp(t, here.url(), here.token("ann", "inbox"), "").want("one", "two")
}

// What a client has got is not told again to its next connection: it has answered
// the pings that were sent after it.
func TestAppPushKnowsWhatHasArrived(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--ping-interval", "1s")
	ann := s.token("ann", "inbox")
	push := func(title string) {
		s.want(s.request("POST", "/push", s.root(), `{"users":["ann"],"title":"`+title+`","message":1}`), 200)
	}
	old := connectApp(t, s.url(), ann, "")
	s.holds("ann", 1)
	push("one")
	old.want("one")
	pings := 0
	answer := old.PingHandler()
	old.SetPingHandler(func(data string) error {
		if pings++; pings == 4 { // of the first answer it is not known to what it is one
			push("two")
		}
		return answer(data)
	})
	old.want("two")
	_ = old.NetConn().Close()
	s.holds("ann", 0)
	connectApp(t, s.url(), ann, "").want("two")
}
