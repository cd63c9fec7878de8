package e2e

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"tocsin/server/auth"
	"tocsin/transports/transporttest"
)

// Whatever a secret comes in, and however wrong it is, no line of the log, of the
// audience of a trace, or of the metrics has it, with everything logged.
func TestNoSecretIsWrittenAnywhere(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var log strings.Builder
	hookSecret := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(hookSecret, []byte("whsec_aG9vay1zZWNyZXQtb2YtdGhlc2UtdGVzdHMtMTIz\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	known := newBackend(t)
	s := prepareServer(t, "--log-level", "debug", "--mqtt", "127.0.0.1:0", "--hook-url", "http://hook-user:hook-pass@127.0.0.1:9/",
		"--hook-secret-file", hookSecret, "--session-callback-url", known.URL)
	keep := func(line string) {
		mu.Lock()
		defer mu.Unlock()
		log.WriteString(line + "\n")
	}
	s.hears = keep
	s.start()
	traced := s.follow("anna")
	wantLine(t, traced, "tracing", nil)

	secrets := s.useEverySecret(t)
	secrets["the hook's"], secrets["the hook's URL"] = "aG9vay1zZWNyZXQtb2YtdGhlc2UtdGVzdHMtMTIz", "hook-pass"
	metrics, err := request(t.Context(), "GET", "http://"+s.ops+"/metrics", "", "")
	if err != nil {
		t.Fatal(err)
	}
	wantLine(t, traced, "ended", func(l traceLine) bool {
		keep(l.text)
		return l.Reason == "kicked"
	})
	s.kill()
	mu.Lock()
	text := log.String() + metrics.body
	mu.Unlock()
	for what, secret := range secrets {
		for _, form := range []string{secret, url.QueryEscape(secret), secret[len(secret)/2:]} {
			if i := strings.Index(text, form); i >= 0 {
				t.Errorf("%s stands in\n%s", what, text[max(0, i-200):min(len(text), i+200)])
			}
		}
	}
	if len(secrets) < 15 || strings.Count(text, "\n") < 50 || !strings.Contains(text, "DEBUG") {
		t.Errorf("only %d secrets and %d lines", len(secrets), strings.Count(text, "\n"))
	}
}

// useEverySecret shows the server secrets of every kind, good ones and bad ones, at
// every door that takes one, and returns them.
func (s *server) useEverySecret(t *testing.T) map[string]string {
	secrets := map[string]string{"the key": string(s.secret)}
	fresh := func(what string) string {
		token := s.token("anna", "inbox publish", what)
		_, signature, _ := strings.Cut(token[strings.Index(token, ".")+1:], ".")
		secrets["the token of "+what] = signature
		return token
	}
	ticket := func(what string) string {
		var got struct{ Ticket string }
		s.want(s.request("POST", "/v1/ticket", s.token("anna", "inbox"), ""), 200).json(t, &got)
		secrets["the ticket of "+what] = got.Ticket
		return got.Ticket
	}
	word := func(what string) string {
		secrets["the word of "+what] = "zq-" + strings.ReplaceAll(what, " ", "-") + "-7f3a9c"
		return secrets["the word of "+what]
	}
	get := func(path string, header ...string) { s.request("GET", path, "", "", header...) }
	get("/v1/inbox", "Authorization", "Bearer "+fresh("the header"))
	get("/v1/inbox", "Authorization", "Bearer "+word("a bad header"))
	get("/v1/inbox", "Authorization", "Basic "+word("basic"))
	get("/v1/inbox?access_token=" + fresh("the query"))
	get("/v1/inbox?access_token=" + word("a bad query"))
	get("/v1/inbox?access%5Ftoken=" + word("a disguise"))
	get("/v1/inbox?x=1;access_token=" + word("a semicolon"))
	get("/nowhere?ticket=" + word("a ticket at no route"))
	get("/v1/inbox?ticket=" + ticket("a poll"))
	spent := ticket("a poll, twice")
	get("/v1/inbox?ticket=" + spent)
	get("/v1/inbox?ticket=" + spent)
	cookie := fresh("the cookie")
	get("/inbox", "Cookie", "tocsin_session="+cookie)
	get("/inbox", "Cookie", "tocsin_session="+word("a bad cookie"))
	secrets["the CSRF token"] = auth.CSRFToken(cookie)
	form := []string{"Content-Type", "application/x-www-form-urlencoded", "Origin", s.url(), "Cookie", "tocsin_session=" + cookie}
	s.request("POST", "/inbox/ack", "", "id=x&csrf="+url.QueryEscape(secrets["the CSRF token"]), form...)
	s.request("POST", "/inbox/login", "", "token="+fresh("the login"), form[:4]...)
	s.request("POST", "/inbox/login", "", "token="+word("a bad login"), form[:4]...)
	s.request("POST", "/v1/ingest/pagerduty", "", fmt.Sprintf(`{"routing_key":%q,"event_action":"trigger"}`, fresh("PagerDuty")))
	s.request("POST", "/v1/ingest/pagerduty", "", fmt.Sprintf(`{"routing_key":%q,"event_action":"trigger"}`, word("a bad routing key")))
	get("/notice/ws/socket?SESSION_TOKEN_KEY=" + word("a bad session"))
	get("/notice/ws/socket", "SESSION_TOKEN_KEY", word("a bad session in the header"))
	get("/push/"+word("a bad path"), "Connection", "close")
	for _, path := range []string{"/push/" + fresh("the path"), "/notice/ws/socket?SESSION_TOKEN_KEY=" + fresh("notices"), "/PUSH/" + word("capitals"), "//push/" + word("slashes")} {
		if c, err := transporttest.Dial(t, s.url(), path); err == nil {
			c.Close()
		}
	}
	c := transporttest.MustDial(t, s.url(), "/v1/inbox/ws")
	c.Send(fmt.Sprintf(`{"op":"auth","token":%q,"ref":1}`, fresh("the WebSocket")))
	c.Send(fmt.Sprintf(`{"op":"auth","token":%q,"ref":2}`, word("a bad WebSocket")))
	for !strings.Contains(c.Read(), `"ref":2`) {
	}
	st := transporttest.MustDial(t, s.url(), "/stomp")
	st.Send("CONNECT\naccept-version:1.2\npasscode:" + word("a bad passcode") + "\n\n\x00")
	_, _ = st.Next(patience)
	o := mqtt.NewClientOptions().AddBroker("tcp://" + s.mqtt).SetClientID("x").SetUsername("x").SetPassword(word("MQTT")).SetAutoReconnect(false)
	mqtt.NewClient(o).Connect().WaitTimeout(patience)
	s.paho("gateway", func(o *mqtt.ClientOptions) { o.SetPassword(fresh("MQTT")) }).Disconnect(uint(time.Millisecond))
	s.want(s.request("DELETE", "/v1/users/anna/connections", s.root(), ""), 200)
	return secrets
}
