package auth

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestSessionCookieKeepsItsTokenFromScriptsAndOtherSites(t *testing.T) {
	w := httptest.NewRecorder()
	http.SetCookie(w, SessionCookie("a.b.c", start, true))
	http.SetCookie(w, SessionCookie("a.b.c", start, false))
	http.SetCookie(w, ClearSessionCookie(false))
	want := []string{
		"tocsin_session=a.b.c; Path=/; Expires=Sat, 21 Nov 2026 02:00:00 GMT; HttpOnly; Secure; SameSite=Lax",
		"tocsin_session=a.b.c; Path=/; Expires=Sat, 21 Nov 2026 02:00:00 GMT; HttpOnly; SameSite=Lax",
		"tocsin_session=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax",
	}
	for i, got := range w.Header().Values("Set-Cookie") {
		if got != want[i] {
			t.Errorf("got %q, want %q", got, want[i])
		}
	}
	longest := SessionCookie(strings.Repeat("x", MaxSession), time.Now(), true).String()
	if len(longest) > 4096 {
		t.Errorf("the longest cookie has %d bytes", len(longest))
	}
}

func TestSessionTokenIsWhatTheCookieHolds(t *testing.T) {
	for cookie, want := range map[string]string{
		"": "", "a=b": "", "tocsin_session=a.b.c": "a.b.c", "tocsin_session=a; tocsin_session=b": "",
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Header.Set("Cookie", cookie)
		if got := SessionToken(r); got != want {
			t.Errorf("%q: got %q, want %q", cookie, got, want)
		}
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.AddCookie(SessionCookie("a.b.c", start, true))
	if got := SessionToken(r); got != "a.b.c" {
		t.Errorf("our own cookie gave %q", got)
	}
}

func TestCSRFTokenBelongsToOneSession(t *testing.T) {
	token := CSRFToken("one")
	if len(token) != 43 || token != CSRFToken("one") {
		t.Errorf("got %q", token)
	}
	for _, c := range []struct {
		session, token string
		want           bool
	}{
		{"one", token, true},
		{"two", token, false},
		{"one", "", false},
		{"one", token + "=", false},
		{"one", token[:42], false},
		{"", CSRFToken(""), false},
	} {
		if got := CheckCSRF(c.session, c.token); got != c.want {
			t.Errorf("session %q, token %q: got %v", c.session, c.token, got)
		}
	}
}

func TestSameOriginComparesTheOriginWithTheHost(t *testing.T) {
	for name, c := range map[string]struct {
		origins []string
		host    string
		tls     bool
		want    bool
	}{
		"the same":                      {[]string{"http://gate.example"}, "gate.example", false, true},
		"the same, https":               {[]string{"https://gate.example"}, "gate.example", true, true},
		"https that a proxy ends":       {[]string{"https://gate.example"}, "gate.example", false, true},
		"http, https here":              {[]string{"http://gate.example"}, "gate.example", true, false},
		"the same port":                 {[]string{"http://gate.example:8080"}, "gate.example:8080", false, true},
		"the default port, not named":   {[]string{"https://gate.example"}, "gate.example:443", true, true},
		"capitals":                      {[]string{"http://Gate.example"}, "gate.EXAMPLE", false, true},
		"an address":                    {[]string{"http://[::1]:80"}, "[::1]", false, true},
		"another port":                  {[]string{"http://gate.example:8081"}, "gate.example:8080", false, false},
		"another host":                  {[]string{"http://evil.example"}, "gate.example", false, false},
		"a host that begins alike":      {[]string{"http://gate.example.evil"}, "gate.example", false, false},
		"the host as somebody's name":   {[]string{"http://gate.example@evil.example"}, "evil.example", false, false},
		"null":                          {[]string{"null"}, "gate.example", false, false},
		"none":                          {nil, "gate.example", false, false},
		"an empty one":                  {[]string{""}, "", false, false},
		"two":                           {[]string{"http://gate.example", "http://gate.example"}, "gate.example", false, false},
		"a URL with a path":             {[]string{"http://gate.example/"}, "gate.example", false, false},
		"another scheme":                {[]string{"ws://gate.example"}, "gate.example", false, false},
		"what cannot be read as origin": {[]string{"http://gate.example:%"}, "gate.example", false, false},
	} {
		r := httptest.NewRequest("POST", "/", nil)
		r.Host = c.host
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		r.Header["Origin"] = c.origins
		if got := SameOrigin(r); got != c.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestOnlyTheCookieIsAmbient(t *testing.T) {
	for _, s := range sources {
		if s.from.Ambient() != (s.from == FromCookie) {
			t.Errorf("%s: %v", s.from, s.from.Ambient())
		}
	}
}
