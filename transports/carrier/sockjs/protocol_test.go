package sockjs_test

import (
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"tocsin/transports/carrier/sockjs"
)

const (
	noStore = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
	script  = "application/javascript; charset=UTF-8"
	plain   = "text/plain; charset=UTF-8"
)

var prelude = strings.Repeat("h", 2048) + "\n"

func TestGreeting(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for _, path := range []string{"", "/"} {
		a := w.want(200, "Welcome to SockJS!\n", "GET", path, "")
		if got := a.header.Get("Content-Type"); got != plain || len(a.header["Set-Cookie"]) > 0 {
			t.Errorf("%v", a.header)
		}
	}
}

func TestWhatIsNotThere(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for _, path := range []string{
		"/a", "/a.html", "//", "///", "/a/a", "/a/a/", "/a/", "/iframe.htm", "/iframe", "/IFRAME.HTML", "/iframe.HTML",
		"/iframe.xml", "/iframe-/.html", "///xhr", "/a./a/xhr", "/a/a./xhr", "/././/xhr", "/a%2e/b/xhr", "//xhr", "////xhr",
		"/a/b/xhrs", "/a/b/xhr/", "/a/b/websockets", "/info/", "/a/" + strings.Repeat("s", 129) + "/xhr", "/a/%zz/xhr",
	} {
		for _, method := range []string{"GET", "POST"} {
			if strings.Contains(path, "%zz") {
				continue // no client of Go's sends it
			}
			if a := w.ask(method, path, ""); a.status != 404 {
				t.Errorf("%s %s: %d", method, path, a.status)
			}
		}
	}
	w.want(404, "there is no such session\n", "POST", "/000/nobody/xhr_send", `["a"]`)
	w.want(404, "there is no such session\n", "POST", "/000/nobody/jsonp_send", `d=%5B%5D`)
}

func TestWrongMethods(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for path, allow := range map[string]string{
		"/s/n/xhr": "OPTIONS, POST", "/s/n/xhr_streaming": "OPTIONS, POST", "/s/n/xhr_send": "OPTIONS, POST",
		"/s/n/jsonp_send": "POST", "/s/n/eventsource": "GET", "/s/n/htmlfile": "GET", "/s/n/jsonp": "GET",
		"/s/n/websocket": "GET", "/websocket": "GET", "/info": "OPTIONS, GET", "/iframe.html": "GET", "": "GET",
	} {
		a := w.want(405, "", "PUT", path, "")
		if got := a.header.Get("Allow"); got != allow || a.header.Get("Content-Type") != "" {
			t.Errorf("%s: %v", path, a.header)
		}
	}
}

func TestIframe(t *testing.T) {
	w := newWorld(t, sockjs.Options{Origins: []string{"https://b.example", "https://a.example"}, ClientURL: "/sockjs.js?a&b"}, echo, nil)
	var first answer
	for i, path := range []string{"/iframe.html", "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2abc-dirty.2144.html", "/iframe-0.1.2.html?t=123"} {
		a := w.ask("GET", path, "")
		if i == 0 {
			first = a
		}
		h := a.header
		if a.status != 200 || a.body != first.body || h.Get("ETag") == "" || h.Get("ETag") != first.header.Get("ETag") ||
			h.Get("Content-Type") != "text/html; charset=UTF-8" || h.Get("Cache-Control") != "public, max-age=31536000" ||
			h.Get("Expires") == "" || h.Get("Last-Modified") != "" {
			t.Errorf("%s: %d, %v", path, a.status, h)
		}
	}
	if !strings.Contains(first.body, `<script src="/sockjs.js?a&amp;b"></script>`) || !strings.Contains(first.body, "SockJS.bootstrap_iframe();") {
		t.Error(first.body)
	}
	if got := first.header.Get("Content-Security-Policy"); got != "frame-ancestors 'self' https://a.example https://b.example" {
		t.Errorf("the page may be in frames of %q", got)
	}
	a := w.want(304, "", "GET", "/iframe.html", "", "If-None-Match", first.header.Get("ETag"))
	if a.header.Get("Content-Type") != "" {
		t.Errorf("%v", a.header)
	}
}

