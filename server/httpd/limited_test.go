package httpd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	remote "tocsin/server/client"
	"tocsin/server/limit"
)

// newLimited is a world with limits. One unit a second is five at once, and the next
// one is refused for as long as a test takes.
func newLimited(t *testing.T, o limit.Options, change func(*Options)) *world {
	t.Helper()
	return newWorld(t, func(all *Options) {
		if change != nil {
			change(all)
		}
		all.Limiter = limit.New(o, nil)
	})
}

// slow is a rate that a test exhausts: one unit in 200 seconds more than its first.
const slow = 1

// refused is a problem of a limit, with the time to come again in header and body.
func (a answer) refused(status int, name, limit string) answer {
	a.t.Helper()
	a.problem(status, name, limit+": at most")
	var p struct {
		RetryAfter int `json:"retry_after"`
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || p.RetryAfter < 1 || fmt.Sprint(p.RetryAfter) != a.header.Get("Retry-After") {
		a.t.Errorf("%s: Retry-After %s, %v", a.body, a.header.Get("Retry-After"), err)
	}
	return a
}

// exhaust asks until a limit is met.
func exhaust(t *testing.T, ask func() answer) answer {
	t.Helper()
	for range 50 {
		if a := ask(); a.status == http.StatusTooManyRequests {
			return a
		}
	}
	t.Fatal("no limit was met")
	return answer{}
}

func TestRequestsOfAnAddressAndOfAUser(t *testing.T) {
	for _, c := range []struct {
		name string
		rate limit.Rate
		free func(w *world) answer // what is not concerned
	}{
		{"requests-per-address", limit.Rate{Address: slow}, func(w *world) answer { return w.do("POST", "/v1/alarms", good) }},
		{"requests-per-user", limit.Rate{User: slow}, func(w *world) answer {
			return w.do("GET", "/v1/inbox", "", bearer(token(t, "bob", "inbox", time.Minute))...)
		}},
		{"requests", limit.Rate{All: slow}, func(w *world) answer { return w.do("POST", "/v1/alarms", good) }},
	} {
		w := newLimited(t, limit.Options{Requests: c.rate}, nil)
		exhaust(t, func() answer { return w.do("GET", "/v1/inbox", "") }).refused(429, "too-many-requests", c.name)
		w.do("GET", "/v1/alarms", "").refused(429, "too-many-requests", c.name)
		if a := c.free(w); a.status >= 400 {
			t.Errorf("%s: %d %s", c.name, a.status, a.body)
		}
	}
}

func TestHandshakesOfAUserAndOfAnAddress(t *testing.T) {
	w := newLimited(t, limit.Options{Handshakes: limit.Rate{User: slow}}, nil)
	shake := func(path string) func() answer {
		return func() answer {
			return w.do("GET", path, "", "Connection", "Upgrade", "Upgrade", "websocket") // and no more
		}
	}
	exhaust(t, shake("/v1/inbox/ws")).refused(429, "too-many-requests", "handshakes-per-user")
	w.do("GET", "/v1/inbox/sse", "").refused(429, "too-many-requests", "handshakes-per-user")
	// A fleet of publishers may share one token.
	for range 20 {
		shake("/v1/publish/ws")().want(426)
	}
	w.do("GET", "/v1/inbox", "").want(200)

	w = newLimited(t, limit.Options{Handshakes: limit.Rate{Address: slow}}, nil)
	exhaust(t, shake("/v1/publish/ws")).refused(429, "too-many-requests", "handshakes-per-address")
}

// A message says who somebody is in place of the handshake, and costs the same.
func TestAHandshakeByMessageIsOne(t *testing.T) {
	w := newLimited(t, limit.Options{Handshakes: limit.Rate{User: slow}}, nil)
	defer func() { // who has not begun is sent away, and may come back
		conn := w.handshake("")
		text := `{"op":"auth","token":"` + token(t, "ada", "inbox", time.Minute) + `"}`
		if _, err := conn.Write(append([]byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}, text...)); err != nil {
			t.Fatal(err)
		}
		said, err := io.ReadAll(conn)
		if code := "\x11\x4dslow down"; err != nil || !strings.Contains(string(said), code) { // 4429
			t.Errorf("%q, %v; want a close with %q", said, err, code)
		}
	}()
	conn := w.dial()
	for range 10 {
		answer := ask(t, conn, `{"op":"auth","ref":"r","token":"`+token(t, "ada", "inbox publish admin", time.Minute)+`"}`)
		if answer.Op == "error" {
			if text := string(answer.Problem); !strings.Contains(text, "handshakes-per-user") || !strings.Contains(text, `"retry_after":`) {
				t.Errorf("%s", text)
			}
			return
		}
	}
	t.Error("no limit was met")
}

