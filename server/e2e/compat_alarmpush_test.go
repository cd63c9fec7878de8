package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	pb "tocsin/transports/alarmpush/alarmpushpb"
)

// A pusher is a client of alarm push, as docs/compat/alarm-push.md has it.
type pusher struct {
	t *testing.T
	*websocket.Conn
}

func dialPush(t *testing.T, base, path string, header http.Header) (*pusher, *http.Response, error) {
	t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(base, "http")+path, header)
	if err != nil {
		return nil, resp, err
	}
	t.Cleanup(func() { conn.Close() })
	return &pusher{t, conn}, resp, nil
}

func connectPush(t *testing.T, base string) *pusher {
	t.Helper()
	p, _, err := dialPush(t, base, "/ws/alarm", nil)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pusher) say(f *pb.Frame) {
	p.t.Helper()
	b, err := proto.Marshal(f)
	if err == nil {
		err = p.WriteMessage(websocket.BinaryMessage, b)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

func loginFrame(token, cursor string) *pb.Frame {
	return &pb.Frame{Kind: &pb.Frame_Login{Login: &pb.Login{Token: token, Cursor: cursor}}}
}

// next is the next frame that is no heartbeat.
func (p *pusher) next() (*pb.Frame, error) {
	for {
		_ = p.SetReadDeadline(time.Now().Add(patience))
		kind, b, err := p.ReadMessage()
		if err != nil {
			return nil, err
		}
		f := &pb.Frame{}
		if kind != websocket.BinaryMessage {
			return nil, fmt.Errorf("a message of kind %d", kind)
		}
		if err := proto.Unmarshal(b, f); err != nil || f.GetHeartbeat() == nil {
			return f, err
		}
	}
}

func (p *pusher) reply() *pb.LoginReply {
	p.t.Helper()
	f, err := p.next()
	if err != nil || f.GetLoginReply() == nil {
		p.t.Fatalf("no reply to the login: %v, %v", f, err)
	}
	return f.GetLoginReply()
}

// login logs in and fails unless that is answered well.
func (p *pusher) login(token, cursor string) *pb.LoginReply {
	p.t.Helper()
	p.say(loginFrame(token, cursor))
	r := p.reply()
	if !r.Ok {
		p.t.Fatalf("not let in: %v", r)
	}
	return r
}

func (p *pusher) notice() *pb.AlarmNotice {
	p.t.Helper()
	f, err := p.next()
	if err != nil || f.GetAlarm() == nil {
		p.t.Fatalf("no notice: %v, %v", f, err)
	}
	return f.GetAlarm()
}

// want reads notices of these alarms in these states, "device type state".
func (p *pusher) want(lines ...string) (last *pb.AlarmNotice) {
	p.t.Helper()
	for _, line := range lines {
		last = p.notice()
		if got := last.Device + " " + last.Type + " " + last.State; got != line {
			p.t.Errorf("a notice of %q, want %q", got, line)
		}
	}
	return last
}

// closed reads to the end, and wants that close code.
func (p *pusher) closed(code int) {
	p.t.Helper()
	for {
		_, err := p.next()
		var end *websocket.CloseError
		if errors.As(err, &end) {
			if end.Code != code || code > 4000 && code != 4413 && end.Text == "" {
				p.t.Errorf("closed with %v, want %d", end, code)
			}
			return
		}
		if err != nil {
			p.t.Fatal(err)
		}
	}
}

func (s *server) raiseOf(device, typ string) string {
	s.t.Helper()
	var a struct{ Results []struct{ ID string } }
	s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`[{"device":%q,"type":%q,"severity":"major"}]`, device, typ)), 202).json(s.t, &a)
	return a.Results[0].ID
}

func (s *server) clearOf(device, typ string) {
	s.t.Helper()
	s.want(s.request("POST", "/v1/alarms", s.root(), fmt.Sprintf(`{"device":%q,"type":%q,"severity":"major","state":"cleared"}`, device, typ)), 202)
}

func (s *server) putDevice(name string, groups string) {
	s.t.Helper()
	s.want(s.request("PUT", "/v1/devices/"+name, s.root(), `{"groups":`+groups+`}`), 200)
}

