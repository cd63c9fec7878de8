package httpd

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// The array of a body is taken apart as encoding/json would, and an array that is
// none is refused as a whole or in its elements.
func FuzzReadArray(f *testing.F) {
	f.Add([]byte(`[{"device":"d","type":"t","severity":"major"},{"device":"d"}]`))
	f.Add([]byte(`["\\\"]",[[]],{"a":"]"},1]`))
	f.Add([]byte(`[]`))
	f.Add([]byte("[\f]"))
	f.Add([]byte(`[,]`))
	f.Add([]byte(`[1}`))
	f.Add([]byte(`[1] 2`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) == 0 || body[0] != '[' {
			return
		}
		p := publishing{most: 100}
		err := p.readArray(body)
		var want []json.RawMessage
		valid := json.Unmarshal(body, &want) == nil
		var most *limitError
		switch {
		case errors.As(err, &most):
			if valid && len(want) <= p.most {
				t.Errorf("%q has %d elements, which is too many: %v", body, len(want), err)
			}
		case valid != (err == nil):
			t.Errorf("%q is JSON: %v, and read: %v", body, valid, err)
		case valid && len(p.lines) != len(want):
			t.Errorf("%q has %d elements, and %d are read", body, len(want), len(p.lines))
		}
	})
}

// A revision is asked for in quotes, once.
func FuzzIfMatch(f *testing.F) {
	for _, s := range []string{`"3"`, `W/"3"`, `*`, ``, `"0"`, `"3", "4"`, `"`, `"-1"`, `"18446744073709551616"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rev, err := revOf(&http.Request{Header: http.Header{"If-Match": {text}}})
		switch trimmed := strings.TrimSpace(text); {
		case err != nil && !errors.Is(err, errPrecondition):
			t.Errorf("%q: an error that is none of ours: %v", text, err)
		case err == nil && rev == 0 && trimmed != "" && trimmed != "*":
			t.Errorf("%q asks for nothing", text)
		}
	})
}

// fuzzed are the routes that are asked with whatever comes: all that read more than
// a name and do not stay open.
var fuzzed = []string{
	"GET /v1/inbox", "POST /v1/inbox/read", "POST /v1/alarms", "GET /v1/alarms", "GET /v1/alarms/{id}", "GET /v1/alarms/{id}/history",
	"POST /v1/alarms/ack", "POST /v1/alarms/{id}/ack", "POST /v1/alarms/{id}/shelve", "POST /v1/alarms/{id}/comment", "POST /v1/alarms/{id}/clear",
	"GET /v1/counts", "POST /v1/notices", "POST /v1/ingest/cloudevents", "POST /v1/ingest/alertmanager", "POST /v1/ingest/pagerduty",
	"GET /v1/deadletters", "GET /v1/devices", "GET /v1/users", "PUT /v1/devices/{id}", "PUT /v1/users/{id}", "POST /v1/directory",
	"GET /v1/alarms/{id}/deliveries", "GET /v1/explain", "GET /v1/connections", "GET /v1/presence", "POST /v1/revocations", "POST /v1/ticket",
	"GET /inbox", "GET /inbox/alarm", "POST /inbox/ack", "POST /inbox/do", "POST /inbox/read", "POST /inbox/login",
}

// FuzzHTTP asks every route with whatever query, headers and body there may be, as
// somebody who may do everything: an answer is never a 5xx, and each is what it
// says it is; a problem that is a field's names it.
func FuzzHTTP(f *testing.F) {
	w := newWorld(f, nil)
	id := w.raise("d1")
	for i := range fuzzed {
		f.Add(byte(i), id, "limit=3&state=all&after=x", "application/json", "", []byte(`{"device":"d1","type":"overspeed","severity":"major","groups":["a"],"sub":"x","upto":"latest"}`))
	}
	f.Add(byte(0), "", "cursor=earliest&limit=1&snapshot=active&wait=0", "", `W/"x", *`, []byte{})
	f.Add(byte(2), "", "edge=true", "application/x-ndjson", "", []byte("{}\n{\"device\":1}\n\n[\n"))
	f.Add(byte(2), "", "", "application/json; charset=utf-8", "", []byte(`[{"device":"d1","type":"t","severity":"x","attrs":{"a":"b"},"time":"2026-11-21T02:00:00Z"}]`))
	f.Add(byte(12), "", "", "application/json", "", []byte(`{"to":{"groups":["crew"]},"title":"t"}`))
	f.Add(byte(13), "", "", "application/cloudevents-batch+json", "", []byte(`[{"specversion":"1.0","id":"1","source":"s","type":"t","data":{}}]`))
	f.Add(byte(29), "%ff", "id=%00&after=1", "application/x-www-form-urlencoded", `"3"`, []byte("op=shelve&for=8h&id=x&csrf=y"))
	bearer := "Bearer " + token(f, "ada", "inbox publish admin", time.Hour)
	f.Fuzz(func(t *testing.T, route byte, name, query, contentType, match string, body []byte) {
		if q, _ := url.ParseQuery(query); q.Has("wait") {
			return // a long poll
		}
		method, path, _ := strings.Cut(fuzzed[int(route)%len(fuzzed)], " ")
		path = strings.ReplaceAll(path, "{id}", pathSegment(name))
		r := httptest.NewRequestWithContext(t.Context(), method, "http://gw"+path, bytes.NewReader(body))
		r.URL.RawQuery = query
		for key, value := range map[string]string{"Authorization": bearer, "Origin": "http://gw", "Content-Type": contentType,
			"If-Match": match, "If-None-Match": match, "Idempotency-Key": match} {
			if value != "" {
				r.Header.Set(key, value)
			}
		}
		a := httptest.NewRecorder()
		w.server.Handler().ServeHTTP(a, r)
		if a.Code >= 500 {
			t.Fatalf("%s %s?%s is answered with %d %s", method, path, query, a.Code, a.Body)
		}
		checkBody(t, method+" "+path, a)
	})
}

// checkBody wants what was answered to be what it calls itself.
func checkBody(t *testing.T, what string, a *httptest.ResponseRecorder) {
	t.Helper()
	switch media, _, _ := strings.Cut(a.Header().Get("Content-Type"), ";"); media {
	case "application/problem+json":
		var p struct {
			Type, Title, Detail string
			Status              int
		}
		if err := json.Unmarshal(a.Body.Bytes(), &p); err != nil || p.Status != a.Code || p.Type == "" || p.Title == "" {
			t.Errorf("%s: the problem is %s, %v", what, a.Body, err)
		}
		if p.Status == http.StatusUnprocessableEntity && !bytes.Contains(a.Body.Bytes(), []byte(`"field":`)) {
			t.Errorf("%s: it does not name the field: %s", what, a.Body)
		}
	case "application/json":
		if !json.Valid(a.Body.Bytes()) {
			t.Errorf("%s: this is not JSON: %s", what, a.Body)
		}
	case "", "text/html", "application/x-ndjson":
	default:
		t.Errorf("%s: answered as %q", what, media)
	}
}

// pathSegment is a name as it can stand in a request's line.
func pathSegment(name string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~="
	var b strings.Builder
	for i := range len(name) {
		if strings.IndexByte(plain, name[i]) >= 0 {
			b.WriteByte(name[i])
		} else {
			const digits = "0123456789ABCDEF"
			b.WriteString("%" + string(digits[name[i]>>4]) + string(digits[name[i]&15]))
		}
	}
	if b.Len() == 0 || b.String() == "." || b.String() == ".." {
		return "x"
	}
	return b.String()
}
