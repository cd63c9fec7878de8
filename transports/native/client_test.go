package native_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/auth"
)

// A client is one connection, read frame by frame.
type client struct {
	t testing.TB
	*websocket.Conn
}

func (w *world) dial(token string) *client {
	w.t.Helper()
	h := http.Header{}
	if token != "" {
		h.Set("Authorization", "Bearer "+token)
	}
	c, resp, err := websocket.DefaultDialer.Dial("ws://"+w.url, h)
	if err != nil {
		w.t.Fatalf("%v: %+v", err, resp)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return &client{w.t, c}
}

// enter connects a user who begins with these members of auth.
func (w *world) enter(user, members string) *client {
	w.t.Helper()
	c := w.dial("")
	c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: user}) + `"` + members + `}`)
	return c
}

func (c *client) say(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		if err := c.WriteMessage(websocket.TextMessage, []byte(f)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// A frame is what a server's frame may have.
type frame struct {
	Op      string
	Ref     any
	Entries []struct {
		Seq   uint64
		Type  string
		By    string
		Alarm struct {
			ID, Type string
			Rev      uint64
		}
	}
	Cursor  string
	V       int
	Resumed bool
	Ping    float64
	Unread  *int
	Active  map[string]int
	Gap     *struct{ Reason, From, Repair string }
	Problem *struct {
		Status        int
		Detail, Field string
	}
	Reason  string
	RetryMS int `json:"retry_ms"`
	Alarm   *struct {
		ID           string
		Rev          uint64
		Acked        bool
		Comments     int
		ShelvedUntil *string `json:"shelved_until"`
	}
	Results []struct {
		Status, ID string
		Alarm      *struct{ Acked bool }
		Problem    *struct{ Status int }
	}
	text string
}

func (c *client) next() (f frame) {
	c.t.Helper()
	_, text, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("instead of a frame: %v", err)
	}
	if err := json.Unmarshal(text, &f); err != nil {
		c.t.Fatalf("the frame %s: %v", text, err)
	}
	f.text = string(text)
	return f
}

// want reads frames until one with this op comes, and fails on others than those
// that may come at any time.
func (c *client) want(op string) frame {
	c.t.Helper()
	for {
		f := c.next()
		if f.Op == op {
			return f
		}
		if f.Op != "ping" && f.Op != "counts" {
			c.t.Fatalf("the frame %s, want %s", f.text, op)
		}
	}
}

// answer reads frames until the answer to ref comes.
func (c *client) answer(ref string) frame {
	c.t.Helper()
	for {
		if f := c.next(); f.Ref == ref {
			return f
		}
	}
}

// types reads entries until it has n of them, and returns the alarms' types and
// the cursor after the last one.
func (c *client) types(n int) (types []string, cursor string) {
	c.t.Helper()
	for len(types) < n {
		f := c.next()
		for _, e := range f.Entries {
			types = append(types, e.Alarm.Type)
		}
		if f.Op == "entries" {
			cursor = f.Cursor
		}
	}
	return types, cursor
}

// wantTypes reads as many entries as are wanted.
func (c *client) wantTypes(want ...string) string {
	c.t.Helper()
	got, cursor := c.types(len(want))
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Fatalf("the entries %v, want %v", got, want)
	}
	return cursor
}

// wantClose reads until the connection ends with this code, and returns what came
// before.
func (c *client) wantClose(code int) (frames []frame) {
	c.t.Helper()
	for {
		_, text, err := c.ReadMessage()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end) && end.Code == code:
			return frames
		case err != nil:
			c.t.Fatalf("the connection ended with %v, want %d; before it %v", err, code, frames)
		}
		f := frame{text: string(text)}
		if err := json.Unmarshal(text, &f); err != nil {
			c.t.Fatal(err)
		}
		frames = append(frames, f)
	}
}

// wantBye wants a bye with the reason, and then the code.
func (c *client) wantBye(reason string, code int) {
	c.t.Helper()
	frames := c.wantClose(code)
	if n := len(frames); n == 0 || frames[n-1].Op != "bye" || frames[n-1].Reason != reason {
		c.t.Fatalf("before the close came %v, want bye %s", frames, reason)
	}
}
