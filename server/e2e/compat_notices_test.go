package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"tocsin/server/redissession/redistest"
	"tocsin/transports/transporttest"
)

// A notice is what a client of notices is told.
type notice struct {
	ID, Type, SenderID, ReceiverID, Message, Title string
	CreatedTime                                    time.Time
	Read                                           *bool
	TripID                                         any
	Alarm                                          struct{ ID, Device string }
}

// A notified is a client of notices with an offline store, written from docs/compat
// alone.
type notified struct {
	*transporttest.Socket
	t *testing.T
}

func dialNotices(t *testing.T, base, token string) notified {
	t.Helper()
	return notified{transporttest.MustDial(t, base, "/notice/ws/socket?SESSION_TOKEN_KEY="+token), t}
}

func (n notified) notice() (got notice) {
	n.t.Helper()
	text := n.Read()
	if err := json.Unmarshal([]byte(text), &got); err != nil || got.Read == nil || got.CreatedTime.IsZero() || got.ID == "" {
		n.t.Fatalf("%v: %s", err, text)
	}
	return got
}

// wants reads notices with these messages, all of them read before or none.
func (n notified) wants(read bool, messages ...string) {
	n.t.Helper()
	for _, message := range messages {
		if got := n.notice(); got.Message != message || *got.Read != read {
			n.t.Fatalf("got %q, read %v; want %q, %v", got.Message, *got.Read, message, read)
		}
	}
}

// fresh passes over what was sent before.
func (n notified) fresh(message string) {
	n.t.Helper()
	for {
		if got := n.notice(); !*got.Read {
			if got.Message != message {
				n.t.Fatalf("got %q, want %q", got.Message, message)
			}
			return
		}
	}
}

func (s *server) push(messages ...string) {
	s.t.Helper()
	for _, message := range messages {
		s.want(s.request("POST", "/notice/push", s.root(), fmt.Sprintf(`{"receiverId":"1001","message":%q}`, message)), 200)
	}
}

func TestNoticesWithRedisAndTheCallbackThroughNginx(t *testing.T) {
	t.Parallel()
	known, redis := newBackend(t), redistest.Start(t, "pass-word")
	redis.Do("HSET", "sess_7f3a", "accountID", "1002", "lastVisitTime", "1")
	redis.Do("SET", "sess_json", `{"accountID":1003}`)
	s := crewServer(t, "--session-callback-url", known.URL, "--session-redis-url", redis.URL(),
		"--session-redis-key", "{token}", "--session-redis-field", "accountID", "--log-level", "debug")
	base := transporttest.Nginx(t, []string{s.http})
	a, b := dialNotices(t, base, "s-1001"), dialNotices(t, base, "sess_7f3a")

	a.Send(`{"receiverId":"1002","tripId":42,"message":"on my way","senderId":"somebody","read":true}`)
	got := b.notice()
	if got.SenderID != "1001" || got.ReceiverID != "1002" || got.Message != "on my way" || *got.Read || got.TripID != 42.0 {
		t.Errorf("%+v", got)
	}
	if age := time.Since(got.CreatedTime); age < -time.Second || age > time.Minute {
		t.Errorf("created %v ago", age)
	}
	b.Send(`{"receiverId":1001,"message":"a\nb","title":"T"}`)
	if got := a.notice(); got.SenderID != "1002" || got.Message != "a\nb" || got.Title != "T" {
		t.Errorf("%+v", got)
	}
	s.raise("too fast")
	if got := a.notice(); got.SenderID != "d1" || got.Message != "too fast" || got.Alarm.Device != "d1" || got.Type != "alarm.raised" {
		t.Errorf("%+v", got) // 1001 is of the crew, as the callback says
	}

	// Redis goes: who is in stays, nobody new comes.
	redis.Down()
	a.Send(`{"receiverId":"1002","message":"still there?"}`)
	b.wants(false, "still there?")
	if _, err := transporttest.Dial(t, base, "/notice/ws/socket?SESSION_TOKEN_KEY=sess_json"); err == nil || err.Error() != "ended with 503" {
		t.Error(err)
	}
	dialNotices(t, base, "s-1004") // the callback still answers
	redis.Up()
	redis.Do("SET", "sess_json", `{"accountID":1003}`)
	c := dialNotices(t, base, "sess_json")
	a.Send(`{"receiverId":"1003","message":"back"}`)
	c.wants(false, "back")

	for _, one := range []string{"", "unknown", "a.b.c"} {
		var end *transporttest.End
		if _, err := transporttest.Dial(t, base, "/notice/ws/socket?SESSION_TOKEN_KEY="+one); !errors.As(err, &end) || end.Code != 401 {
			t.Errorf("%q: %v", one, err)
		}
	}
	if log := s.log.String(); strings.Contains(log, "sess_") || strings.Contains(log, "s-100") || strings.Contains(log, "pass-word") || !strings.Contains(log, "SESSION_TOKEN_KEY=…") {
		t.Errorf("sessions are in the log:\n%s", log)
	}
}

