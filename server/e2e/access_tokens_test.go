package e2e

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/gorilla/websocket"
	"google.golang.org/protobuf/proto"

	pb "tocsin/transports/alarmpush/alarmpushpb"
	"tocsin/transports/transporttest"
)

// guarded is a server that has every kind of key, an audience, an issuer and two
// seconds of leeway, and the mint of its tokens.
func guarded(t *testing.T, flags ...string) (*server, *mint) {
	t.Helper()
	s := prepareServer(t)
	f := newMint(t, s.secret)
	f.audience, f.issuer = "tocsin", "https://id.example"
	s.flags = append([]string{"--jwt-pem-file", f.file(s.dir), "--jwt-audience", f.audience, "--jwt-issuer", f.issuer,
		"--jwt-leeway", "2s", "--fold", "0"}, flags...)
	s.start()
	return s, f
}

// A door is where a token can be shown. enter says whether it let the bearer in; an
// error means that it could not be found out.
type door struct {
	name  string
	enter func(s *server, token string) (in bool, err error)
}

// httpDoor shows the token by what change does to the request.
func httpDoor(name, method, path string, change func(r *http.Request, token string), in int) door {
	return door{name, func(s *server, token string) (bool, error) {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, method, s.url()+path, http.NoBody)
		if err != nil {
			return false, err
		}
		change(r, token)
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		resp, err := client.Do(r)
		if err != nil {
			return false, err
		}
		_ = resp.Body.Close()
		switch resp.StatusCode {
		case in:
			return true, nil
		case 400, 401, 403, 422, 431:
			return false, nil
		}
		return false, fmt.Errorf("the status %d", resp.StatusCode)
	}}
}

// socketDoor shows the token in a handshake or a first message; in judges the first
// message that comes back.
func socketDoor(name string, path func(token string) string, subprotocol string, first func(token string) (kind int, text []byte), in func(text []byte) bool) door {
	return door{name, func(s *server, token string) (bool, error) {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		d := websocket.Dialer{Subprotocols: strings.Fields(subprotocol)}
		conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(s.url(), "http")+path(token), nil)
		if errors.Is(err, websocket.ErrBadHandshake) {
			if resp.StatusCode/100 == 4 {
				return false, nil
			}
			return false, fmt.Errorf("the status %d", resp.StatusCode)
		}
		if err != nil {
			return false, err
		}
		defer func() { _ = conn.Close() }()
		if kind, text := first(token); kind != 0 {
			_ = conn.WriteMessage(kind, text) // that it is over shows when it is read
		}
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		for {
			_, text, err := conn.ReadMessage()
			var end *websocket.CloseError
			switch {
			case errors.As(err, &end):
				return false, nil
			case errors.Is(err, io.ErrUnexpectedEOF), err != nil && strings.Contains(err.Error(), "reset by peer"):
				return false, nil // a message that is too large
			case err != nil:
				return false, err
			case string(text) == "o": // SockJS
				continue
			}
			return in(text), nil
		}
	}}
}

func at(path string) func(string) string { return func(string) string { return path } }

func text(format string) func(string) (int, []byte) {
	return func(token string) (int, []byte) {
		quoted, _ := json.Marshal(token)
		return websocket.TextMessage, []byte(strings.ReplaceAll(strings.ReplaceAll(format, `"<token>"`, string(quoted)), "<token>", token))
	}
}

func has(part string) func([]byte) bool {
	return func(text []byte) bool { return strings.Contains(string(text), part) }
}

// mqttDoor is a publisher's connection, whose password is the token.
var mqttDoor = door{"MQTT", func(s *server, token string) (bool, error) {
	o := mqtt.NewClientOptions().AddBroker("tcp://" + s.mqtt).SetUsername("d").SetPassword(token).SetAutoReconnect(false).SetProtocolVersion(4)
	c := mqtt.NewClient(o)
	t := c.Connect()
	if !t.WaitTimeout(patience) {
		return false, errors.New("no answer")
	}
	if t.Error() == nil {
		c.Disconnect(0)
	}
	return t.Error() == nil, nil
}}