const (
	minor    = `{"device":"d1","type":"door","severity":"minor"}`
	critical = `{"device":"d1","type":"fire","severity":"critical"}`
	over     = `{"device":"d1","type":"fire","severity":"critical","state":"cleared"}`
)

// publishers are all doors that take alarms, with a body of these.
var publishers = map[string]func(w *world, alarms ...string) answer{
	"an array": func(w *world, alarms ...string) answer {
		return w.do("POST", "/v1/alarms", "["+strings.Join(alarms, ",")+"]")
	},
	"lines": func(w *world, alarms ...string) answer {
		return w.do("POST", "/v1/alarms", strings.Join(alarms, "\n"), "Content-Type", typeNDJSON)
	},
	"an upload": func(w *world, alarms ...string) answer {
		return w.do("POST", "/v1/ingest/lines", strings.Join(alarms, "\n"), "Content-Type", typeNDJSON)
	},
	"CloudEvents": func(w *world, alarms ...string) answer {
		events := make([]string, len(alarms))
		for i, text := range alarms {
			var e alarm.Event
			if err := json.Unmarshal([]byte(text), &e); err != nil {
				w.t.Fatal(err)
			}
			events[i] = fmt.Sprintf(`{"specversion":"1.0","id":"%d %d","source":"/s","type":"%s","subject":"%s","data":{"severity":"%s","state":"%s"}}`,
				time.Now().UnixNano(), i, e.Type, e.Device, e.Severity, e.State)
		}
		return w.do("POST", "/v1/ingest/cloudevents", "["+strings.Join(events, ",")+"]", "Content-Type", "application/cloudevents-batch+json")
	},
}

// A limit never holds back a critical alarm: of a batch that is too much the others
// are refused one by one, and a batch without any as a whole.
func TestALimitNeverHoldsBackACriticalAlarm(t *testing.T) {
	for limited, o := range map[string]limit.Options{
		"publishes-per-user":     {Publishes: limit.Rate{User: slow}, Criticals: limit.Rate{User: 1000}},
		"publishes-per-address":  {Publishes: limit.Rate{Address: slow}, Criticals: limit.Rate{Address: 1000}},
		"publishes":              {Publishes: limit.Rate{All: slow}, Criticals: limit.Rate{All: 1000}},
		"publish-bytes-per-user": {Bytes: limit.Rate{User: 10}, Criticals: limit.Rate{User: 1000}},
		"publish-bytes":          {Bytes: limit.Rate{All: 10}},
	} {
		for door, publish := range publishers {
			t.Run(limited+" "+door, func(t *testing.T) {
				w := newLimited(t, o, nil)
				w.t = t
				exhaust(t, func() answer { return publish(w, minor) }).refused(429, "too-many-requests", limited)
				for range 100 {
					a := publish(w, minor, critical, over, critical)
					if a.status != http.StatusAccepted && a.status != http.StatusOK {
						t.Fatalf("%d %s", a.status, a.body)
					}
					if strings.Count(a.body, `"status":"rejected"`) != 2 || strings.Count(a.body, `"retry_after":`) != 2 || strings.Count(a.body, limited+": at most") != 2 {
						t.Fatalf("%s", a.body)
					}
				}
				publish(w, minor, over).refused(429, "too-many-requests", limited)
			})
		}
	}
}

