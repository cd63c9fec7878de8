package stomp_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/stomp"
)

func TestTheBestVersionThatBothSpeak(t *testing.T) {
	w := newWorld(t, settings{})
	token := w.token(auth.Issue{User: "ada"})
	for accepts, want := range map[string]string{
		"":                              "1.0",
		"\naccept-version:1.0,1.1,1.2":  "1.2",
		"\naccept-version:1.1, 1.0":     "1.1",
		"\naccept-version:1.0":          "1.0",
		"\naccept-version:0.9,1.2,17.4": "1.2",
	} {
		for _, command := range []string{"CONNECT", "STOMP"} {
			c := w.dial(nil)
			c.say(command + accepts + "\nlogin:ada\npasscode:" + token + "\n\n\x00")
			f := c.want("CONNECTED")
			if f.header["version"] != want || f.header["user-name"] != "ada" || f.header["session"] != "session-of-ada" || f.header["heart-beat"] != "10000,20000" {
				t.Errorf("%s %q: %+v", command, accepts, f)
			}
		}
	}
	c := w.dial(nil)
	c.say("CONNECT\naccept-version:2.0\npasscode:" + token + "\n\n\x00")
	if f := c.wantError("versions", stomp.CodeProtocol); f.header["version"] != "1.0,1.1,1.2" {
		t.Errorf("%+v", f)
	}
}

