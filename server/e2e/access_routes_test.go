package e2e

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/transports/transporttest"
)

// An access is what a route of the public listener asks of who comes.
type access struct {
	// scope is what the token must have; empty: nobody is asked for one.
	scope string
	// path is that of the request where the route has parameters, body its body.
	path, body string
	// form is where the body is a form of the page, whose answers are pages.
	form, page bool
	// nobody is the status for who shows no token, where that is not 401.
	nobody int
	// ambient is the status for who shows but a cookie, from a page of nowhere;
	// where it is 0, 403 for what changes something.
	ambient int
}

// accessOf is every route there is. A new one has no line here, and fails the test
// until somebody has said who may use it.
var accessOf = map[string]access{
	"GET /v1/inbox":       {scope: "inbox"},
	"GET /v1/inbox/sse":   {scope: "inbox", path: "/v1/inbox/sse?pad=x"}, // 400, so that it ends
	"GET /v1/inbox/ws":    {scope: "inbox", nobody: 426},
	"POST /v1/inbox/read": {scope: "inbox", body: `{"upto":"latest"}`},

	"POST /v1/alarms":              {scope: "publish", body: `{}`},
	"GET /v1/alarms":               {scope: "inbox"},
	"GET /v1/alarms/:id":           {scope: "inbox", path: "/v1/alarms/none"},
	"GET /v1/alarms/:id/history":   {scope: "inbox", path: "/v1/alarms/none/history"},
	"POST /v1/alarms/ack":          {scope: "inbox", body: `{"ids":["none"]}`},
	"POST /v1/alarms/:id/ack":      {scope: "inbox", path: "/v1/alarms/none/ack"},
	"POST /v1/alarms/:id/unack":    {scope: "inbox", path: "/v1/alarms/none/unack"},
	"POST /v1/alarms/:id/clear":    {scope: "inbox", path: "/v1/alarms/none/clear"},
	"POST /v1/alarms/:id/shelve":   {scope: "inbox", path: "/v1/alarms/none/shelve"},
	"POST /v1/alarms/:id/unshelve": {scope: "inbox", path: "/v1/alarms/none/unshelve"},
	"POST /v1/alarms/:id/comment":  {scope: "inbox", path: "/v1/alarms/none/comment"},
	"GET /v1/counts":               {scope: "inbox"},
	"POST /v1/notices":             {scope: "publish", body: `{}`},

	"POST /v1/ingest/cloudevents":          {scope: "publish", body: `{}`},
	"POST /v1/ingest/alertmanager":         {scope: "publish", body: `{}`},
	"POST /v1/ingest/pagerduty":            {scope: "publish", body: `{}`, ambient: 401},
	"POST /v1/ingest/pagerduty/v2/enqueue": {scope: "publish", body: `{}`, ambient: 401},
	"POST /v1/ingest/lines":                {scope: "publish", body: `{}`},
	"GET /v1/publish/ws":                   {scope: "publish", nobody: 426},
	"GET /v1/deadletters":                  {scope: "admin"},

	"GET /v1/devices":                  {scope: "admin"},
	"GET /v1/users":                    {scope: "admin"},
	"GET /v1/devices/:id":              {scope: "admin", path: "/v1/devices/none"},
	"PUT /v1/devices/:id":              {scope: "admin", path: "/v1/devices/d-access", body: `{"groups":["access"]}`},
	"DELETE /v1/devices/:id":           {scope: "admin", path: "/v1/devices/d-access"},
	"GET /v1/users/:id":                {scope: "admin", path: "/v1/users/none"},
	"PUT /v1/users/:id":                {scope: "admin", path: "/v1/users/u-access", body: `{"groups":["access"]}`},
	"DELETE /v1/users/:id":             {scope: "admin", path: "/v1/users/u-access"},
	"POST /v1/directory":               {scope: "admin", body: `{}`},
	"GET /v1/alarms/:id/deliveries":    {scope: "admin", path: "/v1/alarms/none/deliveries"},
	"GET /v1/explain":                  {scope: "inbox"}, // of oneself; others need admin, see below
	"GET /v1/connections":              {scope: "admin"},
	"DELETE /v1/users/:id/connections": {scope: "admin", path: "/v1/users/none/connections"},
	"GET /v1/presence":                 {scope: "admin"},
	"GET /v1/trace":                    {scope: "admin"}, // 400, as it names nobody
	"GET /openapi.yaml":                {},
	"GET /v1/audit":                    {scope: "admin"},
	"GET /v1/stats":                    {scope: "admin"},

	"GET /v1/transports":   {},
	"POST /v1/ticket":      {scope: "inbox"},
	"POST /v1/backup":      {scope: "admin", path: "/v1/backup?last=no"}, // 400: it is not sealed here
	"POST /v1/revocations": {scope: "admin", body: `{}`},
	"GET /problems/:name":  {path: "/problems/stale"},

	"GET /inbox":           {scope: "inbox", page: true},
	"GET /inbox/alarm":     {scope: "inbox", page: true, path: "/inbox/alarm?id=none"},
	"POST /inbox/ack":      {scope: "inbox", page: true, form: true, body: "id=none"},
	"POST /inbox/do":       {scope: "inbox", page: true, form: true, body: "op=unack&id=none"},
	"POST /inbox/read":     {scope: "inbox", page: true, form: true, body: "cursor=latest"},
	"POST /inbox/logout":   {scope: "inbox", page: true, form: true, body: "x=y"},
	"POST /inbox/login":    {page: true, form: true, body: "token=x"},
	"GET /inbox/style.css": {}, "GET /inbox/page.js": {}, "GET /inbox/icon.svg": {},
	"GET /": {}, "GET /console": {}, "GET /doctor": {}, "GET /assets/*": {path: "/assets/none"},

	"GET /ws/alarm":         {}, // who it is, its first message says
	"GET /message-center":   {}, // likewise
	"POST /v1/mesh/publish": {scope: "publish", body: `{}`},
	"GET /v1/mesh/ws":       {scope: "publish"},
	"GET /push/*":           {path: "/push/x"}, // the token stands in the path
	"POST /push":            {scope: "publish", body: `{}`},
	"GET /notice/ws/socket": {scope: "inbox"},
	"POST /notice/push":     {scope: "publish", body: `{}`},
	"GET /notice/online":    {scope: "admin"},
	"GET /stomp":            {scope: "inbox", nobody: 426, ambient: 426}, // a cookie of old hides no CONNECT
	"GET /v1/chat/http":     {scope: "publish", ambient: 401},
	"/endpoint-websocket":   {path: "/endpoint-websocket"},
	"/endpoint-websocket/*": {path: "/endpoint-websocket/info"},
}