func TestASingleAlarmAndNoticesAreRefusedAsSuch(t *testing.T) {
	w := newLimited(t, limit.Options{Publishes: limit.Rate{User: slow}}, nil)
	notice := `{"to":{"users":["ada","bob","cy"]},"title":"Shift"}`
	w.do("POST", "/v1/notices", notice).want(202)
	w.do("POST", "/v1/notices", notice).want(202) // six of five
	w.do("POST", "/v1/notices", notice).refused(429, "too-many-requests", "publishes-per-user")
	w.do("POST", "/v1/alarms", minor).refused(429, "too-many-requests", "publishes-per-user")
	for range 20 {
		w.do("POST", "/v1/alarms", critical).want(202)
	}
	// Alertmanager comes again after a 5xx only.
	alert := `{"version":"4","groupKey":"{}","status":"firing","alerts":[{"status":"firing","fingerprint":"1","startsAt":"2026-11-21T02:00:00Z","labels":{"alertname":"Load","severity":"%s"}}]}`
	w.do("POST", "/v1/ingest/alertmanager", fmt.Sprintf(alert, "warning")).refused(503, "too-many-requests", "publishes-per-user")
	w.do("POST", "/v1/ingest/alertmanager", fmt.Sprintf(alert, "critical")).want(202)
	w.pagerDuty(token(t, "ada", "publish", time.Minute), `"event_action":"trigger","payload":{"summary":"s","source":"d1","severity":"warning"}`).refused(429, "too-many-requests", "publishes-per-user")
	w.pagerDuty(token(t, "ada", "publish", time.Minute), `"event_action":"trigger","payload":{"summary":"s","source":"d1","severity":"critical"}`).want(202)
}

func TestASocketsPublisherIsLimitedLikeOthers(t *testing.T) {
	for limited, o := range map[string]limit.Options{
		"publishes-per-user":     {Publishes: limit.Rate{User: slow}},
		"publish-bytes-per-user": {Bytes: limit.Rate{User: 10}},
	} {
		w := newLimited(t, o, nil)
		c, err := remote.New(w.url, token(t, "ada", "inbox publish", time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		conn, err := c.Dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		publish := func(alarms ...string) (op, text string) {
			a := ask(t, conn, `{"op":"publish","ref":"r","alarms":[`+strings.Join(alarms, ",")+`]}`)
			return a.Op, string(a.Problem) + string(a.Results)
		}
		op, text := publish(minor)
		for i := 0; i < 20 && op == "ok"; i++ {
			op, text = publish(minor)
		}
		if op != "error" || !strings.Contains(text, limited) || !strings.Contains(text, `"retry_after":`) {
			t.Fatalf("%s: %s %s", limited, op, text)
		}
		op, text = publish(critical, minor)
		if op != "ok" || strings.Count(text, `"rejected"`) != 1 || !strings.Contains(text, `"raised"`) {
			t.Errorf("%s: %s %s", limited, op, text)
		}
	}
}

// Criticals have a rate of their own, beyond which they are like others.
func TestAFloodOfCriticalsEnds(t *testing.T) {
	w := newLimited(t, limit.Options{Publishes: limit.Rate{User: slow}, Criticals: limit.Rate{User: slow}}, nil)
	taken := 0
	exhaust(t, func() answer { taken++; return w.do("POST", "/v1/alarms", critical) })
	if taken < 11 || taken > 13 { // five of their own and five of others, and what a moment adds
		t.Errorf("the %dth was refused", taken)
	}
}

// Whoever has too many connections may still say that there is a fire.
func TestConnectionsOfAnAddressBeyondTheLimit(t *testing.T) {
	for name, c := range map[string]struct {
		o       limit.Options
		status  int
		problem string
	}{
		"connections-per-address": {limit.Options{AddressConnections: 3}, 429, "too-many-connections"},
		"connections":             {limit.Options{Connections: 3}, 503, "overloaded"},
	} {
		w := newLimited(t, c.o, nil)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for range 3 {
			w.events(ctx)
		}
		w.do("GET", "/v1/inbox", "").refused(c.status, c.problem, name)
		w.do("POST", "/v1/alarms", critical).want(202)
		cancel()
		w.until("the streams to be gone", func() bool { return w.do("GET", "/v1/inbox", "").status == 200 })
	}
}

// handshake opens a WebSocket without a client's library; header are lines.
func (w *world) handshake(header string) net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprint(conn, "GET /v1/inbox/ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: bm9uc2Vuc2UgYW5kIHNvLg==\r\n"+header+"\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		w.t.Fatal(resp, err)
	}
	return conn
}

// hears is all that ada is told after these frames, up to a text.
func (w *world) hears(first, second, end string) string {
	w.t.Helper()
	conn := w.handshake("Authorization: Bearer " + token(w.t, "ada", "inbox", time.Minute) + "\r\n")
	for _, text := range []string{first, second} {
		frame := append([]byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}, text...)
		if len(text) < 126 {
			frame = append([]byte{0x81, 0x80 | byte(len(text)), 0, 0, 0, 0}, text...)
		}
		if _, err := conn.Write(frame); err != nil {
			w.t.Fatal(err)
		}
	}
	var said []byte
	for part := make([]byte, 1<<10); !bytes.Contains(said, []byte(end)); {
		n, err := conn.Read(part)
		if said = append(said, part[:n]...); err != nil {
			w.t.Fatalf("%q: %v", said, err)
		}
	}
	return string(said)
}