func TestTheTokenComesInManyWays(t *testing.T) {
	w := newWorld(t, settings{})
	ada, bob := w.token(auth.Issue{User: "ada"}), w.token(auth.Issue{User: "bob"})
	for name, c := range map[string]struct {
		handshake, headers, user string
	}{
		"passcode":                    {"", "login:x\npasscode:" + ada, "ada"},
		"login":                       {"", "login:" + ada + "\npasscode:", "ada"},
		"login, with a passcode":      {"", "login:" + ada + "\npasscode:guest", "ada"},
		"bearer":                      {"", "Authorization:Bearer " + ada, "ada"},
		"bearer, small":               {"", "authorization:bearer " + ada, "ada"},
		"header alone":                {"", "Authorization:" + ada, "ada"},
		"access_token":                {"", "access_token:" + ada, "ada"},
		"header before login":         {"", "login:guest\npasscode:guest\nAuthorization:Bearer " + ada, "ada"},
		"handshake":                   {bob, "host:/", "bob"},
		"handshake and a dummy":       {bob, "login:guest\npasscode:guest", "bob"},
		"what is said comes first":    {bob, "passcode:" + ada, "ada"},
		"the header before handshake": {bob, "Authorization:Bearer " + ada, "ada"},
	} {
		h := http.Header{}
		if c.handshake != "" {
			h.Set("Authorization", "Bearer "+c.handshake)
		}
		one := w.dial(h)
		one.say("CONNECT\naccept-version:1.2\n" + c.headers + "\n\n\x00")
		if f := one.want("CONNECTED"); f.header["user-name"] != c.user {
			t.Errorf("%s: %+v", name, f)
		}
	}
	expired, err := auth.Sign(secret, auth.Issue{User: "ada", TTL: time.Hour}, time.Now().Add(-2*time.Hour))
	w.must(err)
	for name, headers := range map[string]string{
		"none": "host:/", "dummies": "login:guest\npasscode:guest", "bad": "Authorization:Bearer a.b.c", "a bad one beside a good one": "Authorization:nonsense\npasscode:" + ada,
		"expired": "passcode:" + expired,
	} {
		c := w.dial(nil)
		c.say("CONNECT\naccept-version:1.2\nreceipt:no\n" + headers + "\n\n\x00")
		f := c.wantError("Say who you are", stomp.CodeUnauthenticated)
		if f.header["content-type"] != "application/json" || f.body != `{"status":500}` || f.header["receipt-id"] != "no" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestWhatIsNoProtocolEndsWithAnError(t *testing.T) {
	w := newWorld(t, settings{change: func(o *stomp.Options) { o.AuthTimeout = 200 * time.Millisecond }})
	for message, frames := range map[string]string{
		"CONNECT comes first": "SUBSCRIBE\nid:0\ndestination:/user/queue/inbox\n\n\x00",
		"heart-beat":          "CONNECT\naccept-version:1.2\nheart-beat:often\n\n\x00",
		"no colon":            "CONNECT\nnonsense\n\n\x00",
		"content-length":      "CONNECT\ncontent-length:x\n\n\x00",
		"65536":               "CONNECT\ncontent-length:100000\n\n\x00",
	} {
		c := w.dial(nil)
		c.say(frames)
		if f := c.wantError(message, stomp.CodeProtocol); f.body == "" || f.header["content-type"] != "text/plain" {
			t.Errorf("%s: %+v", message, f)
		}
	}
	w.dial(nil).wantError("no CONNECT in time", stomp.CodeNoAuth)

	for message, frames := range map[string]string{
		"is no command":          "DANCE\n\n\x00",
		"connected already":      "CONNECT\naccept-version:1.2\n\n\x00",
		"no transactions":        "BEGIN\ntransaction:1\n\n\x00",
		"transactions":           "COMMIT\ntransaction:1\n\n\x00",
		"transactions here":      "ABORT\ntransaction:1\n\n\x00",
		"no transactions here":   "SEND\ndestination:/topic/a\ntransaction:1\n\nx\x00",
		"escape sequence":        "SEND\ndestination:/topic/\\t\n\nx\x00",
		"as destination":         "SEND\ndestination:/queue/a\n\nx\x00",
		"/chat/<name> as":        "SEND\ndestination:/topic/\n\nx\x00",
		"<name> as destination":  "SUBSCRIBE\nid:1\ndestination:/user/queue/other\n\n\x00",
		"want the id":            "SUBSCRIBE\ndestination:/topic/a\n\n\x00",
		"at most 256 bytes":      "SUBSCRIBE\nid:" + strings.Repeat("x", 257) + "\ndestination:/topic/a\n\n\x00",
		"ack is auto":            "SUBSCRIBE\nid:1\nack:sometimes\ndestination:/topic/a\n\n\x00",
		"with this id":           "SUBSCRIBE\nid:1\ndestination:/topic/a\n\n\x00SUBSCRIBE\nid:1\ndestination:/topic/b\n\n\x00",
		"already":                "SUBSCRIBE\nid:1\ndestination:/user/queue/inbox\n\n\x00SUBSCRIBE\nid:2\ndestination:/user/queue/inbox\n\n\x00",
		"snapshot is active":     "SUBSCRIBE\nid:1\nsnapshot:all\ndestination:/user/queue/inbox\n\n\x00",
		"no subscription with":   "UNSUBSCRIBE\nid:1\n\n\x00",
		"want the header id":     "ACK\nmessage-id:1\n\n\x00",
		"the header id":          "NACK\n\n\x00",
		"NUL where its":          "SEND\ndestination:/topic/a\ncontent-length:1\n\nab\x00",
		"at most 64":             strings.Repeat("SUBSCRIBE\nid:%d\ndestination:/topic/a\n\n\x00", 65),
		"another user's":         "SUBSCRIBE\nid:1\ndestination:/chat/single/bob\n\n\x00",
		"destination is another": "SUBSCRIBE\nid:1\ndestination:/topic/chat/single/bob\n\n\x00",
	} {
		if strings.Contains(frames, "%d") {
			for i := range 65 {
				frames = strings.Replace(frames, "%d", fmt.Sprint(i), 1)
			}
		}
		code := stomp.CodeProtocol
		if strings.Contains(message, "another") {
			code = stomp.CodeForbidden
		}
		c := w.enter("ada")
		c.say(frames)
		c.wantError(message, code)
	}
}

func TestWhatIsCutAndWhatIsBinaryIsReadAsOneStream(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.dial(nil)
	stream := "\n\nCONNECT\naccept-version:1.2\npasscode:" + w.token(auth.Issue{User: "ada"}) + "\n\n\x00\n" +
		"SUBSCRIBE\nid:a\ndestination:/topic/ü\nreceipt:1\n\n\x00SEND\ndestination:/topic/ü\nreceipt:2\n\nhällo\x00\n\n"
	for i := range len(stream) {
		if err := c.WriteMessage(websocket.BinaryMessage, []byte(stream[i:i+1])); err != nil {
			t.Fatal(err)
		}
	}
	c.want("CONNECTED")
	c.receipt("1")
	got := map[string]frame{}
	for range 2 {
		f := c.next()
		got[f.command] = f
	}
	if m := got["MESSAGE"]; m.body != "hällo" || m.header["destination"] != "/topic/ü" || got["RECEIPT"].header["receipt-id"] != "2" {
		t.Errorf("%+v", got)
	}
}

func TestHeartBeatsGoBothWays(t *testing.T) {
	w := newWorld(t, settings{change: func(o *stomp.Options) { o.Beat = 40 * time.Millisecond }})
	c := w.enter("ada", "heart-beat:1,1")
	began := time.Now()
	for n := range 5 { // before the client is missed, which has said nothing
		if f := c.next(); f.command != "" {
			t.Fatalf("%+v after %d beats", f, n)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("five beats of 40 ms took %v", took)
	}
	// It lives as long as it beats: five times what a silent one may take.
	for range 80 {
		c.say("\n")
		if f := c.next(); f.command != "" {
			t.Fatalf("%+v", f)
		}
	}
	c.wantError("no heart-beat in time", stomp.CodeGoingAway)

	silent := w.enter("ada", "heart-beat:0,0")
	other := w.enter("ada", "heart-beat:0,20")
	for range 30 { // twice the time that is too long for who has promised beats
		if f := other.next(); f.command != "" {
			t.Fatalf("%+v", f)
		}
	}
	silent.send("DISCONNECT", "receipt:bye")
	if f := silent.next(); f.command != "RECEIPT" {
		t.Errorf("to one who wants no beats came %+v", f)
	}
}

func TestDisconnectIsReceipted(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.say("SUBSCRIBE\nid:0\ndestination:/topic/a\n\n\x00SEND\ndestination:/topic/a\nreceipt:1\n\nx\x00DISCONNECT\nreceipt:2\n\n\x00SEND\ndestination:/topic/a\nreceipt:3\n\ny\x00")
	var last frame
	for last.header["receipt-id"] != "2" {
		last = c.next()
	}
	c.wantClose(stomp.CodeNormal)
	if got := wait(t, "the end", w.ended); fmt.Sprint(got) != "closed: bye" {
		t.Errorf("it ended with %v", got)
	}
}

func TestTheServersEndIsTold(t *testing.T) {
	for reason, want := range map[transports.Reason]struct {
		code    int
		message string
	}{
		transports.Drain:      {stomp.CodeGoingAway, ""},
		transports.Revoked:    {stomp.CodeUnauthenticated, "taken back"},
		transports.Superseded: {stomp.CodeSuperseded, "the oldest"},
	} {
		for _, delivers := range []bool{false, true} {
			w := newWorld(t, settings{})
			c := w.enter("ada")
			if delivers {
				c.done("SUBSCRIBE", "id:0", "destination:/user/queue/inbox")
			}
			w.end(reason)
			if want.message == "" {
				c.wantClose(want.code)
			} else {
				c.wantError(want.message, want.code)
			}
			if got := wait(t, "the end", w.ended); got != reason {
				t.Errorf("it ended with %v", got)
			}
		}
	}
}

func TestATokenEnds(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.dial(nil)
	c.say("CONNECT\naccept-version:1.2\npasscode:" + w.token(auth.Issue{User: "ada", TTL: time.Second}) + "\n\n\x00")
	c.wantError("expired", stomp.CodeUnauthenticated)
}