// routesOf are the routes of a running server, as its router has them. Those that
// take every method have a line without one.
func routesOf(t *testing.T, s *server) []string {
	t.Helper()
	a, err := request(t.Context(), "GET", "http://"+s.ops+"/debug/routes", "", "")
	if err != nil || a.status != 200 {
		t.Fatalf("%d %s, %v", a.status, a.body, err)
	}
	var list struct {
		Public []struct{ Method, Path string }
	}
	a.json(t, &list)
	var names []string
	for _, r := range list.Public {
		name := r.Method + " " + r.Path
		if strings.HasPrefix(r.Path, "/endpoint-websocket") {
			name = r.Path
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A visitor is somebody who comes to a route, and what he shows.
type visitor struct {
	name string
	// What he has on his request.
	header []string
	query  string
	// status and problem are the answer wherever a scope is needed; 0: it depends on
	// scopes.
	status  int
	problem string
	scopes  string
}

// Each route asks each who comes for what it is for, and nothing less. The list of
// routes is that of the router.
func TestEveryRouteAsksForItsScope(t *testing.T) {
	t.Parallel()
	s, f := guarded(t)
	known := routesOf(t, s)
	for _, name := range known {
		if _, said := accessOf[name]; !said {
			t.Errorf("nobody has said who may use %s: see accessOf", name)
		}
	}
	for name := range accessOf {
		if !slices.Contains(known, name) {
			t.Errorf("there is no route %s", name)
		}
	}
	everything := "inbox publish admin"
	s.want(s.request("POST", "/v1/revocations", f.hs(nil), `{"jti":"gone"}`), 204)
	bearer := func(token string) []string { return []string{"Authorization", "Bearer " + token} }
	visitors := []visitor{
		{name: "nobody", status: 401, problem: "unauthenticated"},
		{name: "who shows nonsense", header: bearer("x.y.z"), status: 401, problem: "invalid-token"},
		{name: "an unsigned token", header: bearer(f.raw("", `{"alg":"none"}`, f.payload(nil), nil)), status: 401, problem: "invalid-token"},
		{name: "an expired token", header: bearer(f.hs(claims{"exp": time.Now().Unix() - 3})), status: 401, problem: "expired-token"},
		{name: "a revoked token", header: bearer(f.hs(claims{"jti": "gone"})), status: 401, problem: "expired-token"},
		{name: "a used ticket", query: "ticket=" + usedTicket(s, f), status: 401, problem: "invalid-token"},
		{name: "a bad token with a good cookie", header: append(bearer("x.y.z"), "Cookie", "tocsin_session="+f.hs(nil)), status: 401, problem: "invalid-token"},
		{name: "no scope", header: bearer(f.hs(claims{"scope": ""})), scopes: " "},
		{name: "a scope that is none", header: bearer(f.hs(claims{"scope": "Inbox inbox2 publish,admin *"})), scopes: " "},
		{name: "a token that says no scope", header: bearer(f.hs(claims{"scope": nil})), scopes: "inbox"},
		{name: "a reader", header: bearer(f.hs(claims{"scope": "inbox"})), scopes: "inbox"},
		{name: "a publisher", header: bearer(f.hs(claims{"scope": "publish"})), scopes: "publish"},
		{name: "an administrator", header: bearer(f.hs(claims{"scope": "admin"})), scopes: "admin"},
		{name: "who may everything", header: bearer(f.hs(claims{"scope": everything})), scopes: everything},
		{name: "the same in the URL", query: "access_token=" + f.hs(claims{"scope": everything}), scopes: everything},
	}
	checks := 0
	for name, a := range accessOf {
		open := ""
		for _, v := range visitors {
			got := s.visit(name, a, v.header, v.query)
			checks++
			if a.scope == "" { // nobody is asked, so that all get the same
				if now := fmt.Sprint(got.status, " ", got.header.Get("Content-Type")); open == "" {
					open = now
				} else if now != open {
					t.Errorf("%s: %s gets %s, others %s", name, v.name, now, open)
				}
				continue
			}
			a.judge(t, name, v, got)
		}
		checks += s.visitByCookie(t, name, a, f.hs(claims{"scope": everything}))
	}
	t.Logf("%d routes, %d requests", len(known), checks)
	// Who is no administrator may ask about himself, and about nobody else.
	for user, status := range map[string]int{"alice": 404, "bob": 404} {
		a := s.request("GET", "/v1/explain?alarm=none&user="+user, f.hs(claims{"scope": "inbox"}), "")
		wantProblem(t, "explain "+user, a, status, "not-found")
	}
}

// visit sends the request of a route.
func (s *server) visit(name string, a access, header []string, query string) answer {
	s.t.Helper()
	method, path, _ := strings.Cut(name, " ")
	if path == "" {
		method, path = http.MethodGet, method
	}
	if a.path != "" {
		path = a.path
	}
	if query != "" {
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		path += sep + query
	}
	if a.form {
		header = append([]string{"Content-Type", "application/x-www-form-urlencoded", "Origin", s.url()}, header...)
	}
	return s.request(method, path, "", a.body, header...)
}

// judge looks at what a visitor got from a route that needs a scope.
func (a *access) judge(t *testing.T, name string, v visitor, got answer) {
	t.Helper()
	status, problem := v.status, v.problem
	switch {
	case v.name == "nobody" && a.nobody != 0:
		status, problem = a.nobody, ""
	case status == 0 && !slices.Contains(strings.Fields(v.scopes), a.scope):
		status, problem = 403, "forbidden"
		if challenge := got.header.Get("WWW-Authenticate"); !strings.Contains(challenge, `scope="`+a.scope+`"`) {
			t.Errorf("%s: %s is told %q", name, v.name, challenge)
		}
	case status == 0:
		// Page forms need a session's CSRF token, which a header has not.
		if got.status == 401 || got.status == 403 && !a.form || got.status >= 500 {
			t.Errorf("%s: %s gets %d %s", name, v.name, got.status, got.body)
		}
		return
	}
	if got.status != status {
		t.Errorf("%s: %s gets %d %.300s, want %d", name, v.name, got.status, got.body, status)
		return
	}
	switch kind := got.header.Get("Content-Type"); {
	case a.page && !strings.HasPrefix(kind, "text/html"):
		t.Errorf("%s: %s gets %s", name, v.name, kind)
	case !a.page && problem != "" && !strings.Contains(got.body, `"/problems/`+problem+`"`):
		t.Errorf("%s: %s gets %.300s, want %s", name, v.name, got.body, problem)
	}
}

// visitByCookie comes with nothing but what a browser sends by itself: from a page
// of somebody else's it changes nothing and opens nothing, nor does it where the
// browser does not say from where.
func (s *server) visitByCookie(t *testing.T, name string, a access, token string) (checks int) {
	t.Helper()
	if a.scope == "" {
		return 0
	}
	changes := !strings.HasPrefix(name, "GET ")
	for _, origin := range []string{"https://evil.example", "null", "http://127.0.0.1.evil.example", ""} {
		header := []string{"Cookie", "tocsin_session=" + token}
		if origin != "" || a.form {
			header = append(header, "Origin", origin)
		}
		got := s.visit(name, a, header, "")
		checks++
		want := 403
		switch {
		case a.ambient != 0:
			want = a.ambient
		case origin == "" && !changes:
			continue // as an address that is typed in
		}
		if strings.HasPrefix(name, "GET /v1/publish/ws") || strings.HasPrefix(name, "GET /v1/inbox/ws") {
			if got.status != 403 && got.status != 426 {
				t.Errorf("%s: a cookie from %q gets %d %.200s", name, origin, got.status, got.body)
			}
			continue
		}
		if got.status != want && !(a.ambient != 0 && changes && got.status == 403) {
			t.Errorf("%s: a cookie from %q gets %d %.200s, want %d", name, origin, got.status, got.body, want)
		}
	}
	return checks
}

// Where pages of any origin may connect, what their browser adds by itself says
// nothing: they have to say who they are.
func TestACookieOpensNoSocketForPagesOfAnyOrigin(t *testing.T) {
	t.Parallel()
	s, f := guarded(t, "--allowed-origins", "*")
	for _, path := range []string{"/v1/inbox/ws", "/stomp"} {
		c := transporttest.MustDial(t, s.url(), path, "Origin", "https://evil.example", "Cookie", "tocsin_session="+f.hs(nil))
		if path == "/stomp" {
			c.Send("CONNECT\naccept-version:1.2\n\n\x00")
			if got := c.Read(); !strings.HasPrefix(got, "ERROR") {
				t.Errorf("%s: %s", path, got)
			}
			continue
		}
		c.Send(`{"op":"start","cursor":"earliest"}`)
		c.WantEnd(4401)
	}
	own := transporttest.MustDial(t, s.url(), "/v1/inbox/ws", "Origin", s.url(), "Cookie", "tocsin_session="+f.hs(nil))
	own.Send(`{"op":"start","cursor":"earliest"}`)
	if got := own.Read(); !strings.Contains(got, `"hello"`) {
		t.Errorf("a page of our own gets %s", got)
	}
}

func usedTicket(s *server, f *mint) string {
	s.t.Helper()
	var a struct{ Ticket string }
	s.want(s.request("POST", "/v1/ticket", f.hs(nil), ""), 200).json(s.t, &a)
	s.want(s.request("GET", "/v1/inbox?ticket="+url.QueryEscape(a.Ticket), "", ""), 200)
	return a.Ticket
}
