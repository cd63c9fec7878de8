package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// What no page may have in it: script, style or handlers of its own, which a policy
// that keeps injected ones out would keep out, too.
var inlineCode = regexp.MustCompile(`(?i)<script(?:\s[^>]*)?>\s*[^<\s]|<style|\sstyle=|\son[a-z]+=|javascript:`)

// Every answer that is a page, on whatever route, has the policies that keep scripts
// of others and frames out; but for the frame of SockJS, which is there to be framed by
// the origins that are listed.
func TestEveryPageKeepsOthersOut(t *testing.T) {
	t.Parallel()
	s, f := guarded(t, "--allowed-origins", "https://app.example")
	good := f.hs(nil)
	id := s.raisedBy(good, `{"device":"d","type":"t","severity":"major"}`)
	s.want(s.request("PUT", "/v1/devices/d", good, `{"groups":["red"]}`), 200)
	pages := map[string]bool{}
	see := func(name string, a answer) {
		h := a.header
		if h.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q", name, h.Get("X-Content-Type-Options"))
		}
		// With no-referrer browsers would send the forms below /inbox with Origin: null.
		want := "no-referrer"
		if _, path, _ := strings.Cut(name, "/"); strings.HasPrefix(path, "inbox") {
			want = "same-origin"
		}
		if policy := h.Get("Referrer-Policy"); policy != want {
			t.Errorf("%s: Referrer-Policy %q, want %s", name, policy, want)
		}
		for _, cookie := range (&http.Response{Header: h}).Cookies() {
			if cookie.Name != "tocsin_session" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" {
				t.Errorf("%s: the cookie %s", name, cookie)
			}
		}
		if !strings.HasPrefix(h.Get("Content-Type"), "text/html") {
			return
		}
		pages[name] = true
		for _, want := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'", "script-src 'self'"} {
			if !strings.Contains(h.Get("Content-Security-Policy"), want) {
				t.Errorf("%s: Content-Security-Policy %q lacks %s", name, h.Get("Content-Security-Policy"), want)
			}
		}
		if strings.Contains(h.Get("Content-Security-Policy"), "unsafe") || h.Get("X-Frame-Options") != "DENY" {
			t.Errorf("%s: %v", name, h)
		}
		if found := inlineCode.FindString(a.body); found != "" {
			t.Errorf("%s: %q in it", name, found)
		}
	}
	cookie := []string{"Cookie", "tocsin_session=" + good}
	for name, a := range accessOf {
		for who, header := range map[string][]string{"nobody": nil, "a bearer": {"Authorization", "Bearer " + good}, "a cookie": cookie, "an odd one": {"Cookie", "tocsin_session=x"}} {
			see(name+" by "+who, s.visit(name, a, header, ""))
		}
	}
	for _, path := range []string{"/inbox/alarm?id=" + url.QueryEscape(id), "/inbox?select=1", "/inbox?pause=1", "/inbox?cursor=x", "/none"} {
		see(path, s.request("GET", path, "", "", cookie...))
	}
	for _, want := range []string{"GET / by nobody", "GET /console by nobody", "GET /doctor by nobody", "GET /inbox by nobody", "GET /inbox by a cookie", "POST /inbox/login by nobody", "POST /inbox/ack by a cookie"} {
		if !pages[want] {
			t.Errorf("%s is no page", want)
		}
	}
	frame := s.want(s.request("GET", "/endpoint-websocket/iframe.html", "", ""), 200)
	if got := frame.header.Get("Content-Security-Policy"); got != "frame-ancestors 'self' https://app.example" {
		t.Errorf("the frame of SockJS: %q", got)
	}
	t.Logf("%d pages", len(pages))
}

// The session's cookie is kept to https wherever the browser speaks it.
func TestTheSessionsCookieIsKeptToHTTPS(t *testing.T) {
	t.Parallel()
	s, f := guarded(t)
	for proto, want := range map[string]bool{"": false, "http": false, "https": true, "HTTPS, http": true} {
		client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
		r, err := http.NewRequestWithContext(t.Context(), "POST", s.url()+"/inbox/login", strings.NewReader(url.Values{"token": {f.hs(nil)}}.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", s.url())
		if proto != "" {
			r.Header.Set("X-Forwarded-Proto", proto)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if c := resp.Cookies(); resp.StatusCode != 303 || len(c) != 1 || c[0].Secure != want || !c[0].HttpOnly || c[0].SameSite != http.SameSiteLaxMode {
			t.Errorf("%q: %d, %v", proto, resp.StatusCode, c)
		}
	}
}
