package httpd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

func bearer(s string) []string { return []string{"Authorization", "Bearer " + s} }

func TestWhoIsAskingIsToldWhatIsWrong(t *testing.T) {
	w := newWorld(t, nil)
	for _, path := range []string{"/v1/inbox", "/v1/inbox/sse", "/v1/inbox?cursor=latest", "/v1/inbox/sse?cursor=earliest"} {
		w.do("GET", path, "", "Authorization", "").problem(401, "unauthenticated")
		w.do("GET", path, "", bearer("x.y.z")...).problem(401, "invalid-token")
		w.do("GET", path, "", bearer(token(t, "ada", "", -time.Minute))...).problem(401, "expired-token")
		w.do("GET", path, "", bearer(token(t, "ada", "publish", time.Minute))...).problem(403, "forbidden", "inbox")
	}
	reader := bearer(token(t, "ada", "inbox", time.Minute))
	a := w.do("POST", "/v1/alarms", good, reader...).problem(403, "forbidden", "publish")
	if got := a.header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope", scope="publish"`) {
		t.Errorf("WWW-Authenticate %q", got)
	}
	w.do("POST", "/v1/notices", `{}`, reader...).problem(403, "forbidden")
	for _, r := range [][2]string{{"GET", "/v1/devices/d"}, {"PUT", "/v1/users/u"}, {"DELETE", "/v1/users/u"}, {"POST", "/v1/directory"}} {
		w.do(r[0], r[1], "", reader...).problem(403, "forbidden", "admin")
	}
	w.do("GET", "/v1/inbox?access_token="+token(t, "ada", "", time.Minute), "", "Authorization", "").want(200)
	strict := newWorld(t, func(o *Options) { o.Auth.AllowQuery = false })
	strict.do("GET", "/v1/inbox?access_token="+token(t, "ada", "", time.Minute), "", "Authorization", "").problem(401, "unauthenticated")
}

func TestAReconnectWithoutRightIs204(t *testing.T) {
	w := newWorld(t, nil)
	expired := bearer(token(t, "ada", "", -time.Minute))
	for _, headers := range [][]string{append(expired, "Last-Event-ID", "a.b.c"), {"Authorization", "", "Last-Event-ID", "a.b.c"}} {
		if a := w.do("GET", "/v1/inbox/sse", "", headers...).want(204); a.body != "" {
			t.Errorf("%q", a.body)
		}
	}
	w.do("GET", "/v1/inbox/sse?cursor=a.b.c", "", expired...).want(204)
	w.do("GET", "/v1/inbox?cursor=a.b.c", "", expired...).problem(401, "expired-token")
}

func TestAHeldPollEndsWithItsToken(t *testing.T) {
	w := newWorld(t, nil)
	// Expiry is to the second.
	w.do("GET", "/v1/inbox?wait=50", "", bearer(token(t, "ada", "", 2*time.Second))...).problem(401, "expired-token")
}

func TestTheRoutersOwnErrorsAreProblems(t *testing.T) {
	w := newWorld(t, nil)
	w.do("GET", "/nothing", "").problem(404, "not-found")
	a := w.do("DELETE", "/v1/alarms", "").problem(405, "method-not-allowed")
	if !strings.Contains(a.header.Get("Allow"), "POST") {
		t.Errorf("Allow %q", a.header.Get("Allow"))
	}
	w.do("GET", "/problems/stale", "").want(200, "stale (503)")
	w.do("GET", "/problems/none", "").problem(404, "not-found")
	w.do("GET", "/v1/inbox?limit=5000", "").problem(400, "malformed", `"field":"limit"`, `"limit":1000`)
	w.do("GET", "/v1/inbox?cursor=nonsense", "").problem(400, "malformed", `"field":"cursor"`, "[A-Za-z0-9._~-]")
}

