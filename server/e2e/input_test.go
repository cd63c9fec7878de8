package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
)

// problem is the body of an error.
type problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
}

// wantProblem checks the shape of an error and that its detail has the words.
func wantProblem(t *testing.T, what string, a answer, status int, words ...string) {
	t.Helper()
	var p problem
	if a.status != status {
		t.Errorf("%s: %d %.200s, want %d", what, a.status, a.body, status)
		return
	}
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Errorf("%s: %q is no problem: %v", what, a.body, err)
		return
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		t.Errorf("%s: content type %q", what, ct)
	}
	if p.Status != status || !strings.HasPrefix(p.Type, "/problems/") || p.Title == "" || p.Instance == "" {
		t.Errorf("%s: %+v", what, p)
	}
	for _, w := range words {
		if !strings.Contains(a.body, w) {
			t.Errorf("%s: %s does not say %q", what, a.body, w)
		}
	}
	if status == 401 && a.header.Get("WWW-Authenticate") == "" {
		t.Errorf("%s: no WWW-Authenticate", what)
	}
}

func TestBadInputIsAnsweredByName(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.root()
	post := func(body string, header ...string) answer {
		return s.request("POST", "/v1/alarms", root, body, header...)
	}
	wantProblem(t, "not JSON", post(`{"device":`), 400)
	wantProblem(t, "wrong type", post(`{"device":7,"type":"t","severity":"major"}`), 422, "device", "string")
	wantProblem(t, "device of 65", post(fmt.Sprintf(`{"device":%q,"type":"t","severity":"major"}`, strings.Repeat("d", 65))), 422, "device", "64")
	wantProblem(t, "no type", post(`{"device":"d","severity":"major"}`), 422, "type")
	wantProblem(t, "a number", post(`17`), 400)
	wantProblem(t, "a content type", post(`x`, "Content-Type", "text/csv"), 415)
	wantProblem(t, "6 MiB", post(`[`+strings.Repeat(" ", 6<<20)+`]`), 413, "5242880")
	var many strings.Builder
	for i := range 5001 {
		fmt.Fprintf(&many, `,{"device":"d%d","type":"t","severity":"major"}`, i)
	}
	wantProblem(t, "5,001 alarms", post("["+many.String()[1:]+"]"), 413, "5000")
	if a := s.request("GET", "/v1/inbox", root, ""); !strings.Contains(a.body, `"unread":0`) {
		t.Errorf("a refused body left something: %s", a.body)
	}

	// A bad line spoils no other.
	a := s.want(post("{\"device\":\"d\",\"type\":\"t\",\"severity\":\"major\"}\nnonsense\n{\"device\":\"e\",\"type\":\"t\",\"severity\":\"minor\"}\n",
		"Content-Type", "application/x-ndjson"), 202)
	var results struct{ Results []struct{ Status string } }
	a.json(t, &results)
	if got := fmt.Sprint(results.Results); got != "[{raised} {rejected} {raised}]" {
		t.Errorf("lines: %s", got)
	}

	// The same key and body again: the same results.
	again := func() string {
		a := s.want(post(`[{"device":"k","type":"t","severity":"major"}]`, "Idempotency-Key", "key"), 202)
		return strings.Replace(a.body, `"duplicate":true`, `"duplicate":false`, 1)
	}
	if one, two := again(), again(); one != two {
		t.Errorf("sent again: %s, first %s", two, one)
	}
	a = post(`{"id":"key/1","device":"other","type":"t","severity":"major"}`)
	wantProblem(t, "an id used for another alarm", a, 409, "id-reused")
}

func TestBadCursors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	root := s.root()
	s.want(s.request("PUT", "/v1/users/ann", root, `{"groups":["unassigned"]}`), 200)
	s.want(s.request("POST", "/v1/alarms", root, `{"device":"d","type":"t","severity":"major","message":"one"}`), 202)
	ann := s.token("ann", "inbox")
	read := func(cursor string) (page struct {
		Entries []entry
		Cursor  string
		Gap     *struct{ Reason, Repair string }
	}) {
		t.Helper()
		s.want(s.request("GET", "/v1/inbox?cursor="+cursor, ann, ""), 200).json(t, &page)
		return page
	}
	for _, bad := range []string{"garbage", "a.b.c.d.e", strings.Repeat("x", 65), "%F0%9F%9A%A8", "0'--"} {
		wantProblem(t, "cursor "+bad, s.request("GET", "/v1/inbox?cursor="+bad, ann, ""), 400, "cursor")
	}
	good := read("earliest").Cursor
	parts := strings.Split(good, ".")
	if len(parts) != 3 {
		t.Fatalf("cursor %q", good)
	}
	for what, c := range map[string][2]string{
		"another epoch":   {"zzzzzzzzzzzz." + parts[1] + "." + parts[2], "epoch"},
		"beyond the head": {parts[0] + ".zzzzz." + parts[2], "epoch"},
		"other groups":    {parts[0] + "." + parts[1] + ".abc", "membership"},
	} {
		p := read(c[0])
		if p.Gap == nil || p.Gap.Reason != c[1] || p.Gap.Repair != "snapshot" || len(p.Entries) != 1 || p.Entries[0].Alarm.Message != "one" {
			t.Errorf("%s: %+v", what, p)
		}
	}
	s.want(s.request("PUT", "/v1/users/ben", root, `{"groups":["elsewhere"]}`), 200)
	ben := s.token("ben", "inbox")
	if a := s.want(s.request("GET", "/v1/inbox?cursor="+good, ben, ""), 200); !strings.Contains(a.body, "membership") || strings.Contains(a.body, `"one"`) {
		t.Errorf("ben with ann's cursor: %s", a.body)
	}
}

