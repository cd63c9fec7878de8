package httpd

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/topics"
)

const sockJSPath = "/endpoint-websocket"

// newStompWorld is a node that serves STOMP.
func newStompWorld(t *testing.T, change func(*Options)) *world {
	t.Helper()
	return newWorld(t, func(o *Options) {
		o.Compat = &Compat{
			Places: &memoryPlaces{at: map[string]string{}},
			Stomp:  &Stomp{Topics: topics.New(topics.Options{Log: &inbox.MemoryLog{}, Epoch: "e"})},
		}
		if change != nil {
			change(o)
		}
	})
}

// memoryPlaces are Places in memory, of which STOMP wants two.
type memoryPlaces struct {
	Places
	mu sync.Mutex
	at map[string]string
}

func (m *memoryPlaces) Get(_ context.Context, name, user string) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.at[name+" "+user], nil
}

func (m *memoryPlaces) Set(_ context.Context, name, user string, choose func(string) string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.at[name+" "+user] = choose(m.at[name+" "+user])
	return nil
}

// A poller is a client of SockJS that polls, and speaks STOMP.
type poller struct {
	w    *world
	path string
}

// poll opens a session; headers are those of the request that does.
func (w *world) poll(name string, headers ...string) (*poller, answer) {
	p := &poller{w, sockJSPath + "/000/" + name}
	return p, w.do("POST", p.path+"/xhr", "", headers...)
}

// say sends a frame of STOMP.
func (p *poller) say(frame string) {
	p.w.t.Helper()
	text := strings.ReplaceAll(frame, "\n", `\n`)
	p.w.do("POST", p.path+"/xhr_send", `["`+text+`\n\n\u0000"]`, "Authorization", "").want(204)
}

// hear polls until something has this text.
func (p *poller) hear(text string) string {
	p.w.t.Helper()
	for range 20 {
		a := p.w.do("POST", p.path+"/xhr", "", "Authorization", "").want(200)
		if strings.Contains(a.body, text) {
			return a.body
		}
		if strings.HasPrefix(a.body, "c[") {
			p.w.t.Fatalf("the session ended with %s", a.body)
		}
	}
	p.w.t.Fatalf("%q did not come", text)
	return ""
}

const connectFrame = "CONNECT\naccept-version:1.2"