// doorsOfTokens are all of them.
var doorsOfTokens = []door{
	mqttDoor,
	httpDoor("header", "GET", "/v1/counts", func(r *http.Request, token string) { r.Header.Set("Authorization", "Bearer "+token) }, 200),
	httpDoor("query", "GET", "/v1/counts", func(r *http.Request, token string) { r.URL.RawQuery = "access_token=" + url.QueryEscape(token) }, 200),
	httpDoor("cookie", "GET", "/v1/counts", func(r *http.Request, token string) { r.Header.Set("Cookie", "tocsin_session="+token) }, 200),
	httpDoor("login form", "POST", "/inbox/login", func(r *http.Request, token string) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", "http://"+r.Host)
		body := url.Values{"token": {token}}.Encode()
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}, 303),
	httpDoor("routing key", "POST", "/v1/ingest/pagerduty", func(r *http.Request, token string) {
		r.Header.Set("Content-Type", "application/json")
		key, _ := json.Marshal(token)
		body := `{"routing_key":` + string(key) + `,"event_action":"trigger","dedup_key":"k","payload":{"summary":"s","source":"d","severity":"info"}}`
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
	}, 202),
	socketDoor("websocket", at("/v1/inbox/ws"), "tocsin.v1.json", text(`{"op":"auth","ref":1,"token":"<token>"}`), func(text []byte) bool { return !strings.Contains(string(text), `"op":"error"`) }),
	socketDoor("publishers' websocket", at("/v1/publish/ws"), "tocsin.v1.json", text(`{"op":"auth","ref":1,"token":"<token>"}`), has(`"op":"ok"`)),
	socketDoor("alarm push", at("/ws/alarm"), "", func(token string) (int, []byte) {
		b, _ := proto.Marshal(loginFrame(strings.ToValidUTF8(token, "?"), ""))
		return websocket.BinaryMessage, b
	}, func(text []byte) bool {
		var f pb.Frame
		return proto.Unmarshal(text, &f) == nil && f.GetLoginReply().GetOk()
	}),
	socketDoor("operations", at("/message-center"), "", text(`{"op":"auth","token":"<token>"}`), has(succeeded)),
	socketDoor("app push", func(token string) string { return "/push/" + url.PathEscape(token) + "?cursor=earliest" }, "", text("--"), has("messageId")),
	socketDoor("notices", func(token string) string { return "/notice/ws/socket?SESSION_TOKEN_KEY=" + url.QueryEscape(token) }, "",
		text(`{"receiverId":"alice","message":"m"}`), has(`"message"`)),
	socketDoor("stomp", at("/stomp"), "v12.stomp", text("CONNECT\naccept-version:1.2\npasscode:<token>\n\n\x00"), has("CONNECTED")),
	socketDoor("sockjs", func(token string) string {
		return "/endpoint-websocket/000/" + fmt.Sprintf("%x", len(token)) + "/websocket"
	}, "",
		text(`["CONNECT\naccept-version:1.2\npasscode:<token>\n\n\u0000"]`), has("CONNECTED")),
}

