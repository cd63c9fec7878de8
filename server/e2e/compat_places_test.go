package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// doorsOfTheFive are the WebSockets of the older protocols, by the name that --compat
// has for each, with the setting of its path and where the path leads to.
var doorsOfTheFive = []struct{ name, setting, path, below string }{
	{"alarm-push", "--alarm-push-path", "/ws/alarm", ""},
	{"oplink", "--oplink-path", "/message-center", ""},
	{"app-push", "--app-push-path", "/push", "/TOKEN"},
	{"notices", "--notices-path", "/notice", "/ws/socket?SESSION_TOKEN_KEY=TOKEN"},
	{"stomp", "--stomp-path", "/stomp", ""},
	{"stomp", "--sockjs-path", "/endpoint-websocket", "/websocket"},
	{"stomp", "--sockjs-path", "/endpoint-websocket", ""},
}

// wantDoor connects, or wants that nothing is there.
func (s *server) wantDoor(path string, open bool) {
	s.t.Helper()
	token := s.token("ann", "inbox")
	filled := strings.ReplaceAll(path, "=TOKEN", "="+token)
	filled = strings.ReplaceAll(filled, "/TOKEN", "/"+token)
	socket, err := transporttest.Dial(s.t, s.url(), filled)
	var end *transporttest.End
	switch {
	case open && err != nil:
		s.t.Errorf("%s: %v", path, err)
	case open:
		socket.Close()
	case !errors.As(err, &end) || end.Code != 404:
		s.t.Errorf("%s is there: %v", path, err)
	}
}

func TestTheFiveAreWhereTheConfigurationSays(t *testing.T) {
	t.Parallel()
	var flags []string
	for i, d := range doorsOfTheFive {
		flags = append(flags, d.setting, fmt.Sprint("/older/", i, d.path))
	}
	moved := newServer(t, flags...)
	for i, d := range doorsOfTheFive {
		if i+1 < len(doorsOfTheFive) && doorsOfTheFive[i+1].setting == d.setting {
			i++ // the last flag counts
		}
		moved.wantDoor(fmt.Sprint("/older/", i, d.path, d.below), true)
		moved.wantDoor(d.path+d.below, false)
	}
	for _, only := range []string{"", "oplink", "stomp", "alarm-push,notices"} {
		s := newServer(t, "--compat="+only)
		s.partial = true // what is not named is not there
		for _, d := range doorsOfTheFive {
			s.wantDoor(d.path+d.below, strings.Contains(only, d.name))
		}
		status := map[bool]int{true: 401, false: 404}
		s.want(s.request("POST", "/v1/mesh/publish", "", `{}`), status[only == "oplink"])
		s.want(s.request("GET", "/v1/chat/http?content=x", "", ""), status[only == "stomp"])
		s.want(s.request("POST", "/notice/push", "", `{}`), status[strings.Contains(only, "notices")])
		s.want(s.request("POST", "/push", "", `{}`), 404)
	}
}

// What is published by any door at one node reaches subscribers at the other; nothing
// but the log is between the nodes.
func TestTheFivePublishOnAnyNode(t *testing.T) {
	t.Parallel()
	nats := startNATS(t)
	one, two := newServer(t, "--nats-url", nats), newServer(t, "--nats-url", nats)
	there := dialOplink(t, two.url()).enter(two.token("1001", "inbox"))
	app := connectApp(t, two.url(), two.token("1001", "inbox"), "")
	two.holdsOver("1001", "app-push")
	const frame = `{"event":"@user","data":{"uid":1001,"msg":"Hello"}}`
	one.want(one.request("POST", "/v1/mesh/publish", one.root(), fmt.Sprintf(`{"c":"user:1001","d":%q}`, frame)), 200)
	there.Want(frame)
	publisher := transporttest.MustDial(t, one.url(), "/v1/mesh/ws", "Authorization", "Bearer "+one.root())
	publisher.Send(`{"c":"user:1001","d":"over the socket"}`)
	there.Want("over the socket")
	one.want(one.request("POST", "/push", one.root(), `{"users":["1001"],"title":"pushed","message":1}`), 200)
	app.want("Hello", "over the socket", "pushed")
	one.want(one.request("POST", "/notice/push", one.root(), `{"receiverId":"1001","message":"noted"}`), 200)
	app.want("noted")
	for _, word := range []string{`"title":"pushed"`, `"title":"noted"`} {
		if text := there.Read(); !strings.Contains(text, word) {
			t.Errorf("%s lacks %s", text, word)
		}
	}
}

// holdsOver waits until the user is delivered to by a transport.
func (s *server) holdsOver(user, transport string) {
	s.t.Helper()
	for end := time.Now().Add(patience); ; pause(s.t.Context(), 5*time.Millisecond) {
		a := s.want(s.request("GET", "/v1/connections?user="+user, s.root(), ""), 200)
		_, rest, _ := strings.Cut(a.body, `"`+transport+`"`)
		rest, _, _ = strings.Cut(rest, "}")
		if strings.Contains(rest, `"subscribed":true`) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("the connections: %s", a.body)
		}
	}
}

// The session's token may come in a header as well.
func TestNoticesTakeTheTokenFromAHeader(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.push("stored")
	socket := transporttest.MustDial(t, s.url(), "/notice/ws/socket", http.CanonicalHeaderKey("SESSION_TOKEN_KEY"), s.token("1001", "inbox"))
	notified{socket, t}.wants(false, "stored")
}

// When a user's groups change while he is connected he is sent the alarms that he sees
// from then on, the next one at once. Notices that he has are not sent again, or marked.
func TestWhenGroupsChangeWhileConnected(t *testing.T) {
	t.Parallel()
	s := crewServer(t)
	o := dialOplink(t, s.url()).enter(s.token("1001", "inbox"))
	n := dialNotices(t, s.url(), s.token("1001", "inbox"))
	s.push("noted")
	if text := o.Read(); !strings.Contains(text, `"noted"`) {
		t.Error(text)
	}
	n.wants(false, "noted")
	s.raise("before")
	s.want(s.request("PUT", "/v1/users/1001", s.root(), `{"groups":["crew"]}`), 200)
	n.wants(true, "noted")
	for _, message := range []string{"before", "after", "again"} {
		if message != "before" {
			s.raise(message)
		}
		if e := o.event(); e.Data.Msg.Type != "alarm.raised" || e.Data.Msg.Alarm.Message != message {
			t.Errorf("%+v, want %s", e, message)
		}
		n.wants(false, message)
	}
}
