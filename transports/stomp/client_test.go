package stomp_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
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

// A frame is what the server says at once. Beats have no command.
type frame struct {
	command string
	header  map[string]string
	body    string
}

func (w *world) dial(header http.Header) *client {
	w.t.Helper()
	d := websocket.Dialer{Subprotocols: []string{"v11.stomp", "v12.stomp"}}
	c, resp, err := d.Dial("ws://"+w.url, header)
	if err != nil {
		w.t.Fatalf("%v: %+v", err, resp)
	}
	w.t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return &client{w.t, c}
}

// enter connects a user in version 1.2; headers are lines.
func (w *world) enter(user string, headers ...string) *client {
	w.t.Helper()
	c := w.dial(nil)
	c.say("CONNECT\naccept-version:1.2\npasscode:" + w.token(auth.Issue{User: user}) + lines(headers) + "\n\n\x00")
	c.want("CONNECTED")
	return c
}

func lines(headers []string) string {
	text := strings.Join(headers, "\n")
	if text != "" {
		text = "\n" + text
	}
	return text
}

func (c *client) say(messages ...string) {
	c.t.Helper()
	for _, m := range messages {
		if err := c.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			c.t.Fatal(err)
		}
	}
}

// send says one frame with these headers, lines, and no body.
func (c *client) send(command string, headers ...string) {
	c.t.Helper()
	c.say(command + lines(headers) + "\n\n\x00")
}

// next is the next frame, or a heart-beat. Each must be a message of its own.
func (c *client) next() frame {
	c.t.Helper()
	_, text, err := c.ReadMessage()
	if err != nil {
		c.t.Fatalf("instead of a frame: %v", err)
	}
	return c.parse(string(text))
}

// parse is the test's own reading of a frame of 1.2.
func (c *client) parse(text string) frame {
	c.t.Helper()
	if text == "\n" {
		return frame{}
	}
	head, body, found := strings.Cut(text, "\n\n")
	f := frame{header: map[string]string{}}
	lines := strings.Split(head, "\n")
	f.command = lines[0]
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		f.header[name] = strings.NewReplacer(`\c`, ":", `\n`, "\n", `\r`, "\r", `\\`, `\`).Replace(value)
	}
	length, told := f.header["content-length"]
	if !found || !strings.HasSuffix(body, "\x00") || told && length != fmt.Sprint(len(body)-1) {
		c.t.Fatalf("this is no frame: %q", text)
	}
	f.body = body[:len(body)-1]
	return f
}

// want is the next frame but for heart-beats, which has this command.
func (c *client) want(command string) frame {
	c.t.Helper()
	for {
		f := c.next()
		if f.command == command {
			return f
		}
		if f.command != "" {
			c.t.Fatalf("the frame %+v, want %s", f, command)
		}
	}
}

// receipt waits for the receipt with this id.
func (c *client) receipt(id string) frame {
	c.t.Helper()
	f := c.want("RECEIPT")
	if f.header["receipt-id"] != id {
		c.t.Fatalf("the receipt %+v, want %s", f, id)
	}
	return f
}

// done says a frame and waits for its receipt.
func (c *client) done(command string, headers ...string) frame {
	c.t.Helper()
	id := fmt.Sprint("done-", time.Now().UnixNano())
	c.send(command, append(headers, "receipt:"+id)...)
	return c.receipt(id)
}

// An entry is what of a MESSAGE of the inbox matters here.
type entry struct {
	Seq   uint64
	Type  string
	Alarm struct{ Type string }
	Gap   struct{ Reason, From string }
	frame frame
}

func (c *client) entry() entry {
	c.t.Helper()
	f := c.want("MESSAGE")
	e := entry{frame: f}
	if err := json.Unmarshal([]byte(f.body), &e); err != nil || f.header["destination"] != "/user/queue/inbox" || f.header["content-type"] != "application/json" {
		c.t.Fatalf("the message %+v: %v", f, err)
	}
	return e
}

// wantTypes reads entries of these types of alarms, and returns their ids.
func (c *client) wantTypes(want ...string) (ids []string) {
	c.t.Helper()
	var got []string
	for range want {
		e := c.entry()
		got = append(got, e.Alarm.Type)
		ids = append(ids, e.frame.header["message-id"])
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		c.t.Fatalf("the entries %v, want %v", got, want)
	}
	return ids
}

// wantError wants ERROR with a message of which this is a part, and then the close.
func (c *client) wantError(message string, code int) frame {
	c.t.Helper()
	for {
		f := c.next()
		if f.command != "ERROR" {
			continue
		}
		if !strings.Contains(f.header["message"], message) {
			c.t.Fatalf("the error %+v, want %q", f, message)
		}
		c.wantClose(code)
		return f
	}
}

// wantClose reads until the connection ends with this code.
func (c *client) wantClose(code int) {
	c.t.Helper()
	for {
		_, text, err := c.ReadMessage()
		var end *websocket.CloseError
		switch {
		case errors.As(err, &end) && end.Code == code:
			return
		case err != nil:
			c.t.Fatalf("the connection ended with %v, want %d", err, code)
		case strings.HasPrefix(string(text), "ERROR"):
			c.t.Fatalf("before the close came %q", text)
		}
	}
}