func TestAlarmPushTellsEveryChange(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.putDevice("imei1", `["fleet"]`)
	s.putDevice("imei2", `["fleet"]`)
	ann := s.token("ann", "inbox", "fleet")
	p, eve := connectPush(t, s.url()), connectPush(t, s.url())
	if r := p.login(ann, ""); r.User != "ann" || r.Cursor == "" || r.Reason != "" {
		t.Errorf("the reply %v", r)
	}
	eve.login(s.token("eve", "inbox", "other"), "")

	one := s.raiseOf("imei1", "sos")
	first := p.want("imei1 sos unhandled")
	if first.AlarmId != one || first.Severity != "major" || first.Rev != 1 || first.Cursor == "" {
		t.Errorf("the notice %v", first)
	}
	s.want(s.request("GET", "/v1/alarms/"+url.PathEscape(first.AlarmId), ann, ""), 200)
	s.ack(one, s.root())
	s.clearOf("imei1", "sos")
	s.want(s.request("POST", "/v1/notices", s.root(), `{"to":{"users":["ann"]},"title":"no alarm"}`), 202)
	two := s.raiseOf("imei2", "sos")
	s.clearOf("imei2", "sos")
	s.ack(two, s.root())
	s.raiseOf("imei2", "fall")
	s.putDevice("imei2", `["other"]`)
	told := []string{"imei1 sos handled", "imei1 sos cleared", "imei2 sos unhandled", "imei2 sos unhandled", "imei2 sos handled", "imei2 fall unhandled", "imei2 fall removed"}
	p.want(told...)
	eve.want("imei2 fall unhandled")

	// From the cursor of the first notice all that followed it can be had again.
	again := connectPush(t, s.url())
	if r := again.login(ann, first.Cursor); r.Reason != "" {
		t.Errorf("the reply %v", r)
	}
	again.want(told...)

	if a := s.want(s.request("GET", "/v1/connections?user=ann", s.root(), ""), 200); strings.Count(a.body, `"alarm-push"`) != 2 {
		t.Errorf("the connections: %s", a.body)
	}
}

func TestAlarmPushRepairsAGapWithEverythingUnhandled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.putDevice("imei1", `["fleet"]`)
	ann := s.token("ann", "inbox", "fleet")
	s.raiseOf("imei1", "open")
	s.raiseOf("imei1", "over")
	s.clearOf("imei1", "over")
	s.ack(s.raiseOf("imei1", "acked"), s.root())
	s.ack(s.raiseOf("imei1", "done"), s.root())
	s.clearOf("imei1", "done")
	for i, cursor := range []string{"garbage", strings.Repeat("é", 1000), "x.1.y"} {
		p := connectPush(t, s.url())
		r := p.login(ann, cursor)
		if want := []string{"epoch", "epoch", "membership"}[i]; r.Reason != want || r.Cursor == "" {
			t.Errorf("%.10s: the reply %v", cursor, r)
		}
		p.want("imei1 open unhandled", "imei1 over unhandled")
		// Nothing else, and then what is new.
		typ := fmt.Sprint("new", i)
		id := s.raiseOf("imei1", typ)
		p.want("imei1 " + typ + " unhandled")
		s.ack(id, s.root())
		p.want("imei1 " + typ + " handled")
		s.clearOf("imei1", typ)
		p.want("imei1 " + typ + " cleared")

		// Who went before he had it all has it again.
		again := connectPush(t, s.url())
		again.login(ann, r.Cursor)
		again.want("imei1 open unhandled", "imei1 over unhandled")
	}
	// The token's groups are others now: a gap, too, also in the middle.
	p := connectPush(t, s.url())
	at := p.login(ann, "").Cursor
	p.login(s.token("ann", "inbox", "fleet", "more"), "")
	if r := p.reply(); r.Reason != "membership" || !r.Ok {
		t.Errorf("the reply %v", r)
	}
	p.want("imei1 open unhandled", "imei1 over unhandled")
	if at == "" {
		t.Error("no cursor")
	}
}

