package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/inbox"
)

func TestAnAcknowledgement(t *testing.T) {
	w := newWorld(t, nil)
	id := w.raise("d1")
	path := "/v1/alarms/" + url.PathEscape(id)
	a := w.do("GET", path, "").want(200, `"id":"`+id+`"`, `"acked":false`, `"groups":["crew"]`, `"attrs":{}`, `"cleared_at":null`)
	var v struct {
		Raised string `json:"raised_at"`
	}
	if err := json.Unmarshal([]byte(a.body), &v); err != nil || len(v.Raised) != len(inbox.TimeFormat) {
		t.Errorf("raised_at %q is not to the millisecond", v.Raised)
	}
	if a.header.Get("ETag") != `"1"` {
		t.Errorf("ETag %q", a.header.Get("ETag"))
	}
	w.do("POST", path+"/ack", "", "If-Match", `"7"`).problem(412, "changed", `"alarm":{"id":"`+id, `"rev":1`)
	w.do("POST", path+"/ack", "", "If-Match", `7`).problem(400, "malformed", "If-Match")
	w.do("POST", path+"/ack", `{"note":7}`).problem(422, "invalid", `"field":"note"`)
	w.do("POST", path+"/ack", `{"note"`).problem(400, "malformed")
	w.do("POST", path+"/ack", `note`, "Content-Type", "text/csv").problem(415, "media-type")
	w.do("POST", path+"/ack", `note`, "Content-Type", "text/plain").problem(400, "malformed")
	w.do("POST", path+"/ack", `{"note":"`+strings.Repeat("x", 2000)+`"}`).problem(422, "invalid")
	w.do("POST", path+"/ack", `{"note":"`+strings.Repeat("x", 70000)+`"}`).problem(413, "too-large", `"limit":65536`)
	a = w.do("POST", path+"/ack", `{"note":"seen"}`, "If-Match", `"1"`, "Content-Type", "text/plain").want(200, `"acked":true`, `"acked_by":"ada"`, `"ack_note":"seen"`)
	if a.header.Get("ETag") != `"2"` {
		t.Errorf("ETag %q", a.header.Get("ETag"))
	}
	eve, err := auth.Sign(secret, auth.Issue{User: "eve", TTL: time.Minute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	w.do("GET", path, "", bearer(eve)...).problem(404, "not-found")
	w.do("POST", path+"/ack", "", bearer(eve)...).problem(404, "not-found")
	w.do("GET", "/v1/alarms/none", "").problem(404, "not-found")
	w.do("POST", "/v1/alarms/none/ack", "").problem(404, "not-found")

	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"cleared"}`).want(202)
	w.do("POST", "/v1/alarms", `{"device":"d1","type":"overspeed","severity":"major"}`).want(202)
	w.do("POST", path+"/ack", "").problem(409, "superseded", `"occurrence":2`)
}

func TestReadMarks(t *testing.T) {
	w := newWorld(t, nil)
	id := w.raise("d1")
	w.raise("d2")
	w.do("POST", "/v1/inbox/read", `{"ids":["`+id+`"]}`).want(200, `{"unread":1,`)
	w.do("POST", "/v1/inbox/read", `{"upto":"latest"}`).want(200, `{"unread":0,`)
	w.do("POST", "/v1/inbox/read", `{"upto":"a b"}`).problem(400, "malformed", `"field":"upto"`)
	w.do("POST", "/v1/inbox/read", `{}`).problem(422, "invalid", `"field":"upto"`)
	w.do("POST", "/v1/inbox/read", `{"ids":"x"}`).problem(422, "invalid", `"field":"ids"`)
	w.do("POST", "/v1/inbox/read", ``).problem(400, "malformed")
	w.do("GET", "/v1/inbox", "").want(200, `"unread":0`)
}

func TestNotices(t *testing.T) {
	w := newWorld(t, nil)
	post := func(body string) answer { return w.do("POST", "/v1/notices", body, "Idempotency-Key", "k") }
	post(`{"to":{"users":["ada","bob"]},"title":"Shift","data":{"a":1}}`).want(202, `"to":"ada","duplicate":false`, `"to":"bob"`)
	post(`{"to":{"users":["ada","bob"]},"title":"Shift","data":{"a":1}}`).want(202, `"to":"ada","duplicate":true`)
	post(`{"id":"2","to":"everyone","title":"All"}`).want(202, `"id":"all.2"`)
	post(`{"id":"3","to":{"groups":["crew"]},"title":"Crew","data":null}`).want(202)
	for _, to := range []string{`"nobody"`, `{}`, `7`, `{"users":"ada"}`} {
		post(`{"to":`+to+`,"title":"x"}`).problem(422, "invalid", `"field":"to`)
	}
	post(`{"to":"everyone"}`).problem(422, "invalid", `"field":"title"`)
	w.do("GET", "/v1/inbox?snapshot=active", "").want(200, "Shift", "All", "Crew")
}

func TestTheDirectory(t *testing.T) {
	w := newWorld(t, nil)
	for _, name := range []string{"Kelmarsh 2", "R04-M1-N4-I:J18-U11", "a/b", "100%", "%2F", "ä+b?#"} {
		path := "/v1/devices/" + url.PathEscape(name)
		w.do("GET", path, "").problem(404, "not-found")
		w.do("PUT", path, `{"groups":["b","a","b"]}`).want(200, `{"groups":["a","b"]}`)
		if groups, known := w.view.Device(name); !known || len(groups) != 2 {
			t.Errorf("%q: %v, %v", name, groups, known)
		}
		w.do("GET", path, "").want(200, `{"groups":["a","b"]}`)
		w.do("DELETE", path, "").want(204)
		w.do("GET", path, "").problem(404, "not-found")
		path = "/v1/users/" + url.PathEscape(name)
		w.do("PUT", path, `{"groups":["a"]}`).want(200)
		w.do("GET", path, "").want(200, `{"groups":["a"]}`)
		w.do("DELETE", path, "").want(204)
		w.do("GET", path, "").want(200, `{"groups":[]}`)
	}
	w.do("PUT", "/v1/devices/d", `{}`).problem(422, "invalid", `"field":"groups"`)
	w.do("PUT", "/v1/devices/d", `{"groups":[""]}`).problem(422, "invalid", `"field":"groups"`)
	w.do("PUT", "/v1/devices/"+strings.Repeat("x", 65), `{"groups":["a"]}`).problem(422, "invalid", `"field":"device"`)

	lines := `{"device":"d1","groups":["a"]}` + "\n" + `{"user":"bob","groups":["a"]}` + "\n{\n"
	w.do("POST", "/v1/directory", lines, "Content-Type", "application/x-ndjson").want(200, `"devices":1`, `"users":1`, `"line":3`)
	w.do("POST", "/v1/directory", lines, "Content-Type", "text/csv").problem(415, "media-type")
	w.log.fail(inbox.ErrFull)
	w.do("POST", "/v1/directory", `{"device":"d2","groups":["a"]}`).problem(503, "storage-full", `"report":{"lines":1,"devices":0`)
	w.log.fail(nil)
}

func TestShutdownSendsEverybodyAway(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/inbox/sse?access_token="+token(t, "ada", "", time.Minute), nil)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() && lines.Text() != "" {
		// the hello
	}
	held := make(chan answer, 1)
	go func() { held <- w.do("GET", "/v1/inbox?wait=50", "") }() // ends with its answer
	down := make(chan error, 1)
	go func() { // ends with its answer
		for w.server.sessionCount() < 2 {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
			}
		}
		down <- w.server.Shutdown(ctx)
	}()
	(<-held).want(200, `"entries":[]`, `"interval":1`)
	var rest []string
	for lines.Scan() {
		rest = append(rest, lines.Text())
	}
	if text := strings.Join(rest, "\n"); !strings.Contains(text, "event: bye\n"+`data: {"reason":"drain","retry_ms":`) {
		t.Errorf("the stream ended with %q", text)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
	opsGet(t, w, "/readyz", 503, "going down")
}

func TestAnOpenStreamOverTheEdge(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, "GET", w.url+"/v1/inbox/sse", nil)
	r.Header.Set("Authorization", "Bearer "+token(t, "ada", "", 3*time.Second))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	id := w.raise("d1")
	var all []string
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		all = append(all, lines.Text())
	}
	text := strings.Join(all, "\n")
	for _, want := range []string{"event: hello", id, "event: counts", `data: {"reason":"expired"`} {
		if !strings.Contains(text, want) {
			t.Errorf("%s\nwant %s in it", text, want)
		}
	}
	if resp.Header.Get("Content-Encoding") != "" || resp.Header.Get("X-Accel-Buffering") != "no" {
		t.Errorf("%v", resp.Header)
	}
}