func TestInfo(t *testing.T) {
	for _, o := range []sockjs.Options{{Origins: []string{"*"}}, {Origins: []string{"*"}, Cookie: true}, {Origins: []string{"*"}, NoWebSocket: true}} {
		w := newWorld(t, o, echo, nil)
		entropy := map[float64]bool{}
		for range 3 {
			a := w.ask("GET", "/info", "", "Origin", "null")
			var got struct {
				WebSocket bool     `json:"websocket"`
				Cookie    bool     `json:"cookie_needed"`
				Origins   []string `json:"origins"`
				Entropy   float64  `json:"entropy"`
			}
			if err := json.Unmarshal([]byte(a.body), &got); err != nil || a.status != 200 {
				t.Fatalf("%d %s: %v", a.status, a.body, err)
			}
			if got.WebSocket == o.NoWebSocket || got.Cookie != o.Cookie || len(got.Origins) != 1 || got.Origins[0] != "*:*" {
				t.Errorf("%+v: %s", o, a.body)
			}
			h := a.header
			if h.Get("Content-Type") != "application/json; charset=UTF-8" || h.Get("Cache-Control") != noStore ||
				h.Get("Access-Control-Allow-Origin") != "null" || h.Get("Access-Control-Allow-Credentials") != "true" || len(h["Set-Cookie"]) > 0 {
				t.Errorf("%v", h)
			}
			entropy[got.Entropy] = true
		}
		if len(entropy) != 3 {
			t.Errorf("the entropy was %v", entropy)
		}
		for _, path := range []string{"/websocket", "/s/n/websocket"} {
			want := http.StatusBadRequest
			if o.NoWebSocket {
				want = http.StatusNotFound
			}
			if a := w.ask("GET", path, ""); a.status != want {
				t.Errorf("%+v, %s: %d", o, path, a.status)
			}
		}
	}
}