func TestEveryErrorHasItsProblem(t *testing.T) {
	wrap := func(err error) error { return fmt.Errorf("do something inside: %w", err) }
	for _, test := range []struct {
		err    error
		status int
		name   string
	}{
		{auth.ErrMissing, 401, "unauthenticated"}, {auth.ErrInvalid, 401, "invalid-token"},
		{auth.ErrExpired, 401, "expired-token"}, {auth.ErrRevoked, 401, "expired-token"}, {transports.Expired, 401, "expired-token"},
		{transports.Revoked, 401, "expired-token"}, {auth.ErrUnavailable, 503, "keys-unavailable"},
		{alarm.ErrMalformed, 400, "malformed"}, {alarm.ErrNotFound, 404, "not-found"}, {alarm.ErrIDReused, 409, "id-reused"},
		{&alarm.ConflictError{Err: alarm.ErrSuperseded}, 409, "superseded"},
		{&alarm.ConflictError{Err: alarm.ErrChanged}, 412, "changed"},
		{inbox.Fieldf("f", "d"), 422, "invalid"}, {inbox.ErrTooLarge, 413, "too-large"},
		{inbox.ErrFull, 503, "storage-full"}, {inbox.ErrUnavailable, 503, "storage-unavailable"},
		{inbox.ErrStale, 503, "stale"}, {transports.Drain, 503, "draining"}, {errDraining, 503, "draining"},
		{context.DeadlineExceeded, 503, "storage-unavailable"}, {echo.ErrTooManyRequests, 429, "too-many-requests"},
		{transports.ErrNoStream, 406, "no-stream"}, {errSlow, 408, "timeout"}, {errMediaType, 415, "media-type"},
		{errors.New("secret of ours"), 500, "internal"}, {errors.Join(transports.Stale, inbox.ErrStale), 503, "stale"},
	} {
		p := explain(wrap(test.err))
		if p.status != test.status || p.name != test.name {
			t.Errorf("%v is %d %s, want %d %s", test.err, p.status, p.name, test.status, test.name)
		}
		if (p.status == 503 || p.status == 429) != (p.retry > 0) {
			t.Errorf("%s: retry %v", p.name, p.retry)
		}
		if p.status >= 500 && strings.Contains(p.detail, "inside") || strings.Contains(p.detail, "secret") {
			t.Errorf("%s tells %q", p.name, p.detail)
		}
	}
}

func TestAPanicIsOneClientsTrouble(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Alarms = panicking{o.Alarms} })
	a := w.do("GET", "/v1/alarms/x", "").problem(500, "internal")
	if strings.Contains(a.body, "of ours") {
		t.Errorf("%s", a.body)
	}
	w.do("GET", "/v1/inbox", "").want(200)
}

type panicking struct{ Alarms }

func (panicking) Get(context.Context, string, []string, string) (alarm.Alarm, error) {
	panic("secret of ours")
}

func TestPagesOfOtherOrigins(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Origins = []string{"https://ops.example"} })
	other, ours := "https://evil.example", "https://ops.example"
	for _, headers := range [][]string{{"Origin", other}, {"Origin", "null"}} {
		w.do("POST", "/v1/alarms", good, headers...).problem(403, "origin")
		w.do("OPTIONS", "/v1/inbox", "", append(headers, "Access-Control-Request-Method", "GET")...).problem(403, "origin")
		if a := w.do("GET", "/v1/inbox", "", headers...).want(200); a.header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%v may read: %v", headers, a.header)
		}
	}
	w.do("POST", "/v1/alarms", good, "Origin", w.url).want(202)
	a := w.do("POST", "/v1/alarms", good, "Origin", ours).want(202)
	if a.header.Get("Access-Control-Allow-Origin") != ours || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "ETag") {
		t.Errorf("%v", a.header)
	}
	p := w.do("OPTIONS", "/v1/inbox/sse", "", "Origin", ours, "Access-Control-Request-Method", "GET", "Authorization", "").want(204)
	for _, h := range []string{"Last-Event-ID", "If-None-Match", "Prefer", "Authorization"} {
		if !strings.Contains(p.header.Get("Access-Control-Allow-Headers"), h) {
			t.Errorf("%s is not allowed: %v", h, p.header)
		}
	}
	// A problem must be readable for an allowed page, too.
	if a := w.do("GET", "/v1/inbox?limit=0", "", "Origin", ours).want(400); a.header.Get("Access-Control-Allow-Origin") != ours {
		t.Errorf("%v", a.header)
	}
	if _, err := New(Options{Origins: []string{"ops.example"}, View: w.view, Marks: w.marks, Auth: w.server.o.Auth, Alarms: w.server.o.Alarms, Directory: w.server.o.Directory}); err == nil {
		t.Error("an origin without a scheme was taken")
	}
}