func TestStompOverSockJS(t *testing.T) {
	w := newStompWorld(t, nil)
	p, a := w.poll("one")
	a.want(200, "o\n")
	if n := w.server.sessionCount(); n != 1 {
		t.Errorf("%d sessions", n)
	}
	p.say(connectFrame)
	p.hear("CONNECTED\\n")
	p.say("SUBSCRIBE\nid:0\nreceipt:r\ndestination:/user/queue/inbox")
	p.hear("RECEIPT\\n")
	w.do("GET", "/v1/connections?user=ada", "").want(200, `"transport":"stomp"`)
	id := w.raise("d1")
	p.hear(id)
	ops := func() string {
		resp, err := http.Get(w.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	if text := ops(); !strings.Contains(text, `tocsin_connections{transport="stomp"} 1`) {
		t.Error(text)
	}
	p.say("DISCONNECT\nreceipt:bye")
	p.hear("receipt-id:bye")
	if a := w.do("POST", p.path+"/xhr", ""); a.body != "c[1000,\"bye\"]\n" {
		t.Errorf("the session ended with %s", a.body)
	}
	w.until("nobody is there", func() bool { return w.server.sessionCount() == 0 })
	if text := ops(); !strings.Contains(text, `tocsin_connections{transport="stomp"} 0`) {
		t.Error(text)
	}
}

// A client that does not come any more is gone after 5 s.
func TestSockJSSessionThatVanishes(t *testing.T) {
	w := newStompWorld(t, nil)
	p, _ := w.poll("one")
	p.say(connectFrame)
	p.hear("CONNECTED\\n")
	began := time.Now()
	w.do("GET", "/v1/connections?user=ada", "").want(200, `"transport":"stomp"`)
	w.until("the connection ends", func() bool { return w.server.sessionCount() == 0 })
	if took := time.Since(began); took < 4*time.Second {
		t.Errorf("it ended after %v", took)
	}
	w.do("GET", "/v1/connections?user=ada", "").want(200, `"connections":[]`)
}

func TestWhoOpensASessionOfSockJS(t *testing.T) {
	w := newStompWorld(t, func(o *Options) { o.Origins = []string{"https://app.example"} })
	_, a := w.poll("bad", "Authorization", "Bearer nonsense")
	a.problem(401, "invalid-token")
	w.do("POST", sockJSPath+"/000/bad/xhr_send", `["x"]`).want(404)
	_, a = w.poll("scope", "Authorization", "Bearer "+token(t, "ada", "publish", time.Minute))
	a.problem(403, "forbidden")
	_, a = w.poll("evil", "Origin", "https://evil.example")
	a.problem(403, "origin")
	if n := w.server.sessionCount(); n != 0 {
		t.Errorf("%d sessions of those who may not", n)
	}

	ada := token(t, "ada", "inbox", time.Minute)
	cookie := []string{"Authorization", "", "Cookie", "tocsin_session=" + ada}
	p, streamed := &poller{w, ""}, &syncBuffer{}
	for name, test := range map[string]struct {
		path    string
		method  string
		headers []string
		known   bool
	}{
		"header":                         {"xhr", "POST", nil, true},
		"query":                          {"xhr?access_token=" + ada, "POST", []string{"Authorization", ""}, true},
		"cookie":                         {"xhr", "POST", cookie, true},
		"cookie of our page":             {"xhr", "POST", append(cookie, "Origin", w.url), true},
		"cookie of a page that may":      {"xhr", "POST", append(cookie, "Origin", "https://app.example"), true},
		"cookie of another page's frame": {"eventsource", "GET", append(cookie, "Sec-Fetch-Site", "cross-site"), false},
		"cookie of our script":           {"jsonp?c=x", "GET", append(cookie, "Sec-Fetch-Site", "same-origin"), true},
		"cookie of another's script":     {"jsonp?c=x", "GET", append(cookie, "Sec-Fetch-Site", "same-site"), false},
		"cookie of a script":             {"jsonp?c=x", "GET", cookie, false},
		"none":                           {"xhr", "POST", []string{"Authorization", ""}, false},
	} {
		p.path = sockJSPath + "/000/" + strings.ReplaceAll(strings.ReplaceAll(name, " ", ""), "'", "")
		if strings.HasPrefix(test.path, "eventsource") {
			w.follow(p.path+"/"+test.path, streamed, test.headers)
		} else {
			w.do(test.method, p.path+"/"+test.path, "", test.headers...).want(200)
		}
		p.say(connectFrame)
		if strings.HasPrefix(test.path, "eventsource") {
			continue // its stream has the answer
		}
		want := "CONNECTED\\n"
		if !test.known {
			want = "ERROR\\n"
		}
		if got := p.hear("\\n"); !strings.Contains(got, want) {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	w.until("the stranger's stream is told so", func() bool { return strings.Contains(streamed.String(), "ERROR\\n") })
	if strings.Contains(streamed.String(), "CONNECTED") {
		t.Error(streamed.String())
	}
}

// follow opens a stream and copies what it tells.
func (w *world) follow(path string, into *syncBuffer, headers []string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", w.url+path, http.NoBody)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	go func() { // ends with the stream, or with the test
		defer resp.Body.Close()
		_, _ = io.Copy(into, resp.Body)
	}()
}

// A drain reaches a poller, too, who hears why.
func TestDrainTellsAPoller(t *testing.T) {
	w := newStompWorld(t, nil)
	p, _ := w.poll("one")
	p.say(connectFrame)
	p.hear("CONNECTED\\n")
	told := make(chan string, 1)
	go func() { // ends with the session
		for {
			a := w.do("POST", p.path+"/xhr", "", "Authorization", "")
			if strings.HasPrefix(a.body, "c[") {
				told <- a.body
				return
			}
		}
	}()
	w.server.sessions.drain(0)
	select {
	case got := <-told:
		if !strings.HasPrefix(got, "c[1001,") {
			t.Errorf("it was told %s", got)
		}
	case <-time.After(patience):
		t.Fatal("it was told nothing")
	}
	w.until("nobody is there", func() bool { return w.server.sessionCount() == 0 })
	_, a := w.poll("late")
	a.problem(503, "draining")
}

func TestWhatStandsAtTheEndpoint(t *testing.T) {
	w := newStompWorld(t, nil)
	w.do("GET", sockJSPath+"/info", "").want(200, `"websocket":true`, `"cookie_needed":false`)
	w.do("GET", sockJSPath, "").want(200, "Welcome to SockJS!")
	w.do("GET", sockJSPath+"/", "").want(200, "Welcome to SockJS!")
	w.do("GET", sockJSPath+"/iframe.html", "").want(200, "sockjs-client@1.6.1")
	w.do("GET", sockJSPath+"/nothing", "").want(404)
	w.do("GET", sockJSPath+"s", "").problem(404, "not-found")
	if got := w.logged.String(); strings.Contains(got, "level=ERROR") {
		t.Error(got)
	}
	p, _ := w.poll("one")
	w.do("POST", p.path+"/xhr_send", `["`).want(500, "Broken JSON encoding.")
	if got := w.logged.String(); strings.Contains(got, "level=ERROR") {
		t.Errorf("a client's mistake is no error of the server's: %s", got)
	}
}
