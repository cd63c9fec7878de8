package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"
)

// malformedText is what no client of a protocol of texts sends.
var malformedText = []string{
	"", " ", "\x00", "x", "null", "5", "[]", "{}", `"auth"`, "{", `{"op":5}`, `{"op":{"op":{}}}`, `{"op":"auth","token":[1]}`, `{"op":"subscribe","channel":5}`,
	`{"receiverId":{},"message":[]}`, `{"receiverId":"a"}`, `{"receiverId":"` + strings.Repeat("a", 500) + `","message":"x"}`, `{"op":"\ud800"}`,
	strings.Repeat("[", 60_000), strings.Repeat(`{"a":`, 10_000), `{"op":"auth","token":"` + strings.Repeat("x", 60_000) + `"}`,
	strings.Repeat("x", 64<<10+1), "SEND\n\n\x00", "SEND\ndestination:\n\n\x00", "CONNECT\n\n\x00", "BEGIN\ntransaction:1\n\n\x00", "ACK\nid:\\x\n\n\x00",
	"SUBSCRIBE\nid:1\n\n\x00", "SUBSCRIBE\ndestination:/user/queue/inbox\n\n\x00", "MESSAGE\n\n\x00", "SEND\ncontent-length:-1\n\n\x00", "SEND\ncontent-length:99999999999999999999\n\nx\x00",
	strings.Repeat("a:b\n", 10_000), strings.Repeat("\n", 60_000), "SEND\n" + strings.Repeat("h:v\n", 5000) + "\n\x00",
	`["x"]`, `["CONNECT\n\n\u0000"]`, `["\ud800"]`, `[` + strings.Repeat(`"",`, 10_000) + `""]`,
}

// malformedBinary is what no client sends in a binary message.
var malformedBinary = []string{
	"", "\x00", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x0a\xff\xff\xff\xff\x0f", "\x0a\x03\x0a\x01\xff", "\x1a\x00", "\x12\x02\x08\x01", "\x22\x01\x08",
	strings.Repeat("\x0b", 60_000), "\x0a\x05\x0a\x03abc\x0a\x05\x0a\x03def", strings.Repeat("\xff", 64<<10+1), "{}", "--",
}

// Where malformed messages go to, and the close codes that docs/compat has for them;
// enter says what a client says before them that is in.
var malformedDoors = []struct {
	name, path, subprotocol string
	enter                   string
	binary                  bool // enter is
	codes                   []int
}{
	{"alarm push", "/ws/alarm", "", "LOGIN", true, []int{1003, 1007, 1008, 4401, 4413}},
	{"operations", "/message-center", "", `{"op":"auth","token":"<token>"}`, false, []int{1003, 1007, 4401, 4413, 4429}},
	{"publishers' socket", "/v1/mesh/ws", "", "", false, []int{1003, 1007, 4413, 4429}},
	{"app push", "/push/<token>", "", "--", false, []int{1003, 1007, 4413}},
	{"notices", "/notice/ws/socket?SESSION_TOKEN_KEY=<token>", "", "", false, []int{1003, 1007, 4413, 4429}},
	{"stomp", "/stomp", "v12.stomp", "CONNECT\naccept-version:1.2\npasscode:<token>\n\n\x00", false, []int{1002, 1003, 1007, 4401, 4403, 4413, 4429}},
	{"sockjs", "/endpoint-websocket/000/<session>/websocket", "", `["CONNECT\naccept-version:1.2\npasscode:<token>\n\n\u0000"]`, false, []int{1000, 1002, 1003, 1007, 4401, 4403, 4413, 4429}},
	{"sockjs raw", "/endpoint-websocket/websocket", "", "", false, []int{1002, 1003, 1007, 4401, 4403, 4413, 4429}},
}