func TestACookieChangesNothingForOtherPages(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.Origins = []string{"https://ops.example"} })
	cookie := auth.SessionCookie(token(t, "ada", "inbox publish", time.Minute), time.Now().Add(time.Minute), false)
	with := func(more ...string) []string {
		return append([]string{"Authorization", "", "Cookie", cookie.Name + "=" + cookie.Value}, more...)
	}
	w.do("POST", "/v1/alarms", good, with()...).problem(403, "origin")
	w.do("POST", "/v1/alarms", good, with("Origin", "https://ops.example")...).problem(403, "origin")
	w.do("POST", "/v1/alarms", good, with("Origin", w.url)...).want(202)
	w.do("GET", "/v1/inbox", "", with()...).want(200)
	// Nor does it read for them, or hold a stream of the user's.
	for _, path := range []string{"/v1/inbox", "/v1/inbox/sse", "/v1/alarms"} {
		for _, origin := range []string{"https://evil.example", "null", "http://" + strings.TrimPrefix(w.url, "http://") + ".evil.example"} {
			w.do("GET", path, "", with("Origin", origin)...).problem(403, "origin")
		}
		w.do("GET", path, "", with("Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "no-cors")...).problem(403, "origin")
		w.do("GET", path, "", with("Sec-Fetch-Site", "same-site", "Sec-Fetch-Mode", "cors")...).problem(403, "origin")
	}
	for _, headers := range [][]string{
		{"Origin", w.url}, {"Origin", "https://ops.example"}, {"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors"},
		{"Sec-Fetch-Site", "none", "Sec-Fetch-Mode", "navigate"}, {"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "navigate"}, // a link
	} {
		w.do("GET", "/v1/inbox", "", with(headers...)...).want(200)
	}
}

func TestTheLogHasNoSecrets(t *testing.T) {
	w := newWorld(t, nil)
	secret := token(t, "ada", "", time.Minute)
	w.do("GET", "/v1/inbox?limit=7&access_token="+secret, "", "Authorization", "", "X-Request-Id", "mine-1").want(200)
	w.do("GET", "/v1/inbox?acc%65ss_token="+secret, "", "Authorization", "").want(200)
	w.do("GET", "/v1/inbox?ticket=abcde&access_token="+secret, "", "Authorization", "")
	w.do("GET", "/v1/inbox", "", bearer(secret)...).want(200)
	a := w.do("GET", "/v1/inbox", "", "X-Request-Id", "a b")
	if id := a.header.Get("X-Request-Id"); id == "" || id == "a b" {
		t.Errorf("X-Request-Id %q", id)
	}
	logged := w.logged.String()
	for _, text := range []string{secret, "abcde", "a b"} {
		if strings.Contains(logged, text) {
			t.Errorf("%q was logged", text)
		}
	}
	for _, text := range []string{"limit=7", "access_token=", "mine-1", "user=ada", "status=200"} {
		if !strings.Contains(logged, text) {
			t.Errorf("%q was not logged: %s", text, logged)
		}
	}
	if h := a.header; h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("%v", h)
	}
}

func TestASlowBodyIsGivenUp(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.BodyTimeout = 100 * time.Millisecond })
	for _, path := range []string{"/v1/alarms", "/v1/directory"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nContent-Type: application/json\r\nAuthorization: Bearer %s\r\n\r\n{",
			path, token(t, "ada", "publish admin", time.Minute))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != http.StatusRequestTimeout {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

func TestHTTP10IsPointedToThePoll(t *testing.T) {
	w := newWorld(t, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET /v1/inbox/sse HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", token(t, "ada", "", time.Minute))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body := make([]byte, 1000)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusNotAcceptable || !strings.Contains(string(body[:n]), "/v1/inbox ") {
		t.Errorf("%s %s", resp.Status, body[:n])
	}
}

func TestANodeThatIsNotReadySaysSo(t *testing.T) {
	ready := errors.New("the clock is wrong")
	w := newWorld(t, func(o *Options) {
		o.View = inbox.NewView(&inbox.MemoryLog{}, inbox.ViewOptions{})
		o.Ready = func() error { return ready }
	})
	w.do("GET", "/v1/inbox", "").problem(503, "stale")
	opsGet(t, w, "/readyz", 503, "being loaded")
	opsGet(t, w, "/healthz", 200, "ok")
	other := newWorld(t, func(o *Options) { o.Ready = func() error { return ready } })
	opsGet(t, other, "/readyz", 503, "the clock is wrong")
}

func opsGet(t *testing.T, w *world, path string, status int, text string) {
	t.Helper()
	r := httptest.NewRecorder()
	w.server.OpsHandler().ServeHTTP(r, httptest.NewRequest("GET", path, nil))
	if r.Code != status || !strings.Contains(r.Body.String(), text) {
		t.Errorf("%s: %d %.300s, want %d with %q", path, r.Code, r.Body, status, text)
	}
}

func TestOperation(t *testing.T) {
	w := newWorld(t, nil)
	w.raise("d1")
	w.do("GET", "/v1/inbox?cursor=earliest", "").want(200)
	opsGet(t, w, "/readyz", 200, "ok")
	opsGet(t, w, "/metrics", 200, `tocsin_deliveries_total{transport="poll"} 1`)
	opsGet(t, w, "/metrics", 200, `tocsin_events_total{door="rest",status="raised"} 1`)
	opsGet(t, w, "/metrics", 200, fmt.Sprintf("tocsin_view_head %d", w.view.Head()))
	opsGet(t, w, "/metrics", 200, "go_goroutines")
	opsGet(t, w, "/debug/pprof/", 200, "goroutine")
	resp, err := http.Get(w.ops + "/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("%v, %v", resp, err)
	}
	resp.Body.Close()
	w.do("GET", "/metrics", "").problem(404, "not-found")
}