// badTokens are attacks, each of which one implementation or another has fallen
// for.
func badTokens(t *testing.T, f *mint, leeway time.Duration) map[string]string {
	t.Helper()
	good, now := f.payload(nil), time.Now().Unix()
	bad := map[string]string{}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "none ", "", "null"} {
		head := f.header(claims{"alg": alg, "typ": "JWT"})
		bad[fmt.Sprintf("alg %q without a signature", alg)] = f.raw("", head, good, nil)
		bad[fmt.Sprintf("alg %q with a signature", alg)] = f.raw("", head, good, []byte("x"))
	}
	pkix, err := x509.MarshalPKIXPublicKey(f.rsa.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string][]byte{
		"the document of the public keys": f.public, "the RSA key's PEM": f.rsaPEM, "the EC key's PEM": f.ecPEM,
		"the RSA key's DER": pkix, "nothing": {}, "a path": []byte("/dev/null"),
	} {
		bad["HS256 signed with "+name] = f.raw("HS256", `{"alg":"HS256"}`, good, key)
	}
	other := newMint(t, []byte("another secret of thirty-two bytes"))
	bad["another secret"] = f.raw("HS256", `{"alg":"HS256"}`, good, other.secret)
	bad["another RSA key"] = f.raw("RS256", `{"alg":"RS256"}`, good, other.rsa)
	bad["another EC key"] = f.raw("ES256", `{"alg":"ES256"}`, good, other.ec)
	bad["another Ed25519 key"] = f.raw("EdDSA", `{"alg":"EdDSA"}`, good, other.ed)
	bad["RS256 that is ES256"] = f.raw("ES256", `{"alg":"RS256"}`, good, f.ec)
	bad["ES256 that is HS256"] = f.raw("HS256", `{"alg":"ES256"}`, good, f.secret)
	bad["PS256"] = f.raw("PS256", `{"alg":"PS256"}`, good, f.rsa)
	for _, kid := range []string{"../../../../../../dev/null", "/dev/null", "file:///dev/null", "x' UNION SELECT ''; --", "| cat /dev/null", "\x00"} {
		bad[fmt.Sprintf("kid %q and an empty secret", kid)] = f.raw("HS256", f.header(claims{"alg": "HS256", "kid": kid}), good, []byte{})
	}
	jwk := claims{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "mine",
		"x": b64(other.ec.X.FillBytes(make([]byte, 32))), "y": b64(other.ec.Y.FillBytes(make([]byte, 32)))}
	bad["jwk in the header"] = f.raw("ES256", f.header(claims{"alg": "ES256", "kid": "mine", "jwk": jwk}), good, other.ec)
	bad["x5c in the header"] = f.raw("RS256", f.header(claims{"alg": "RS256", "x5c": []string{b64(pkix)}}), good, other.rsa)
	bad["crit"] = f.raw("HS256", `{"alg":"HS256","crit":["exp"],"exp":1}`, good, f.secret)
	bad["b64 false"] = f.raw("HS256", `{"alg":"HS256","b64":false,"crit":["b64"]}`, good, f.secret)
	bad["alg twice"] = f.raw("HS256", `{"alg":"none","alg":"HS256"}`, good, f.secret)
	bad["sub twice"] = f.raw("HS256", `{"alg":"HS256"}`, `{"sub":"bob",`+good[1:], f.secret)
	bad["sub twice, escaped"] = f.raw("HS256", `{"alg":"HS256"}`, `{"s\u0075b":"bob",`+good[1:], f.secret)
	bad["expired by a second beyond the leeway"] = f.hs(claims{"exp": now - int64(leeway/time.Second) - 1})
	bad["no exp"] = f.hs(claims{"exp": nil})
	bad["exp as text"] = f.hs(claims{"exp": fmt.Sprint(now + 3600)})
	bad["nbf in a minute"] = f.hs(claims{"nbf": now + 60})
	bad["iat in a minute"] = f.hs(claims{"iat": now + 60})
	bad["another audience"] = f.hs(claims{"aud": "billing"})
	bad["an audience that begins so"] = f.hs(claims{"aud": []string{"tocsin2", "Tocsin", "tocsin "}})
	bad["no audience"] = f.hs(claims{"aud": nil})
	bad["another issuer"] = f.hs(claims{"iss": "https://id.example.evil.example"})
	bad["no issuer"] = f.hs(claims{"iss": nil})
	bad["larger than a token may be"] = f.hs(claims{"pad": strings.Repeat("x", 9000)})
	for name, sub := range map[string]any{"none": nil, "empty": "", "NUL": "a\x00", "a line end": "a\n", "escape": "\x1b[2J", "a number": 7, "a list": []string{"alice"},
		"an object": claims{"name": "alice"}, "true": true, "of 129 characters": strings.Repeat("é", 129), "half a pair": json.RawMessage(`"\ud800"`)} {
		bad["sub: "+name] = f.hs(claims{"sub": sub})
	}
	return bad
}

// No door takes a token that was tampered with, whoever made the door.
func TestNoDoorTakesABadToken(t *testing.T) {
	t.Parallel()
	s, f := guarded(t, "--mqtt", "127.0.0.1:0")
	var fetched atomic.Int64
	keys := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	t.Cleanup(keys.Close)
	// Something for app push to tell, and good tokens of each kind get in.
	good := map[string]string{
		"HS256": f.hs(nil), "RS256": f.raw("RS256", `{"alg":"RS256"}`, f.payload(nil), f.rsa),
		"ES256": f.raw("ES256", `{"alg":"ES256"}`, f.payload(nil), f.ec), "EdDSA": f.raw("EdDSA", `{"alg":"EdDSA"}`, f.payload(nil), f.ed),
	}
	s.want(s.request("PUT", "/v1/devices/d", good["HS256"], `{"groups":["red"]}`), 200)
	s.want(s.request("POST", "/v1/alarms", good["HS256"], `{"device":"d","type":"t","severity":"major"}`), 202)
	for alg, token := range good {
		for _, d := range doorsOfTokens {
			if in, err := d.enter(s, token); err != nil || !in {
				t.Errorf("%s keeps out a good token of %s: %v", d.name, alg, err)
			}
		}
	}
	// As long ago as it may be.
	if in, err := doorsOfTokens[1].enter(s, f.hs(claims{"exp": time.Now().Unix()})); err != nil || !in {
		t.Errorf("a token within the leeway: %v, %v", in, err)
	}
	bad := badTokens(t, f, 2*time.Second)
	other := newMint(t, f.secret)
	for _, member := range []string{"jku", "x5u"} {
		bad[member] = f.raw("RS256", f.header(claims{"alg": "RS256", member: keys.URL + "/keys"}), f.payload(nil), other.rsa)
	}
	for name, token := range bad {
		for _, d := range doorsOfTokens {
			if in, err := d.enter(s, token); err != nil || in {
				t.Errorf("%s, %s: let in is %v, %v", d.name, name, in, err)
			}
		}
	}
	if n := fetched.Load(); n != 0 {
		t.Errorf("%d keys were fetched from where a token said", n)
	}
	for _, d := range doorsOfTokens {
		if in, err := d.enter(s, f.hs(claims{"sub": strings.Repeat("a", 1<<20)})); in {
			t.Errorf("%s takes a token of a megabyte: %v", d.name, err)
		}
	}
	if log := s.log.String(); strings.Contains(log, "panic") {
		t.Error(log)
	}
	s.want(s.request("GET", "/v1/counts", good["HS256"], ""), 200)
}

