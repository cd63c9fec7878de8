package transporttest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/inbox"
)

// hostile texts try to leave the place where they stand.
var hostile = []string{
	"one\r\ntwo\rthree\nfour\r\n\r\nfive",
	"data: x\n\nevent: bye\ndata: {\"reason\":\"revoked\"}\n\nid: earliest\n\n",
	"a\x00b\x01\x1b[31m\x7f",
	`</script><script>alert(1)</script><!-- ]]> "}],"cursor":"earliest`,
	"\\\\u0000 \\\" \\/ %0a &lt;&amp;&#10;",
	"𝔗𝔬𝔠𝔰𝔦𝔫 😀 🏴‍☠️ \U0010FFFD é e\u0301",
	"line\u2028paragraph separator",
	"\u202egnp.exe \u2066isolated",
	strings.Repeat("🔔", 200),
}

// hostileText arrives as it was sent.
func hostileText(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	f := w.Follow(env.Via, token, "")
	var batch []map[string]any
	for i, text := range hostile {
		batch = append(batch, map[string]any{"device": c.Device, "type": "t", "qualifier": fmt.Sprint(i), "severity": "minor",
			"message": text, "attrs": map[string]string{"text": text, "html": "<b>" + text}})
	}
	body, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	w.request("POST", w.URL()+"/v1/alarms", token, string(body), http.StatusAccepted)
	f.Expect(hostile...)
	for i, e := range f.Got {
		want := map[string]string{"text": hostile[i], "html": "<b>" + hostile[i]}
		if f.via.Rows == 0 && !maps.Equal(e.Attrs, want) {
			t.Errorf("attributes %q, want %q", e.Attrs, want)
		}
	}
	f.Expect(slices.Concat(hostile, c.Raise(1))...)
	f.noGap()
	if f.Sessions != 1 {
		t.Errorf("%d sessions, which ended with %+v", f.Sessions, f.Ends)
	}
}

// garbageCursor is answered in the transport's way, which is no dead end.
func garbageCursor(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	said := c.Raise(3)
	for _, cursor := range []string{"garbage", "a.b.c", "0.0.0.s0", strings.Repeat("A", 65), strings.Repeat("~", 4000),
		"a b", "<script>", "é", "..", "zzzzzzzzzzzz.-1.x", "a.zzzzzzzzzzzzzzzzzzzzz.x"} {
		t.Run(fmt.Sprintf("%.12q", cursor), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			r, err := env.Via.Connect(ctx, w.URL(), token, cursor)
			var b Batch
			if err == nil {
				defer r.Close()
				b, err = r.Next(ctx)
			}
			want, gap := env.Via.Lost, env.Via.LostGap
			if _, err := inbox.ParseCursor(cursor); err == nil { // as of another user
				want, gap = End{}, string(inbox.GapMembership)
			}
			if got := endOf(err); got != want || b.Gap != gap {
				t.Fatalf("answered %+v with the gap %q, want %+v and %q", got, b.Gap, want, gap)
			}
			if err != nil {
				return
			}
			f := &Follower{t: t, via: env.Via, url: w.URL, token: token, reader: r, Got: b.Entries}
			f.Expect(said...)
			if strings.Contains(f.Cursor, cursor) {
				t.Errorf("the cursor is %q now", f.Cursor)
			}
		})
	}
}

// garbageInTheQuery is refused, and nothing else suffers.
func garbageInTheQuery(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	f := w.Follow(env.Via, token, "")
	for _, query := range env.Via.BadQueries {
		text := w.request("GET", w.URL()+env.Via.Path+"?"+query, token, "", http.StatusBadRequest)
		if !strings.Contains(text, `"status":400`) {
			t.Errorf("?%.40s: %s", query, text)
		}
	}
	if len(env.Via.BadQueries) == 0 {
		t.Error("the table has no queries")
	}
	f.Expect(c.Raise(2)...)
}

// garbageFrames are answered, up to a point; what is worse closes.
func garbageFrames(t *testing.T, env Env) {
	w := env.World(t, Settings{})
	c := w.Crew()
	token := c.Token("", time.Minute)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	begin := func() *socketReader {
		r, err := dial(ctx, w.URL(), token, "", false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(r.Close)
		return r
	}
	r := begin()
	for _, text := range []string{"garbage", "[]", `{"op":17}`, `{"op":"read","ref":{}}`, "\x00", `{"op":"fly","ref":1}`, `{"op":"ack","ref":2,"alarm":[]}`} {
		if err := r.say(text); err != nil {
			t.Fatal(err)
		}
		if f, err := r.answer(ctx); err != nil || f.Op != "error" || f.Problem.Status/100 != 4 {
			t.Errorf("%q is answered with %+v, %v", text, f, err)
		}
	}
	for _, text := range []string{`{"op":"fly"}`, `{"op":"pong","more":[[[]]]}`} { // of a later version
		if err := r.say(text); err != nil {
			t.Fatal(err)
		}
	}
	f := &Follower{t: t, via: env.Via, url: w.URL, token: token, reader: r}
	f.Expect(c.Raise(2)...)
	if f.Sessions != 0 {
		t.Errorf("it had to connect again: %+v", f.Ends)
	}
	for name, worse := range map[string]struct {
		do   func(*socketReader) error
		code int
	}{
		"too many": {func(r *socketReader) error {
			for range 10 {
				if err := r.say("garbage"); err != nil {
					return err
				}
			}
			return nil
		}, 4429},
		"too large": {func(r *socketReader) error { return r.say(strings.Repeat(" ", 65<<10)) }, 4413},
		"no UTF-8":  {func(r *socketReader) error { return r.say("{\"op\":\"\xff\"}") }, 1007},
		"binary":    {func(r *socketReader) error { return r.conn.WriteMessage(websocket.BinaryMessage, []byte("{}")) }, 1003},
		"no frame": {func(r *socketReader) error {
			_, err := io.WriteString(r.conn.NetConn(), "GET / HTTP/1.1\r\n\r\n")
			return err
		}, 1002},
	} {
		r := begin()
		if err := worse.do(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f := &Follower{t: t, via: env.Via, reader: r}
		if got := f.end(); got.Code != worse.code {
			t.Errorf("%s: closed with %+v, want %d", name, got, worse.code)
		}
	}
}
