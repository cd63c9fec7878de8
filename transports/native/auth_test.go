package native_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/auth"
	"tocsin/transports"
	"tocsin/transports/native"
)

func TestAuthByMessage(t *testing.T) {
	w := newWorld(t, settings{})
	w.raise("d1", "before")
	c := w.enter("ada", `,"ref":"a"`)
	var hello, ok frame
	for hello.Op == "" || ok.Op == "" {
		if f := c.next(); f.Op == "hello" {
			hello = f
		} else {
			ok = f
		}
	}
	if ok.Op != "ok" || ok.Ref != "a" {
		t.Errorf("the answer %s", ok.text)
	}
	if hello.V != 1 || hello.Resumed || hello.Ping != 20 || hello.Cursor == "" || *hello.Unread != 1 || hello.Active["major"] != 1 {
		t.Errorf("the hello %s", hello.text)
	}
	w.raise("d1", "after")
	f := c.want("entries")
	if len(f.Entries) != 1 || f.Entries[0].Alarm.Type != "after" || f.Cursor == "" || *f.Unread != 2 || f.Active["major"] != 2 {
		t.Errorf("the entries %s", f.text)
	}
	if c.Subprotocol() != "" {
		t.Errorf("the subprotocol %q", c.Subprotocol())
	}
}

