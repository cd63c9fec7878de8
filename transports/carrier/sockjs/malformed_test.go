package sockjs_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"unicode/utf8"

	"tocsin/transports/carrier/sockjs"
)

// malformed are payloads that are none, and the close code of a WebSocket that
// has one where that is not the usual.
var malformed = map[string]int{
	"": 0, " ": 0, "[": 0, "]": 0, `["`: 0, `["x`: 0, `["x"`: 0, `["x",]`: 0, `[,]`: 0, `["x"]]`: 0, `["x"]["y"]`: 0,
	"{}": 0, `{"a":1}`: 0, "null": 0, "true": 0, "1": 0, "[1]": 0, "[null]": 0, `[["x"]]`: 0, `[{"a":"b"}]`: 0,
	`["\x"]`: 0, `["\u12"]`: 0, "[\"\n\"]": 0, "[\"\x00\"]": 0, "\"": 0, `'x'`: 0, `["a" "b"]`: 0, "o": 0, "h": 0, `a["x"]`: 0,
	strings.Repeat("[", 10000): 0, `["` + strings.Repeat("x", 101) + `"]`: 4413,
	"[" + strings.Repeat(`["`, 50): 0,
}

func TestMalformedOverHTTP(t *testing.T) {
	w := newWorld(t, sockjs.Options{MaxMessage: 100}, echo, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	for text, code := range malformed {
		want := 500
		if code == 4413 || len(text) > 400 {
			want = 413
		}
		for _, path := range []string{"xhr_send", "jsonp_send"} {
			if a := w.ask("POST", "/000/one/"+path, text, "Content-Type", "text/plain"); a.status != want {
				t.Errorf("%s %.40q: %d %q", path, text, a.status, a.body)
			}
		}
	}
	w.want(204, "", "POST", "/000/one/xhr_send", `["fine"]`)
	w.want(200, "a[\"fine\"]\n", "POST", "/000/one/xhr", "")
}

// Requests as no client sends them are answered, or end their own connection.
func TestHostileRequests(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	for _, text := range []string{
		"POST /echo/000/%zz/xhr HTTP/1.1\r\nHost: h\r\n\r\n",
		"POST /echo/000/a%2fb/xhr HTTP/1.0\r\n\r\n",
		"POST /echo/000/a%00b/xhr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /echo/000/one/jsonp?c=x;y HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /echo/000/one/htmlfile?c=%3C HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"POST /echo/000/one/xhr_send HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
		"POST /echo/000/one/xhr_send HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"GET /echo/000/one/websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
		"GET /echo/websocket HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 7\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"TRACE /echo/000/one/xhr HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
		"GET /echo/info HTTP/1.1\r\nHost: h\r\nOrigin: a\r\nOrigin: b\r\nConnection: close\r\n\r\n",
		"GET /echo/info HTTP/1.1\r\nHost: h\r\nCookie: JSESSIONID=\"a\x01b\"; JSESSIONID=\r\nConnection: close\r\n\r\n",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(w.url, "/echo"), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, text)
		_ = conn.(*net.TCPConn).CloseWrite()
		answer, _ := io.ReadAll(conn)
		conn.Close()
		if first, _, _ := strings.Cut(string(answer), "\r\n"); !strings.HasPrefix(first, "HTTP/1.") || strings.Contains(first, "101") {
			t.Errorf("%q: %q", text, answer)
		}
	}
	w.want(204, "", "POST", "/000/one/xhr_send", `["fine"]`)
	w.want(200, "a[\"fine\"]\n", "POST", "/000/one/xhr", "")
}

func FuzzParseMessages(f *testing.F) {
	for text := range malformed {
		f.Add([]byte(text), true)
		f.Add([]byte(text), false)
	}
	for _, text := range []string{`[]`, `["a"]`, ` [ "a" , "b" ] `, `"alone"`, `["\ud800"]`, `["\ud83d\ude00"]`, "[\"\xff\"]", `["\u0000"]`} {
		f.Add([]byte(text), true)
	}
	f.Fuzz(func(t *testing.T, payload []byte, alone bool) {
		const most = 64
		messages, err := sockjs.ParseMessages(payload, alone, most)
		if (err != nil) && messages != nil {
			t.Fatalf("%q and %v", messages, err)
		}
		for _, m := range messages {
			if len(m) > most || !utf8.Valid(m) {
				t.Fatalf("%q", m)
			}
		}
		if err != nil {
			return
		}
		// What is told is what a client understands.
		frame := []byte("[")
		for i, m := range messages {
			if i > 0 {
				frame = append(frame, ',')
			}
			frame = sockjs.AppendString(frame, m, i%2 == 1)
		}
		var got []string
		if err := json.Unmarshal(append(frame, ']'), &got); err != nil || len(got) != len(messages) {
			t.Fatalf("%s: %v", frame, err)
		}
		for i := range got {
			if got[i] != string(messages[i]) {
				t.Fatalf("%q came as %q", messages[i], got[i])
			}
		}
	})
}

func FuzzAppendString(f *testing.F) {
	for _, text := range []string{"", "plain", "\"\\\b\f\n\r\t\x00\x1f\x7f", "\u200c\u2028\u2060\ufff0\uffff", "</script>", "\xff\xc0\xaf", "😀"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, script := range []bool{false, true} {
			b := sockjs.AppendString(nil, text, script)
			var got string
			if err := json.Unmarshal(b, &got); err != nil || got != strings.ToValidUTF8(string(text), "\ufffd") && utf8.Valid(text) {
				t.Fatalf("%q: %s, %v", text, b, err)
			}
			for _, r := range string(b) {
				if r < ' ' || r == 0x2028 || r == 0x2029 || r >= 0xfff0 && r <= 0xffff || script && strings.ContainsRune("<>&", r) {
					t.Fatalf("%q has %s", b, fmt.Sprintf("%U", r))
				}
			}
		}
	})
}