func TestNoticesWaitForWhoIsOffline(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	token := s.token("1001", "inbox")
	s.push("one", "two", "three")
	n := dialNotices(t, s.url(), token)
	n.wants(false, "one", "two", "three")
	s.push("four")
	n.wants(false, "four")
	n.Close()
	s.push("five", "six")
	n = dialNotices(t, s.url(), token)
	n.wants(false, "five", "six")
	s.push("seven")
	n.wants(false, "seven")

	// A second connection gets what comes, and nothing of what the first one got.
	second := dialNotices(t, s.url(), token)
	s.push("eight")
	second.fresh("eight")
	n.wants(false, "eight")
	second.Close()

	// The server restarts: its clients are told to go, and have answered.
	gone := make(chan error, 1)
	go func() { // ends with the connection
		_, err := n.Next(patience)
		gone <- err
	}()
	s.flags = append(s.flags, "--drain", "1s")
	s.signal(syscall.SIGTERM)
	if err := <-gone; err == nil || err.Error() != "ended with 1001 drain" {
		t.Error(err)
	}
	s.start()
	s.push("nine")
	n = dialNotices(t, s.url(), token)
	n.wants(false, "nine")
}

// Who vanishes gets again what he has not shown to have got, marked as read.
func TestNoticesAreSentAgainToWhoVanished(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--ping-interval", "1s")
	token := s.token("1001", "inbox")
	s.push("one")
	n := dialNotices(t, s.url(), token)
	n.wants(false, "one")
	// Reading on answers the pings, and the notice after some of them comes alone.
	if _, err := n.Next(3 * time.Second); err == nil {
		t.Fatal("something came")
	}
	n.Cut() // after the answer; the connection is of no use after the wait anyway
	n = dialNotices(t, s.url(), token)
	s.push("two")
	n.wants(false, "two")
	n.Cut()
	s.without("1001") // else it may be written to who is gone, and is then sent again
	s.push("three")
	n = dialNotices(t, s.url(), token)
	n.wants(true, "two")
	n.wants(false, "three")

	// A kill of the server: nothing is lost, and what is sent again is marked.
	pause(t.Context(), time.Second) // its place is written
	s.kill()
	s.start()
	s.push("four")
	n = dialNotices(t, s.url(), token)
	n.wants(true, "two", "three")
	n.wants(false, "four")
	n.Close()
	s.without("1001")
	n = dialNotices(t, s.url(), token)
	s.push("five")
	n.wants(false, "five")
}

// without waits until the node knows that the user has gone.
func (s *server) without(user string) {
	s.t.Helper()
	within(s.t, patience, user+" has gone", func() bool {
		return strings.Contains(s.want(s.request("GET", "/v1/connections?user="+user, s.root(), ""), 200).body, `"connections":[]`)
	})
}

// An offline user's place goes with him, on whichever node he lands.
func TestNoticesOnWhicheverNode(t *testing.T) {
	t.Parallel()
	url := startNATS(t)
	var nodes []*server
	for range 2 {
		s := newServer(t, "--nats-url", url)
		if len(nodes) > 0 {
			s.secret = nodes[0].secret
		}
		nodes = append(nodes, s)
	}
	token := nodes[0].token("1001", "inbox")
	want, sent := 0, 0
	for range 6 {
		for i, s := range nodes {
			for range 3 {
				nodes[(i+1)%2].push(fmt.Sprint("m", sent))
				sent++
			}
			n := dialNotices(t, s.url(), token)
			for ; want < sent; want++ {
				n.wants(false, fmt.Sprint("m", want))
			}
			n.Close()
			// The place of who has left is written, which takes a moment.
			pause(t.Context(), 500*time.Millisecond)
		}
	}
}

func TestNoticesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--compat-publish-from", "127.0.0.1/32")
	other := dialNotices(t, s.url(), s.token("other", "inbox"))
	n := dialNotices(t, s.url(), s.token("1001", "inbox"))
	long := strings.Repeat("x", 17_000)
	for frame, code := range map[string]int{
		`no JSON`: 400, `[]`: 400, `null`: 400, `{}`: 422, `{"receiverId":"2"}`: 422, `{"receiverId":"","message":"x"}`: 422,
		`{"receiverId":"2","message":"` + long + `"}`: 422, `{"receiverId":"2","message":"x","more":"` + long + `"}`: 422,
	} {
		n.Send(frame)
		var got struct {
			Code    int
			Message string
		}
		if err := json.Unmarshal([]byte(n.Read()), &got); err != nil || got.Code != code || got.Message == "" {
			t.Errorf("%.50s: %+v, %v", frame, got, err)
		}
		n.Send(`{"receiverId":"1001","message":"fine"}`)
		n.wants(false, "fine")
	}
	for range 10 {
		n.Send("still no JSON")
	}
	n.WantEnd(4429)

	hasty := dialNotices(t, s.url(), s.token("hasty", "inbox"))
	go func() { // ends when all are sent, or with the connection
		for range 200 {
			hasty.Send(`{"receiverId":"nobody","message":"x"}`)
		}
	}()
	if got := hasty.Read(); got != `{"code":429,"message":"slow down"}` {
		t.Error(got)
	}
	hasty.WantEnd(4429)
	n = dialNotices(t, s.url(), s.token("1001", "inbox"))
	n.SendBinary([]byte("{}"))
	n.WantEnd(1003)
	n = dialNotices(t, s.url(), s.token("1001", "inbox"))
	n.Send(strings.Repeat("x", 70_000))
	n.WantEnd(4413)

	s.want(s.request("POST", "/notice/push", "", `{"receiverId":"other","message":"undisturbed","senderId":"the system"}`), 200)
	if got := other.notice(); got.Message != "undisturbed" || got.SenderID != "the system" {
		t.Errorf("%+v", got)
	}
}

func TestPushingListsAndWhoIsOnline(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	n := dialNotices(t, s.url(), s.token("1001", "inbox"))
	o := dialOplink(t, s.url()).enter(s.token("1002", "inbox"))
	stream, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url()+"/v1/inbox/sse", nil)
	if err != nil {
		t.Fatal(err)
	}
	stream.Header.Set("Authorization", "Bearer "+s.token("1001", "inbox"))
	resp, err := http.DefaultClient.Do(stream)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var list struct {
		Code int
		Data []struct {
			UserID      string
			Transports  []string
			Connections int
		}
	}
	s.want(s.request("GET", "/notice/online", s.root(), ""), 200).json(t, &list)
	for i := range list.Data {
		slices.Sort(list.Data[i].Transports)
	}
	if fmt.Sprint(list) != "{200 [{1001 [notices sse] 2} {1002 [oplink] 1}]}" {
		t.Errorf("%v", list)
	}
	s.want(s.request("GET", "/notice/online", s.token("1001", "inbox publish"), ""), 403)
	s.want(s.request("GET", "/notice/online", "", ""), 401)

	var answer struct {
		Code int
		Data []struct {
			Code      int
			Message   string
			ID        string
			Duplicate bool
		}
	}
	s.want(s.request("POST", "/notice/push", s.root(), `[{"receiverId":"1001","message":"a","noticeId":"7"},{"receiverId":"1001"},
		{"receiverId":1002,"message":"b","title":"B"},{"receiverId":"1001","message":"a","noticeId":"7"}]`), 200).json(t, &answer)
	if d := answer.Data; len(d) != 4 || d[0].Code != 200 || d[0].Duplicate || d[1].Code != 422 || d[1].Message == "" || d[2].Code != 200 || !d[3].Duplicate || d[3].ID != d[0].ID {
		t.Errorf("%+v", answer)
	}
	n.wants(false, "a")
	if text := o.Read(); !strings.Contains(text, `"title":"B","body":"b"`) {
		t.Error(text)
	}
	var refused struct {
		Type, Message string
		Code          int
	}
	s.want(s.request("POST", "/notice/push", s.root(), `{"message":"to nobody"}`), 422).json(t, &refused)
	if refused.Code != 422 || !strings.HasPrefix(refused.Message, "receiverId: ") || refused.Type != "/problems/invalid" {
		t.Errorf("%+v", refused)
	}
	s.want(s.request("POST", "/notice/push", s.token("1001", "inbox"), `{"receiverId":"1002","message":"x"}`), 403)
	s.want(s.request("POST", "/notice/push", s.root(), `[]`), 200)
	s.want(s.request("POST", "/notice/push", s.root(), ``), 400)
}