func TestAuthByHandshake(t *testing.T) {
	w := newWorld(t, settings{})
	w.raise("d1", "before")
	token := w.token(auth.Issue{User: "ada"})
	c := w.dial(token)
	// Commands need no start.
	c.say(`{"op":"read","ref":"r","upto":"latest"}`, `{"op":"start","snapshot":"active"}`)
	if f := c.answer("r"); f.Op != "ok" || *f.Unread != 0 {
		t.Errorf("the answer %s", f.text)
	}
	c.want("hello")
	c.wantTypes("before")
	c.say(`{"op":"start","ref":2}`)
	if f := c.want("error"); f.Ref != 2.0 || f.Problem.Status != 400 {
		t.Errorf("a second start: %s", f.text)
	}

	// In the URL, and with the subprotocol.
	d := websocket.Dialer{Subprotocols: []string{"tocsin.v1.json"}}
	conn, _, err := d.Dial("ws://"+w.url+"?access_token="+token, nil)
	if err != nil || conn.Subprotocol() != "tocsin.v1.json" {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, resp, err := d.Dial("ws://"+w.url, http.Header{"Authorization": {"Bearer x.y.z"}}); err == nil || resp.StatusCode != 401 {
		t.Errorf("a bad token in the handshake: %+v, %v", resp, err)
	}
}

func TestWhoIsNotLetIn(t *testing.T) {
	w := newWorld(t, settings{})
	expired, err := auth.Sign(secret, auth.Issue{User: "ada", TTL: time.Second}, time.Now().Add(-time.Hour))
	w.must(err)
	tests := map[string]struct {
		say    []string
		code   int
		status int // of the problem before it; 0: none
	}{
		"a command first":      {[]string{`{"op":"read","ref":1,"upto":"latest"}`}, 4401, 0},
		"a publish first":      {[]string{`{"op":"publish","alarms":[]}`}, 4401, 0},
		"start without a name": {[]string{`{"op":"start"}`}, 4401, 0},
		"no token":             {[]string{`{"op":"auth","ref":"x"}`}, 4401, 401},
		"a bad token":          {[]string{`{"op":"auth","ref":"x","token":"x.y.z"}`}, 4401, 401},
		"an expired token":     {[]string{`{"op":"auth","ref":"x","token":"` + expired + `"}`}, 4401, 401},
		"the wrong scope":      {[]string{`{"op":"auth","ref":"x","token":"` + w.token(auth.Issue{User: "ada", Scope: "publish"}) + `"}`}, 4403, 403},
		"only the first":       {[]string{`{"op":"pong"}`, `{"op":"what"}`, `{"op":"auth","ref":"x","token":"-"}`, `{"op":"auth","token":"` + w.token(auth.Issue{User: "ada"}) + `"}`}, 4401, 401},
	}
	for name, test := range tests {
		c := w.dial("")
		c.say(test.say...)
		frames := c.wantClose(test.code)
		switch {
		case test.status == 0 && len(frames) > 0:
			t.Errorf("%s: %v came", name, frames)
		case test.status != 0 && (len(frames) != 1 || frames[0].Op != "error" || frames[0].Ref != "x" || frames[0].Problem.Status != test.status):
			t.Errorf("%s: %v came", name, frames)
		}
	}
}

func TestKeysUnavailable(t *testing.T) {
	w := newWorld(t, settings{options: native.Options{
		Authenticate: func(context.Context, string) (transports.Identity, error) {
			return transports.Identity{}, fmt.Errorf("verify: %w", auth.ErrUnavailable)
		}}})
	c := w.dial("")
	c.say(`{"op":"auth","token":"x"}`)
	if f := c.want("error"); f.Problem.Status != 503 {
		t.Errorf("the error %s", f.text)
	}
	c.wantBye("unavailable", 4011)
}

func TestNoAuthInTime(t *testing.T) {
	w := newWorld(t, settings{options: native.Options{DialogueOptions: transports.DialogueOptions{AuthTimeout: 50 * time.Millisecond}}})
	silent, named := w.dial(""), w.dial(w.token(auth.Issue{User: "ada"}))
	named.say(`{"op":"pong"}`, `{"op":"read","upto":"latest"}`)
	silent.wantClose(4408)
	named.wantClose(4408)
	began := w.enter("ada", "")
	began.want("hello")
	if err := wait(t, "the end", w.ended); err == nil {
		t.Error("it ended without a reason")
	}
}

func TestFramesBackToBack(t *testing.T) {
	w := newWorld(t, settings{})
	one := w.raise("d1", "one")
	conn, err := net.Dial("tcp", w.url)
	w.must(err)
	d := websocket.Dialer{NetDial: func(string, string) (net.Conn, error) { return conn, nil }}
	c, _, err := d.Dial("ws://"+w.url, nil)
	w.must(err)
	defer c.Close()
	_ = c.SetReadDeadline(time.Now().Add(patience))
	// All in one segment.
	var segment []byte
	for _, text := range []string{
		`{"op":"auth","ref":0,"token":"` + w.token(auth.Issue{User: "ada", Scope: "inbox publish"}) + `","snapshot":"active"}`,
		`{"op":"publish","ref":1,"alarms":[{"device":"d1","type":"two","severity":"minor"}]}`,
		`{"op":"ack","ref":2,"alarm":"` + one.ID + `"}`,
		`{"op":"read","ref":3,"upto":"latest"}`,
	} {
		segment = append(segment, 0x81, 0x80|126, byte(len(text)>>8), byte(len(text)), 0, 0, 0, 0)
		segment = append(segment, text...)
	}
	_, err = conn.Write(segment)
	w.must(err)
	client := &client{t, c}
	var refs []any
	seen := map[string]bool{}
	for len(refs) < 4 || !seen["one alarm.acked"] || !seen["two alarm.raised"] {
		f := client.next()
		if f.Op == "ok" {
			refs = append(refs, f.Ref)
		} else if f.Op == "error" {
			t.Fatalf("the error %s", f.text)
		}
		for _, e := range f.Entries {
			seen[e.Alarm.Type+" "+e.Type] = true
		}
	}
	if !slices.Equal(refs, []any{0.0, 1.0, 2.0, 3.0}) {
		t.Errorf("the answers came as %v", refs)
	}
}

func TestTokenIsRenewedInPlace(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.dial("")
	short := w.token(auth.Issue{User: "ada", TTL: 2 * time.Second})
	c.say(`{"op":"auth","token":"`+short+`"}`, `{"op":"auth","ref":"new","token":"`+w.token(auth.Issue{User: "ada"})+`"}`)
	if f := c.answer("new"); f.Op != "ok" {
		t.Fatalf("the answer %s", f.text)
	}
	// One whose time is over meanwhile shows that it would have been.
	over := w.dial("")
	over.say(`{"op":"auth","token":"` + short + `"}`)
	over.wantBye("expired", 4401)
	w.raise("d1", "after")
	c.wantTypes("after")

	// A bad one changes nothing, as long as there are not too many.
	for range 9 {
		c.say(`{"op":"auth","ref":"bad","token":"x.y.z"}`)
		if f := c.answer("bad"); f.Op != "error" || f.Problem.Status != 401 {
			t.Fatalf("the answer %s", f.text)
		}
	}
	w.raise("d1", "later")
	c.wantTypes("later")
	c.say(`{"op":"auth","ref":"bad","token":"x.y.z"}`)
	c.wantClose(4429)

	c = w.enter("ada", "")
	c.want("hello")
	c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "bob"}) + `"}`)
	c.wantClose(4403)

	// Also shorter than before.
	c = w.enter("ada", "")
	c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "ada", TTL: time.Second}) + `"}`)
	c.wantBye("expired", 4401)
}

