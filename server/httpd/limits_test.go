package httpd

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/directory"
	"tocsin/server/inbox"
)

// quoted is a text of JSON.
func quoted(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// names are so many texts that differ, of the length.
func names(n, chars int) (list []string) {
	for i := range n {
		number := fmt.Sprint(i)
		list = append(list, number+strings.Repeat("ü", chars-len(number)))
	}
	return list
}

func TestLimitsOfANotice(t *testing.T) {
	w := newWorld(t, nil)
	for _, c := range []struct {
		field string
		of    func(beyond int) map[string]any
	}{
		{"title", func(b int) map[string]any {
			return map[string]any{"title": strings.Repeat("ü", alarm.MaxTitleChars+b)}
		}},
		{"body", func(b int) map[string]any { return map[string]any{"body": strings.Repeat("x", alarm.MaxNoticeBytes+b)} }},
		{"data", func(b int) map[string]any {
			return map[string]any{"data": strings.Repeat("x", alarm.MaxNoticeBytes-2+b)}
		}},
		{"id", func(b int) map[string]any { return map[string]any{"id": strings.Repeat("ü", alarm.MaxIDChars+b)} }},
		{"to.users", func(b int) map[string]any {
			return map[string]any{"to": map[string]any{"users": names(alarm.MaxNoticeUsers+b, inbox.MaxUserChars)}}
		}},
		{"to.users", func(b int) map[string]any {
			return map[string]any{"to": map[string]any{"users": names(2, inbox.MaxUserChars+b)}}
		}},
	} {
		for beyond := range 2 {
			notice := map[string]any{"to": "everyone", "title": "Shift"}
			for k, v := range c.of(beyond) {
				notice[k] = v
			}
			a := w.do("POST", "/v1/notices", quoted(t, notice))
			if beyond == 0 {
				a.want(202, `"duplicate":false`)
			} else {
				a.problem(422, "invalid", `"field":"`+c.field+`"`)
			}
		}
	}
}

func TestLimitsOfReading(t *testing.T) {
	w := newWorld(t, nil)
	ids := names(inbox.MaxReadIDs, 400)
	ids[0] = w.raise("d1")
	w.do("POST", "/v1/inbox/read", `{"ids":`+quoted(t, append(ids, "one"))+`}`).problem(422, "invalid", `"field":"ids"`, "1000")
	w.do("GET", "/v1/counts", "").want(200, `"unread":1`)
	w.do("POST", "/v1/inbox/read", `{"ids":`+quoted(t, ids)+`}`).want(200, `"unread":0`)
}

func TestLimitsOfTheDirectory(t *testing.T) {
	w := newWorld(t, nil)
	groups := func(list []string) string { return `{"groups":` + quoted(t, list) + `}` }
	for path, most := range map[string]int{"/v1/devices/": inbox.MaxDeviceChars, "/v1/users/": inbox.MaxUserChars} {
		field := map[string]string{"/v1/devices/": "device", "/v1/users/": "user"}[path]
		w.do("PUT", path+url.PathEscape(strings.Repeat("ü", most)), groups(names(2, 9))).want(200)
		w.do("PUT", path+url.PathEscape(strings.Repeat("ü", most+1)), groups(names(2, 9))).problem(422, "invalid", `"field":"`+field+`"`)
		w.do("PUT", path+"one", groups(names(inbox.MaxGroups, inbox.MaxGroupChars))).want(200)
		w.do("PUT", path+"one", groups(names(inbox.MaxGroups+1, 9))).problem(422, "invalid", `"field":"groups"`)
		w.do("PUT", path+"one", groups(names(1, inbox.MaxGroupChars+1))).problem(422, "invalid", `"field":"groups"`)
	}
	line := `{"device":"d1","groups":["a"]}`
	line += strings.Repeat(" ", directory.MaxLine-len(line)-1) // the end of the line is one of its bytes
	w.do("POST", "/v1/directory", line+"\n"+line, "Content-Type", "application/x-ndjson").want(200, `"lines":2`, `"rejected":0`)
	w.do("POST", "/v1/directory", line+"  \n"+line, "Content-Type", "application/x-ndjson").problem(422, "invalid", `"field":"line"`)
}

func TestLimitsOfPublishing(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBatchBytes = 200_000 })
	sized := func(device string, size int) string {
		text := `{"device":"` + device + `","type":"t","severity":"major","note":""}`
		return strings.Replace(text, `"note":"`, `"note":"`+strings.Repeat("x", size-len(text)), 1)
	}
	w.do("POST", "/v1/alarms", sized("d1", alarm.MaxEventBytes)).want(202)
	w.do("POST", "/v1/alarms", sized("d1", alarm.MaxEventBytes+1)).problem(413, "too-large", `"limit":65536`)
	w.do("POST", "/v1/alarms", "["+good+strings.Repeat(" ", 199_998-len(good))+"]").want(202)
	w.do("POST", "/v1/alarms", "["+good+strings.Repeat(" ", 199_999-len(good))+"]").problem(413, "too-large", `"limit":200000`)

	lines := []string{"Content-Type", "application/x-ndjson"}
	w.do("POST", "/v1/ingest/lines", sized("d2", alarm.MaxEventBytes)+"\n"+good, lines...).want(200, `"counts":{"raised":1,"repeated":1}`)
	w.do("POST", "/v1/ingest/lines", sized("d2", alarm.MaxEventBytes+1)+"\n"+good, lines...).want(200, `"counts":{"rejected":1,"repeated":1}`)
	for path, most := range map[string]int{"/v1/alarms": maxKey, "/v1/ingest/lines": maxUploadKey} {
		w.do("POST", path, good, append(lines, "Idempotency-Key", strings.Repeat("k", most+1))...).problem(400, "malformed", `"field":"Idempotency-Key"`)
		a := w.do("POST", path, good, append(lines, "Idempotency-Key", strings.Repeat("k", most))...)
		if a.status != http.StatusAccepted && a.status != http.StatusOK || strings.Contains(a.body, "problem") {
			t.Errorf("%s with a key of %d: %d %s", path, most, a.status, a.body)
		}
	}
}