// A flood of sockets that never say whose they are ends those that waited longest.
func TestSocketsOfNobodyMakeRoom(t *testing.T) {
	w := newLimited(t, limit.Options{Waiting: 10, Unlimited: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		func(o *Options) { o.AuthTimeout = time.Hour })
	known := w.dial()
	gone := make(chan string, 11)
	for range 11 {
		conn := w.handshake("")
		go func() { // ends with the connection
			said, _ := io.ReadAll(conn)
			gone <- string(said)
		}()
	}
	select {
	case said := <-gone:
		if !strings.Contains(said, "no auth in time") {
			t.Errorf("%q", said)
		}
	case <-time.After(patience):
		t.Error("none of eleven had to go")
	}
	w.until("one to go", func() bool { return w.server.sessionCount() == 11 })
	if a := ask(t, known, `{"op":"read","ref":"r","upto":"latest"}`); a.Op != "ok" {
		t.Errorf("who is known: %+v", a)
	}
}

// The address behind a trusted proxy is the client's.
func TestClientsBehindAProxyHaveLimitsOfTheirOwn(t *testing.T) {
	w := newLimited(t, limit.Options{Requests: limit.Rate{Address: slow}, Proxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}, nil)
	as := func(client string) func() answer {
		return func() answer { return w.do("GET", "/v1/inbox", "", "X-Forwarded-For", client) }
	}
	exhaust(t, as("192.0.2.1")).refused(429, "too-many-requests", "requests-per-address")
	as("192.0.2.2")().want(200)
	as("192.0.2.3, 192.0.2.1")().refused(429, "too-many-requests", "requests-per-address")
	if !strings.Contains(w.logged.String(), "from=192.0.2.1") {
		t.Error("the log does not say where requests come from")
	}
}

// Nobody tries tokens at a door of publishers as fast as he can; who has one is not
// concerned.
func TestWrongTokensCost(t *testing.T) {
	w := newLimited(t, limit.Options{Requests: limit.Rate{Address: slow}}, nil)
	wrong := bearer("x.y.z")
	exhaust(t, func() answer { return w.do("POST", "/v1/alarms", critical, wrong...) }).refused(429, "too-many-requests", "requests-per-address")
	w.do("POST", "/v1/alarms", critical).want(202)
}

// What a client makes up never becomes a label: a million devices, paths and methods
// are as many series as one.
func TestSeriesOfMetricsAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	client := http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}}
	defer client.CloseIdleConnections()
	series := func() int {
		resp, err := client.Get(w.ops + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "\n")
	}
	round := func(from, to int) {
		var lines strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&lines, `{"device":"device %d","type":"t%d","qualifier":"%d","severity":"minor"}`+"\n", i, i, i)
			w.do(fmt.Sprint("METHOD", i), "/v1/alarms", "").want(405)
			w.do("GET", fmt.Sprintf("/v1/alarms/device%d", i), "").want(404)
			w.do("GET", fmt.Sprintf("/%d", i), "").want(404)
			w.do("GET", "/v1/inbox", "", "X-Forwarded-For", fmt.Sprint(i), "Prefer", fmt.Sprint(i)).want(200)
		}
		w.do("POST", "/v1/alarms", lines.String(), "Content-Type", typeNDJSON).want(202)
	}
	round(0, 2)
	before := series()
	round(2, 1000)
	if after := series(); after != before {
		t.Errorf("%d lines of metrics became %d", before, after)
	}
}

// nested is JSON of so many levels.
func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