// Malformed messages of every kind at the doors of all five, from hundreds of
// connections at once: each is answered, passed over or ends its own connection with a
// code of docs/compat. The server does not panic and does not grow, and one client
// of each protocol, connected throughout, has every alarm.
func TestMalformedMessagesDisturbNobody(t *testing.T) {
	t.Parallel()
	s := newServer(t, "--fold", "0", "--auth-timeout", "2s", "--connections-per-user", "1000", "--write-timeout", "30s", "--compat-publish-from", "127.0.0.0/8")
	s.putDevice("d", `["crew"]`)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer func() { cancel(); running.Wait() }()
	var witnesses []*member
	w := &words{all: map[string]string{}}
	for _, d := range fiveDialects {
		m := &member{dialect: d, base: s.url(), user: "witness", token: s.token("witness", "inbox", "crew"), words: w, had: map[string]string{}}
		if err := m.connect(ctx); err != nil {
			t.Fatal(err)
		}
		witnesses = append(witnesses, m)
		running.Go(func() { m.run(ctx) }) // ends with the context
	}
	s.subscribed(witnesses)
	var sizes []int
	for round := range 3 {
		var sending sync.WaitGroup
		for i := range malformedDoors {
			for part := range 8 {
				sending.Go(func() { malform(ctx, t, s, i, uint64(100*round+part)) })
			}
		}
		for n := range 20 {
			s.raiseOf("d", fmt.Sprint("t", round, "-", n))
		}
		sending.Wait()
		sizes = append(sizes, s.resident())
	}
	reference := s.shownTo("witness", "crew")
	settleMembers(t, witnesses, map[string][]shown{"witness": reference}, nil)
	cancel()
	running.Wait()
	for _, m := range witnesses {
		if err := m.check(reference, nil); err != nil {
			t.Error(err)
		}
	}
	if log := s.log.String(); len(reference) != 60 || strings.Contains(log, "panic") {
		t.Errorf("%d entries; %s", len(reference), log)
	}
	// What the first round took may be kept for the next one.
	if last := sizes[len(sizes)-1]; last > sizes[0]+32<<20 {
		t.Errorf("the server has grown: %v", sizes)
	}
}

// malform says all that is malformed to a door, on a new connection whenever that
// ends one, half of the times as one who is in.
func malform(ctx context.Context, t *testing.T, s *server, door int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, uint64(door)))
	type message struct {
		kind int
		text []byte
	}
	var all []message
	for _, text := range malformedText {
		all = append(all, message{websocket.TextMessage, []byte(text)})
	}
	for _, text := range malformedBinary {
		all = append(all, message{websocket.BinaryMessage, []byte(text)})
	}
	for range 20 {
		text := make([]byte, rng.IntN(200))
		for i := range text {
			text[i] = byte(rng.Uint32())
		}
		all = append(all, message{1 + rng.IntN(2), text})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for n := 0; len(all) > 0 && ctx.Err() == nil; n++ {
		conn, ended := openMalformed(ctx, t, s, door, fmt.Sprint(seed, "-", n), rng.IntN(2) == 0)
		if conn == nil {
			return
		}
	saying:
		for len(all) > 0 {
			select {
			case <-ended:
				break saying
			default:
			}
			if err := conn.WriteMessage(all[0].kind, all[0].text); err != nil {
				break
			}
			all = all[1:]
			pause(ctx, time.Millisecond) // for the answer
		}
		if len(all) == 0 {
			_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
		}
		<-ended
		_ = conn.Close()
	}
}

// openMalformed connects; ended is closed when the connection is over, whose close code
// has been looked at.
func openMalformed(ctx context.Context, t *testing.T, s *server, door int, session string, in bool) (*websocket.Conn, <-chan struct{}) {
	d := malformedDoors[door]
	token := s.token("hostile", "inbox publish", "other")
	fill := strings.NewReplacer("<token>", token, "<session>", fmt.Sprint(door, "-", session))
	dialer := websocket.Dialer{}
	if d.subprotocol != "" {
		dialer.Subprotocols = []string{d.subprotocol}
	}
	conn, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(s.url(), "http")+fill.Replace(d.path), http.Header{})
	if err != nil {
		t.Errorf("%s: %v", d.name, err)
		return nil, nil
	}
	kind, text := websocket.TextMessage, []byte(fill.Replace(d.enter))
	if d.binary {
		kind = websocket.BinaryMessage
		text, _ = proto.Marshal(loginFrame(token, ""))
	}
	if in && d.enter != "" {
		_ = conn.WriteMessage(kind, text) // that it is over shows when it is read
	}
	ended := make(chan struct{})
	go func() { // ends with the connection
		defer close(ended)
		for {
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			if _, _, err := conn.ReadMessage(); err != nil {
				var end *websocket.CloseError
				cut := errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "reset by peer")
				if !errors.As(err, &end) && !cut || end != nil && end.Code != 1000 && end.Code != 1006 && end.Code != 4408 && !slices.Contains(d.codes, end.Code) {
					t.Errorf("%s: %v", d.name, err)
				}
				return
			}
		}
	}()
	return conn, ended
}