func TestAlarmPushDropsWhoIsNotLoggedIn(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--auth-timeout", "500ms", "--allowed-origins", "https://noc.example.com")
	ann := s.token("ann", "inbox")
	for name, c := range map[string]struct {
		token string
		code  int
	}{
		"no token":  {"", 4401},
		"garbage":   {"garbage", 4401},
		"no scope":  {s.token("ann", "publish"), 4403},
		"signature": {ann + "x", 4401},
	} {
		p := connectPush(t, s.url())
		p.say(loginFrame(c.token, ""))
		if r := p.reply(); r.Ok || r.Reason == "" {
			t.Errorf("%s: the reply %v", name, r)
		}
		p.closed(c.code)
	}

	// No login at all, and none in time.
	p := connectPush(t, s.url())
	p.say(&pb.Frame{})
	if r := p.reply(); r.Ok {
		t.Errorf("the reply %v", r)
	}
	p.closed(4401)
	p = connectPush(t, s.url())
	p.say(&pb.Frame{Kind: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{}}})
	if r := p.reply(); r.Ok {
		t.Errorf("the reply %v", r)
	}
	p.closed(4408)

	// A token whose time is over, or that is taken back.
	p = connectPush(t, s.url())
	p.login(ann, "")
	s.want(s.request("POST", "/v1/revocations", s.root(), `{"sub":"ann"}`), 204)
	if r := p.reply(); r.Ok || r.Reason != "revoked" {
		t.Errorf("the reply %v", r)
	}
	p.closed(4401)

	// Another user's token in the middle.
	p = connectPush(t, s.url())
	p.login(s.token("bob", "inbox"), "")
	p.say(loginFrame(s.token("eve", "inbox"), ""))
	if r := p.reply(); r.Ok {
		t.Errorf("the reply %v", r)
	}
	p.closed(4403)

	// What is no frame of a client's.
	for name, c := range map[string]struct {
		kind int
		text []byte
		code int
	}{
		"text":        {websocket.TextMessage, []byte("{}"), 1003},
		"no protobuf": {websocket.BinaryMessage, []byte{0xff, 0xff, 0xff}, 1007},
		"cut":         {websocket.BinaryMessage, []byte{0x0a, 0x7f, 0x0a}, 1007},
		"no UTF-8":    {websocket.BinaryMessage, []byte{0x0a, 0x03, 0x0a, 0x01, 0xff}, 1007},
		"a notice":    {websocket.BinaryMessage, []byte{0x1a, 0x00}, 1008},
		"too large":   {websocket.BinaryMessage, make([]byte, 64<<10+1), 4413},
	} {
		p := connectPush(t, s.url())
		p.login(s.token("bob", "inbox"), "")
		if err := p.WriteMessage(c.kind, c.text); err != nil {
			t.Fatal(err)
		}
		t.Log("closing for", name)
		p.closed(c.code)
	}

	// Pages of other origins.
	h := func(origin string) http.Header { return http.Header{"Origin": {origin}} }
	if _, _, err := dialPush(t, s.url(), "/ws/alarm", h("https://noc.example.com")); err != nil {
		t.Error(err)
	}
	if _, resp, err := dialPush(t, s.url(), "/ws/alarm", h("https://evil.example.com")); err == nil || resp.StatusCode != 403 {
		t.Errorf("of another origin: %v", err)
	}
	preflight := func(origin string) answer {
		return s.request("OPTIONS", "/ws/alarm", "", "", "Origin", origin, "Access-Control-Request-Method", "GET")
	}
	if a := s.want(preflight("https://noc.example.com"), 204); a.header.Get("Access-Control-Allow-Origin") != "https://noc.example.com" {
		t.Errorf("the preflight: %v", a.header)
	}
	s.want(preflight("https://evil.example.com"), 403)
}

func TestAlarmPushHeartbeats(t *testing.T) {
	s := newServer(t, "--ping-interval", "1s")
	p := connectPush(t, s.url())
	p.login(s.token("ann", "inbox"), "")
	beat := &pb.Frame{Kind: &pb.Frame_Heartbeat{Heartbeat: &pb.Heartbeat{UnixMs: 1}}}
	began := time.Now()
	for range 3 { // both answer each of the other's, and do not go round in circles
		_, b, err := p.ReadMessage()
		f := &pb.Frame{}
		if err != nil || proto.Unmarshal(b, f) != nil || f.GetHeartbeat().GetUnixMs() < began.UnixMilli() {
			t.Fatalf("no heartbeat: %v, %v", f, err)
		}
		p.say(beat)
	}
	if took := time.Since(began); took < 1500*time.Millisecond {
		t.Errorf("three heartbeats within %v", took)
	}
}