// JSON is nested at most 10,000 deep at every door, and what goes on to readers no
// more than alarm.MaxDepth.
func TestJSONIsNestedSoDeep(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBatchBytes = 1 << 20 })
	const most = 10_000
	for path, text := range map[string]string{
		"/v1/alarms":              `{"device":"d1","type":"t","severity":"major","x":%s}`,
		"/v1/ingest/lines":        `{"device":"d1","type":"t","severity":"major","x":%s}`,
		"/v1/ingest/alertmanager": `{"version":"4","groupKey":"{}","status":"firing","alerts":[],"x":%s}`,
		"/v1/notices":             `{"to":"everyone","title":"t","x":%s}`,
		"/v1/inbox/read":          `{"upto":"latest","x":%s}`,
		"/v1/alarms/ack":          `{"ids":["x"],"x":%s}`,
		"/v1/directory":           `{"device":"d1","groups":["crew"],"x":%s}`,
	} {
		for beyond, refused := range map[int]bool{-1: false, 0: true} { // an object is a level
			a := w.do("POST", path, fmt.Sprintf(text, nested(most+beyond)))
			if got := a.status >= 400 || strings.Contains(a.body, "max depth"); got != refused || a.status >= 500 {
				t.Errorf("%s with %d levels: %d %.300s", path, most+beyond+1, a.status, a.body)
			}
		}
	}
	for beyond, answered := range map[int]bool{-1: true, 0: false} {
		said := w.hears(fmt.Sprintf(`{"op":"read","upto":"latest","ref":"r","x":%s}`, nested(most+beyond)), `{"op":"pong","ref":"next"}`, `"next"`)
		if strings.Contains(said, `"ref":"r"`) != answered || !answered && !strings.Contains(said, "malformed") {
			t.Errorf("a frame of %d levels: %q", most+beyond+1, said)
		}
	}
	for beyond, status := range map[int]int{0: 202, 1: 422} {
		a := w.do("POST", "/v1/notices", `{"to":"everyone","title":"t","data":`+nested(alarm.MaxDepth+beyond)+`}`)
		a.want(status)
	}
}

// heap is what is in use.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// stacks are those of all goroutines.
func stacks() string {
	b := make([]byte, 8<<20)
	return string(b[:runtime.Stack(b, true)])
}

// A header costs no memory for a body that never comes.
func TestAnAnnouncedBodyTakesNoMemory(t *testing.T) {
	w := newWorld(t, nil)
	var all []net.Conn
	head := fmt.Sprintf("POST /v1/alarms HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\nContent-Length: 5000000\r\n\r\n[", token(t, "ada", "publish", time.Minute))
	before := heap()
	for range 200 {
		c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, head); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	w.until("all bodies to be awaited", func() bool { return strings.Count(stacks(), ".readBody(") >= len(all) })
	if took := int64(heap()) - int64(before); took > 64<<20 {
		t.Errorf("%d bodies that did not come take %d MiB", len(all), took>>20)
	}
}

// Large bodies share a bounded memory; small ones need none of it, and what has been
// answered has given it back.
func TestBodiesShareABoundedMemory(t *testing.T) {
	w := newLimited(t, limit.Options{BodyMemory: 1 << 20}, nil)
	stall := func(n int, header, path string) {
		for range n {
			c, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { c.Close() })
			fmt.Fprintf(c, "POST %s HTTP/1.1\r\nHost: h\r\n%sContent-Length: 500000\r\n\r\n%s", path, header, strings.Repeat(" ", 200_000))
		}
	}
	large := strings.Repeat(" ", 500_000) + good
	for range 20 { // one after the other they fit
		w.do("POST", "/v1/alarms", large).want(202)
	}
	stall(5, "", "/v1/ingest/pagerduty") // strangers have a quarter
	w.until("strangers to have their share", func() bool {
		return w.do("POST", "/v1/ingest/pagerduty", large, "Authorization", "").status == 503
	})
	w.do("POST", "/v1/alarms", large).want(202)
	stall(8, "Authorization: Bearer "+token(t, "ada", "publish", time.Minute)+"\r\n", "/v1/alarms")
	w.until("all of it to be taken", func() bool { return w.do("POST", "/v1/alarms", large).status == 503 })
	w.do("POST", "/v1/alarms", large).refused(503, "overloaded", "body-memory")
	w.do("POST", "/v1/alarms", strings.Repeat(" ", 60_000)+critical).want(202)
}