func TestLimitsOfQueries(t *testing.T) {
	w := newWorld(t, nil)
	w.raise("d1")
	for _, path := range []string{"/v1/inbox?", "/v1/alarms?"} {
		for limit, status := range map[string]int{"0": 400, "1": 200, "1000": 200, "1001": 400} {
			if a := w.do("GET", path+"limit="+limit, ""); a.status != status {
				t.Errorf("%slimit=%s: %d %s", path, limit, a.status, a.body)
			}
		}
	}
	for asked, applied := range map[string]string{"54": "54", "55": "55", "56": "55"} {
		a := w.do("GET", "/v1/inbox?cursor=earliest", "", "Prefer", "wait="+asked).want(200, `"device":"d1"`)
		if got := a.header.Get("Preference-Applied"); got != "wait="+applied {
			t.Errorf("wait=%s is applied as %s", asked, got)
		}
	}
	var page struct{ Cursor string }
	if err := json.Unmarshal([]byte(w.do("GET", "/v1/inbox", "").want(200).body), &page); err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(page.Cursor, ".")
	for chars, status := range map[int]int{inbox.MaxCursor: 200, inbox.MaxCursor + 1: 400} {
		long := strings.Repeat("e", chars-len(rest)-1) + "." + rest
		w.do("GET", "/v1/inbox?cursor="+long, "").want(status, map[int]string{200: `"reason":"epoch"`, 400: `"field":"cursor"`}[status])
	}
}

// A message of a socket may have a ref of 128 bytes, quotation marks included.
func TestLimitsOfARef(t *testing.T) {
	w := newWorld(t, nil)
	conn := w.dial()
	ref := strings.Repeat("r", 126)
	if f := ask(t, conn, `{"op":"read","upto":"latest","ref":"`+ref+`"}`); f.Op != "ok" || f.Ref != ref {
		t.Errorf("a ref of %d bytes: %+v", len(ref)+2, f)
	}
	say(t, conn, `{"op":"read","upto":"latest","ref":"`+ref+`r"}`)
	if f := ask(t, conn, `{"op":"none","ref":"next"}`); f.Op != "error" || f.Ref != "next" {
		t.Errorf("behind a ref of %d bytes, which is not repeated: %+v", len(ref)+3, f)
	}
}