func TestRenewedTokenBringsOtherGroups(t *testing.T) {
	w := newWorld(t, settings{})
	w.must(w.dir.PutDevice(t.Context(), "d2", []string{"night"}))
	w.raise("d1", "day-one")
	w.raise("d2", "night-one")
	renew := func(c *client, ref string, groups ...string) {
		c.say(`{"op":"auth","ref":"` + ref + `","token":"` + w.token(auth.Issue{User: "ada", Groups: groups}) + `"}`)
	}
	c := w.enter("ada", "")
	c.want("hello")
	renew(c, "join", "night")
	var joined, told []string // its ok may come before what it brings, or after
	for len(joined) == 0 || len(told) < 4 {
		f := c.next()
		switch {
		case f.Ref == "join":
			joined = append(joined, f.Op)
		case f.Op == "gap":
			told = append(told, f.Gap.Reason, f.Gap.Repair)
		}
		for _, e := range f.Entries {
			told = append(told, e.Alarm.Type)
		}
	}
	if !slices.Equal(joined, []string{"ok"}) || !slices.Equal(told, []string{"membership", "snapshot", "day-one", "night-one"}) {
		t.Fatalf("the answer %v, the gap and the entries %v", joined, told)
	}

	// Groups that the directory gives anyway change nothing but the token, and
	// nothing is lost or repeated on the way.
	for range 20 {
		renew(c, "same", "crew", "night")
		w.raise("d2", fmt.Sprint("n", time.Now().UnixNano()))
		renew(c, "same", "night")
	}
	types, _ := c.types(20)
	if !slices.IsSorted(types) || len(slices.Compact(slices.Clone(types))) != 20 {
		t.Errorf("the entries %v", types)
	}
	renew(c, "leave")
	for f := c.next(); f.Op != "gap"; f = c.next() {
		if f.Op == "hello" || f.Op == "entries" {
			t.Fatalf("the frame %s", f.text)
		}
	}
	c.wantTypes("day-one")
	w.raise("d2", "night-two")
	w.raise("d1", "day-two")
	c.wantTypes("day-two")
}

func TestExpiryBeforeTheStart(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.dial(w.token(auth.Issue{User: "ada", TTL: time.Second}))
	c.wantBye("expired", 4401)
	if err := wait(t, "the end", w.ended); !errors.Is(err, transports.Expired) {
		t.Errorf("it ended with %v", err)
	}
}

func TestTheHostHearsOfEachTokenAndMayEndIt(t *testing.T) {
	w := newWorld(t, settings{})
	var mu sync.Mutex
	var events []string
	var talk *transports.Dialogue
	w.known = func(c *transports.Dialogue, id transports.Identity) {
		mu.Lock()
		defer mu.Unlock()
		events = append(events, id.Proof.(*auth.Identity).User+"/"+strings.Join(id.Groups, " "))
		talk = c
		if id.User == "bob" {
			c.End(transports.Revoked)
		}
	}
	c := w.enter("ada", "")
	c.want("hello")
	c.say(`{"op":"auth","ref":"r","token":"` + w.token(auth.Issue{User: "ada", Groups: []string{"g"}}) + `"}`)
	c.answer("r")
	mu.Lock()
	talk.End(transports.Superseded)
	if want := []string{"ada/", "ada/g"}; !slices.Equal(events, want) {
		t.Errorf("%v, want %v", events, want)
	}
	mu.Unlock()
	c.wantBye("superseded", 4409)
	if err := wait(t, "the end", w.ended); !errors.Is(err, transports.Superseded) {
		t.Errorf("it ended with %v", err)
	}
	w.enter("bob", "").wantBye("revoked", 4401)
}