// Names that mean something to the log, to NATS or to a path are names like all
// others: each has his own inbox and sees nothing of anybody else's.
func TestOddNamesAreNamesLikeOthers(t *testing.T) {
	t.Parallel()
	s, f := guarded(t)
	root := f.of("root", "publish admin")
	names := []string{"alice", "Alice", "alice ", " alice", "*", ">", "alice.>", "alice.*", "u.alice", "_", "%2A", "all", "r", "$KV.tickets.>", "../alice", "a/b", "a b",
		"é", "e\u0301", "null", "undefined", "true", "0", "everyone", "\"", "{}", "<b>", "alice,bob", "\u200balice", "tocsin"}
	for i, name := range names {
		to, _ := json.Marshal(map[string]any{"to": map[string]any{"users": []string{name}}, "title": fmt.Sprint("for number ", i)})
		s.want(s.request("POST", "/v1/notices", root, string(to)), 202)
	}
	for i, name := range names {
		var page struct {
			Unread  int
			Entries []struct{ Notice struct{ Title string } }
		}
		s.want(s.request("GET", "/v1/inbox?cursor=earliest&limit=1000", f.of(name, "inbox"), ""), 200).json(t, &page)
		if len(page.Entries) != 1 || page.Entries[0].Notice.Title != fmt.Sprint("for number ", i) || page.Unread != 1 {
			t.Errorf("%q has %+v", name, page)
		}
	}
	for i, name := range names { // and the directory by their paths
		path := "/v1/users/" + url.PathEscape(name)
		if name == "../alice" {
			path = "/v1/users/..%2Falice"
		}
		group := fmt.Sprint("g", i)
		s.want(s.request("PUT", path, root, `{"groups":["`+group+`"]}`), 200)
	}
	for i, name := range names {
		a := s.want(s.request("GET", "/v1/users/"+url.PathEscape(name), root, ""), 200)
		if want := fmt.Sprintf(`{"groups":["g%d"]}`, i); strings.TrimSpace(a.body) != want {
			t.Errorf("%q is in %s, want %s", name, a.body, want)
		}
	}
}

// A ticket opens one connection, whatever comes of it, and none after its token was
// taken back.
func TestATicketIsGoodOnceAtEveryDoor(t *testing.T) {
	t.Parallel()
	s, f := guarded(t)
	ticket := func(jti string) string {
		var a struct{ Ticket string }
		s.want(s.request("POST", "/v1/ticket", f.hs(claims{"jti": jti}), ""), 200).json(t, &a)
		return a.Ticket
	}
	for _, path := range []string{"/v1/inbox", "/v1/counts", "/v1/alarms?limit=0", "/v1/alarms/none", "/v1/users", "/inbox"} {
		one := ticket("t")
		sep := "?"
		if strings.Contains(path, "?") {
			sep = "&"
		}
		if a := s.request("GET", path+sep+"ticket="+one, "", ""); a.status == 401 {
			t.Errorf("%s: the first time %d %s", path, a.status, a.body)
		}
		if a := s.request("GET", "/v1/inbox?ticket="+one, "", ""); a.status != 401 {
			t.Errorf("%s: the second time %d %s", path, a.status, a.body)
		}
	}
	one := ticket("taken")
	s.want(s.request("POST", "/v1/revocations", f.hs(nil), `{"jti":"taken"}`), 204)
	wantProblem(t, "a ticket of a revoked token", s.request("GET", "/v1/inbox?ticket="+one, "", ""), 401, "expired-token")
	if _, err := transporttest.Dial(t, s.url(), "/v1/inbox/ws?ticket="+one); err == nil {
		t.Error("a ticket that was used opened a WebSocket")
	}
}

// writeFile replaces a file as a careful program does.
func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	next := filepath.Join(filepath.Dir(path), ".next")
	if err := os.WriteFile(next, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
}