// A user may have 20 streams; one more is let in and ends the oldest.
func TestLimitOfStreams(t *testing.T) {
	w := newWorld(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	open := func() *bufio.Scanner {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/v1/inbox/sse?access_token="+token(t, "ada", "inbox", time.Minute), nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return bufio.NewScanner(resp.Body)
	}
	// until reads to the event with the text in its data.
	until := func(lines *bufio.Scanner, text string) {
		t.Helper()
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if !strings.Contains(data, text) {
					t.Errorf("%s, want %s", data, text)
				}
				return
			}
		}
		t.Errorf("the stream ended without %s", text)
	}
	var streams []*bufio.Scanner
	for range 21 {
		s := open()
		until(s, `"resumed":false`)
		streams = append(streams, s)
	}
	until(streams[0], `"reason":"superseded"`)
	w.raise("d1")
	for _, s := range streams[1:] {
		until(s, `"device":"d1"`)
	}
}

// A token of 4,000 bytes fits the cookie, and no longer one.
func TestLimitOfASession(t *testing.T) {
	w := newWorld(t, nil)
	fits := map[bool]string{} // the longest that does, the shortest that does not
	for n := 1; fits[false] == ""; n++ {
		var groups []string
		for i := range 20 {
			groups = append(groups, fmt.Sprint(i)+strings.Repeat("😀", inbox.MaxGroupChars/2)) // long in few groups
		}
		for i := range n/50 + 1 { // one byte more each time
			groups = append(groups, fmt.Sprintf("%02d", i)+strings.Repeat("g", min(n-50*i, 50)))
		}
		long, err := auth.Sign(secret, auth.Issue{User: "ada", Groups: groups, Scope: "inbox", TTL: time.Hour}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		fits[len(long) <= auth.MaxSession] = long
	}
	for fit, status := range map[bool]int{true: http.StatusSeeOther, false: http.StatusUnprocessableEntity} {
		text := url.Values{"token": {fits[fit]}}.Encode()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.url+"/inbox/login", strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", w.url)
		resp, err := http.DefaultTransport.RoundTrip(r) // follows no redirect
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		t.Logf("a token of %d bytes: %s", len(fits[fit]), resp.Status)
		if resp.StatusCode != status {
			t.Errorf("a token of %d bytes: %s, want %d", len(fits[fit]), resp.Status, status)
		}
	}
	if most, least := len(fits[true]), len(fits[false]); most < auth.MaxSession-2 || least > auth.MaxSession+2 {
		t.Errorf("the tokens have %d and %d bytes, which is not at the limit", most, least)
	}
}

// Doors that take many alarms at once take as many as POST /v1/alarms does.
func TestLimitsOfBatchesAtOtherDoors(t *testing.T) {
	w := newWorld(t, func(o *Options) { o.MaxBatchEvents = 3 })
	for n, status := range map[int]int{3: http.StatusAccepted, 4: http.StatusRequestEntityTooLarge} {
		var alerts, events []string
		for i := range n {
			alerts = append(alerts, fmt.Sprintf(`{"status":"firing","fingerprint":"%d","startsAt":"2026-11-21T02:00:00Z","labels":{"alertname":"Load"}}`, i))
			events = append(events, fmt.Sprintf(`{"specversion":"1.0","id":"%d","source":"/s","type":"t","subject":"d%d","data":{"severity":"major"}}`, i, i))
		}
		w.do("POST", "/v1/ingest/alertmanager", `{"version":"4","groupKey":"{}","status":"firing","alerts":[`+strings.Join(alerts, ",")+`]}`).
			want(status, map[bool]string{true: `"status":"raised"`, false: `"limit":3`}[n == 3])
		w.do("POST", "/v1/ingest/cloudevents", "["+strings.Join(events, ",")+"]", "Content-Type", "application/cloudevents-batch+json").
			want(status, map[bool]string{true: `"status":"raised"`, false: `"limit":3`}[n == 3])
	}
}