func TestOrigins(t *testing.T) {
	w := newWorld(t, sockjs.Options{Origins: []string{"https://app.example"}}, echo, nil)
	for origin, status := range map[string]int{"https://app.example": 200, "HTTPS://APP.example": 200, w.url[:len(w.url)-len("/echo")]: 200,
		"https://evil.example": 403, "null": 403, "https://app.example.evil.example": 403} {
		for _, path := range []string{"/info", "/s/n/jsonp?c=x", "/"} {
			a := w.ask("GET", strings.Replace(path, "/n/", "/"+regexp.MustCompile(`\W`).ReplaceAllString(origin, "")+"/", 1), "", "Origin", origin)
			if a.status != status {
				t.Errorf("%s of %s: %d", path, origin, a.status)
			}
			shown := a.header.Get("Access-Control-Allow-Origin")
			if status == 200 && shown != origin || status != 200 && shown != "" || a.header.Get("Vary") != "Origin" {
				t.Errorf("%s of %s: %v", path, origin, a.header)
			}
		}
	}
	// A form of one's own page has no origin to show where the page sends no referrer.
	for site, status := range map[string]int{"same-origin": 404, "same-site": 403, "cross-site": 403} {
		if a := w.ask("POST", "/s/n/jsonp_send", "d=%5B%5D", "Origin", "null", "Sec-Fetch-Site", site); a.status != status {
			t.Errorf("a form of a %s page: %d", site, a.status)
		}
	}
	if a := w.ask("POST", "/s/post/xhr", "", "Origin", "https://evil.example"); a.status != 403 || len(w.talks) != 3 {
		t.Errorf("%d, and %d sessions", a.status, len(w.talks))
	}
	a := w.want(204, "", "OPTIONS", "/s/n/xhr_send", "", "Origin", "https://app.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "a, b")
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin": "https://app.example", "Access-Control-Allow-Credentials": "true",
		"Access-Control-Allow-Methods": "OPTIONS, POST", "Access-Control-Allow-Headers": "a, b",
		"Access-Control-Max-Age": "31536000", "Cache-Control": "public, max-age=31536000",
	} {
		if got := a.header.Get(name); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	if a.header.Get("Expires") == "" || len(a.header["Vary"]) != 2 {
		t.Errorf("%v", a.header)
	}
	if a := w.ask("OPTIONS", "/s/n/xhr", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST"); a.status != 403 {
		t.Errorf("a preflight of another origin: %d", a.status)
	}
}

func TestPolling(t *testing.T) {
	w := newWorld(t, sockjs.Options{Origins: []string{"*"}}, echo, nil)
	a := w.want(200, "o\n", "POST", "/000/one/xhr", "", "Origin", "https://x")
	if a.header.Get("Content-Type") != script || a.header.Get("Cache-Control") != noStore || a.header.Get("Access-Control-Allow-Origin") != "https://x" {
		t.Errorf("%v", a.header)
	}
	a = w.want(204, "", "POST", "/000/one/xhr_send", `["a"]`)
	if a.header.Get("Content-Type") != plain || a.header.Get("Cache-Control") != noStore {
		t.Errorf("%v", a.header)
	}
	w.want(200, "a[\"a\"]\n", "POST", "/999/one/xhr", "") // the server's part means nothing
	for _, kind := range []string{"text/plain", "T", "application/json", "", "text/xml; charset=utf-8", "application/x-www-form-urlencoded"} {
		w.want(204, "", "POST", "/000/one/xhr_send", ` ["x", "y"] `, "Content-Type", kind)
	}
	w.want(200, "a["+strings.TrimSuffix(strings.Repeat(`"x","y",`, 6), ",")+"]\n", "POST", "/000/one/xhr", "")
	w.want(204, "", "POST", "/000/one/xhr_send", `[]`)
	w.want(500, "Broken JSON encoding.\n", "POST", "/000/one/xhr_send", `["x`)
	w.want(500, "Payload expected.\n", "POST", "/000/one/xhr_send", ``)
	w.want(204, "", "POST", "/000/one/xhr_send", `["\u00e4\u2028\ud83d\ude00 ä\n\u0001 \"\\ </script>"]`)
	w.want(200, `a["ä\u2028😀 ä\n\u0001 \"\\ </script>"]`+"\n", "POST", "/000/one/xhr", "")
}

func TestJSONP(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	a := w.want(200, "/**/call_back.x(\"o\");\r\n", "GET", "/000/one/jsonp?c=%63all_back.x", "")
	if a.header.Get("Content-Type") != script || a.header.Get("Cache-Control") != noStore {
		t.Errorf("%v", a.header)
	}
	const form = "application/x-www-form-urlencoded"
	a = w.want(200, "ok", "POST", "/000/one/jsonp_send", "d=%5B%22%3C%2Fscript%3E%22%5D", "Content-Type", form)
	if a.header.Get("Content-Type") != plain || a.header.Get("Cache-Control") != noStore {
		t.Errorf("%v", a.header)
	}
	w.want(200, "ok", "POST", "/000/one/jsonp_send", `["%61bc"]`, "Content-Type", "text/plain")
	w.want(200, `/**/x("a[\"\u003c/script\u003e\",\"%61bc\"]");`+"\r\n", "GET", "/000/one/jsonp?c=x", "")
	for body, text := range map[string]string{"": "Payload expected.", "d=": "Payload expected.", "p=p": "Payload expected.",
		"d=%5B%22x": "Broken JSON encoding.", "d=%zz": "Broken JSON encoding."} {
		w.want(500, text+"\n", "POST", "/000/one/jsonp_send", body, "Content-Type", form+"; charset=UTF-8")
	}
	for _, path := range []string{"jsonp", "htmlfile"} {
		w.want(500, "\"callback\" parameter required\n", "GET", "/000/two/"+path, "")
		for _, bad := range []string{"%20", "*", "abc(", "abc%28", "a%00", strings.Repeat("x", 129)} {
			w.want(500, "invalid \"callback\" parameter\n", "GET", "/000/two/"+path+"?c="+bad, "")
		}
	}
	if len(w.talks) != 1 {
		t.Errorf("%d sessions were opened", len(w.talks))
	}
}

func TestStreams(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for _, one := range []struct{ method, path, contentType, prelude, open, message string }{
		{"POST", "/xhr_streaming", script, prelude, "o\n", `a["x <&> \u2028"]` + "\n"},
		{"GET", "/eventsource", "text/event-stream", "\r\n", "data: o\r\n\r\n", `data: a["x <&> \u2028"]` + "\r\n\r\n"},
		{"GET", "/htmlfile?c=%63all", "text/html; charset=UTF-8", "", "<script>\np(\"o\");\n</script>\r\n",
			"<script>\np(\"a[\\\"x \\u003c\\u0026\\u003e \\\\u2028\\\"]\");\n</script>\r\n"},
	} {
		name := "/000/" + strings.Trim(strings.Split(one.path, "?")[0], "/")
		s := w.stream(one.method, name+one.path)
		h := s.resp.Header
		if s.resp.StatusCode != 200 || h.Get("Content-Type") != one.contentType || h.Get("Cache-Control") != noStore || h.Get("X-Accel-Buffering") != "no" {
			t.Errorf("%s: %d, %v", one.path, s.resp.StatusCode, h)
		}
		if s.want(one.prelude); one.prelude == "" {
			s.wantPage("call")
		}
		s.want(one.open)
		for range 3 {
			w.want(204, "", "POST", name+"/xhr_send", `["x <&> \u2028"]`)
			s.want(one.message)
		}
		s.close()
	}
}

// wantPage reads the beginning of an htmlfile.
func (s *stream) wantPage(callback string) {
	s.t.Helper()
	head, err := s.in.ReadString(0x0a)
	for err == nil && !strings.HasSuffix(head, "\r\n\r\n") {
		var line string
		line, err = s.in.ReadString(0x0a)
		head += line
	}
	if err != nil || len(head) <= 1024 || !strings.HasPrefix(head, "<!doctype html>\n") || !strings.Contains(head, "var c = parent."+callback+";\n") {
		s.t.Fatalf("%q, %v", head, err)
	}
}

func TestStreamsEndAtTheirLimit(t *testing.T) {
	w := newWorld(t, sockjs.Options{ResponseLimit: 4 << 10}, echo, nil)
	s := w.stream("POST", "/000/small/xhr_streaming")
	s.want(prelude + "o\n")
	small := `["` + strings.Repeat("x", 128) + `"]`
	for range 31 {
		w.want(204, "", "POST", "/000/small/xhr_send", small)
		s.want("a" + small + "\n")
	}
	s.wantEnd()
	big := `["` + strings.Repeat("x", 4096) + `"]`
	for _, one := range []struct{ method, path, before, around, after string }{
		{"GET", "/eventsource", "\r\ndata: o\r\n\r\n", "data: ", "\r\n\r\n"},
		{"POST", "/xhr_streaming", prelude + "o\n", "", "\n"},
	} {
		s := w.stream(one.method, "/000/big"+one.path[1:]+one.path)
		s.want(one.before)
		w.want(204, "", "POST", "/000/big"+one.path[1:]+"/xhr_send", big)
		s.want(one.around + "a" + big + one.after)
		s.wantEnd()
	}
	// What comes in between is told by the next one.
	w.want(204, "", "POST", "/000/small/xhr_send", `["next"]`)
	s = w.stream("POST", "/000/small/xhr_streaming")
	s.want(prelude + `a["next"]` + "\n")
}

func TestCookie(t *testing.T) {
	w := newWorld(t, sockjs.Options{Cookie: true}, echo, nil)
	for _, one := range [][2]string{{"POST", "xhr"}, {"POST", "xhr_streaming"}, {"GET", "eventsource"}, {"GET", "htmlfile?c=x"}, {"GET", "jsonp?c=x"}} {
		path := "/000/" + strings.Split(one[1], "?")[0] + "/"
		s := w.stream(one[0], path+one[1])
		if got := s.resp.Header.Get("Set-Cookie"); got != "JSESSIONID=dummy; Path=/" {
			t.Errorf("%s: %q", one[1], got)
		}
		if _, err := s.in.ReadByte(); err != nil {
			t.Error(err)
		}
		if a := w.ask("POST", path+"xhr_send", `["a"]`, "Cookie", "JSESSIONID=abcdef"); a.header.Get("Set-Cookie") != "JSESSIONID=abcdef; Path=/" {
			t.Errorf("%s: %v", one[1], a.header)
		}
	}
}