// forge signs claims with HS256, whatever they are.
func forge(secret []byte, header, claims string) string {
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(signed))
	return signed + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

func TestBadTokens(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	const hs256 = `{"alg":"HS256","typ":"JWT"}`
	later := time.Now().Add(time.Hour).Unix()
	claims := func(sub string) string { return fmt.Sprintf(`{"sub":%s,"exp":%d}`, sub, later) }
	if a := s.request("GET", "/v1/inbox", forge(s.secret, hs256, claims(`"ann"`)), ""); a.status != 200 {
		t.Fatalf("a good token: %d %s", a.status, a.body)
	}
	for what, token := range map[string]string{
		"none at all":    "",
		"expired":        forge(s.secret, hs256, fmt.Sprintf(`{"sub":"ann","exp":%d}`, time.Now().Add(-time.Hour).Unix())),
		"no expiry":      forge(s.secret, hs256, `{"sub":"ann"}`),
		"alg none":       strings.TrimSuffix(forge(nil, `{"alg":"none"}`, claims(`"ann"`)), "x"),
		"another secret": forge([]byte("another secret of 32 bytes and more"), hs256, claims(`"ann"`)),
		"no sub":         forge(s.secret, hs256, fmt.Sprintf(`{"exp":%d}`, later)),
		"empty sub":      forge(s.secret, hs256, claims(`""`)),
		"object sub":     forge(s.secret, hs256, claims(`{"a":1}`)),
		"number sub":     forge(s.secret, hs256, claims(`7`)),
		"rubbish":        "rubbish",
	} {
		wantProblem(t, what, s.request("GET", "/v1/inbox", token, ""), 401)
	}
	unsigned := forge(nil, `{"alg":"none"}`, claims(`"ann"`))
	unsigned = unsigned[:strings.LastIndex(unsigned, ".")+1]
	wantProblem(t, "alg none, no signature", s.request("GET", "/v1/inbox", unsigned, ""), 401)
	ann := s.token("ann", "inbox")
	wantProblem(t, "publishing without the scope", s.request("POST", "/v1/alarms", ann, `{}`), 403, "publish")
	wantProblem(t, "administering without the scope", s.request("PUT", "/v1/users/ann", ann, `{"groups":["*"]}`), 403, "admin")
	if strings.Contains(s.log.String(), ann) {
		t.Error("the log has a token in it")
	}
}

func TestHS256WithThePublicKeyIsRefused(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, public, 0o600); err != nil {
		t.Fatal(err)
	}
	s := newServer(t, "--jwt-hs256-file", "", "--jwt-pem-file", file)
	claims := fmt.Sprintf(`{"sub":"ann","exp":%d}`, time.Now().Add(time.Hour).Unix())
	for _, secret := range [][]byte{public, der} {
		wantProblem(t, "HS256 with the public key", s.request("GET", "/v1/inbox", forge(secret, `{"alg":"HS256"}`, claims), ""), 401)
	}
}

// A text of every hostile kind arrives intact on every way there is.
func TestAnyTextArrivesIntact(t *testing.T) {
	t.Parallel()
	const hostile = "CR\r LF\n CRLF\r\n </script> NUL\x00 \U0001f6a8 \u2028 \"\\ &amp; data: id: \r\rend"
	s := newServer(t)
	root := s.root()
	body, _ := json.Marshal(map[string]any{"device": "d", "type": "t", "severity": "major", "message": hostile, "attrs": map[string]string{"k": hostile}})
	s.want(s.request("POST", "/v1/alarms", root, string(body)), 202)
	for _, way := range []string{"poll", "longpoll", "sse"} {
		h := newHopper(s, "ann", 1, []string{way}, "*")
		h.cursor = "earliest"
		ctx, cancel := contextUntil(t, func() bool { return h.count() > 0 })
		h.run(ctx, time.Second)
		cancel()
		if len(h.got) != 1 || h.got[0].Alarm.Message != hostile || len(h.odd) > 0 {
			t.Errorf("%s: %+v %v", way, h.got, h.odd)
		}
	}
}

func TestAuthSignMatchesTheCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, errs, err := s.tocsin(t.Context(), "token", "--jwt-hs256-file", s.secretFile(), "--sub", "ann", "--groups", "a,b", "--scope", "inbox publish", "--ttl", "1h")
	if err != nil {
		t.Fatalf("%v: %s", err, errs)
	}
	token := strings.TrimSuffix(out, "\n")
	v, err := auth.New(t.Context(), auth.Options{HS256: s.secret})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), token)
	if err != nil || id.User != "ann" || fmt.Sprint(id.Groups) != "[a b]" || !id.Has("publish") || id.Has("admin") {
		t.Errorf("%+v, %v", id, err)
	}
	s.want(s.request("GET", "/v1/inbox", token, ""), 200)
}
