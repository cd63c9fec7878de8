package page_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"tocsin/server/auth"
	"tocsin/transports/page"
)

func TestAcknowledgeByForm(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	a := w.enter()
	b := w.post(page.PathAck, a.form(a.rows()[0].node, page.PathAck))
	if b.StatusCode != http.StatusSeeOther || b.Header.Get("Location") != a.next() {
		t.Fatalf("%s, to %s", b.Status, b.Header.Get("Location"))
	}
	a = w.get(b.Header.Get("Location"))
	row := a.rows()[0]
	if !strings.Contains(row.state, "acknowledged by ada") || row.mark != "acknowledged" || a.form(row.node, page.PathAck) != nil {
		t.Errorf("row: %+v", row)
	}
}

func TestAPausedPageTakesNotesAndStaysPaused(t *testing.T) {
	w := newWorld(t, 0)
	w.raise("d1", "major")
	a := w.enter()
	if form := a.form(a.root, page.PathAck); form.Has("note") {
		t.Error("a page that refreshes itself would lose a note that is being typed")
	}
	a = w.get(a.link("Pause"))
	form := a.form(a.root, page.PathAck)
	form.Set("note", " on my way ")
	b := w.post(page.PathAck, form)
	a = w.get(b.Header.Get("Location"))
	if next, _ := a.refresh(); next != "" {
		t.Error("the page goes on")
	}
	if !strings.Contains(a.rows()[0].state, "(on my way)") {
		t.Errorf("state: %s", a.rows()[0].state)
	}
}

func TestAcknowledgeWhatIsNotThere(t *testing.T) {
	w := newWorld(t, 0)
	r := w.raise("d1", "major")
	a := w.enter()
	form := a.form(a.root, page.PathAck)
	form.Set("id", "no.such.alarm.1.x")
	b := w.post(page.PathAck, form)
	if b.StatusCode != http.StatusNotFound || b.link("Back to the inbox") != a.next() {
		t.Errorf("%s: %s", b.Status, text(b.root))
	}
	w.groups("ada", "elsewhere") // the alarm is not hers any more
	form.Set("id", r.ID)
	if b = w.post(page.PathAck, form); b.StatusCode != http.StatusNotFound {
		t.Errorf("somebody else's alarm: %s", b.Status)
	}
}

func TestFormsFromElsewhereAreRefused(t *testing.T) {
	for name, same := range map[string]func(*http.Request) bool{"auth.SameOrigin": auth.SameOrigin, "the default": nil} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 0)
			w.sameOrigin = same
			refuseFromElsewhere(t, w)
		})
	}
}

func refuseFromElsewhere(t *testing.T, w *world) {
	w.raise("d1", "major")
	a := w.enter()
	good := a.form(a.root, page.PathAck)
	without := func(field string) url.Values {
		form := url.Values{}
		for k, v := range good {
			if k != field {
				form[k] = v
			}
		}
		return form
	}
	wrong := without("csrf")
	wrong.Set("csrf", strings.Repeat("A", len(good.Get("csrf"))))
	for name, c := range map[string]struct {
		form   url.Values
		header []string
	}{
		"another origin":                    {good, []string{"Origin", "http://elsewhere.example"}},
		"another port":                      {good, []string{"Origin", "http://127.0.0.1:1"}},
		"an origin that is not told":        {good, []string{"Origin", "null"}},
		"another origin, a referer of ours": {good, []string{"Origin", "http://elsewhere.example", "Referer", w.url + "/inbox"}},
		"another referer":                   {good, []string{"Referer", "http://elsewhere.example/" + w.url}},
		"neither":                           {good, nil},
		"no CSRF token":                     {without("csrf"), []string{"Origin", w.url}},
		"a wrong CSRF token":                {wrong, []string{"Origin", w.url}},
	} {
		for _, path := range []string{page.PathAck, page.PathRead, page.PathLogout} {
			if b := w.do("POST", path, c.form, c.header...); b.StatusCode != http.StatusForbidden || b.Header.Get("Set-Cookie") != "" {
				t.Errorf("%s to %s: %s", name, path, b.Status)
			}
		}
	}
	if row := w.get(page.Path).rows()[0]; !strings.Contains(row.state, "unacknowledged") {
		t.Errorf("row: %+v", row)
	}
	// A text browser does not know Origin.
	if b := w.do("POST", page.PathAck, good, "Referer", w.url+"/inbox?cursor=x"); b.StatusCode != http.StatusSeeOther {
		t.Errorf("a form with a referer only: %s", b.Status)
	}
}

func TestACSRFTokenBelongsToItsSession(t *testing.T) {
	w := newWorld(t, 0)
	w.groups("bob", "crew")
	w.raise("d1", "major")
	form := w.enter().form(w.get(page.Path).root, page.PathAck)
	w.browse()
	w.post(page.PathLogin, url.Values{"token": {"token-of-bob"}})
	if b := w.post(page.PathAck, form); b.StatusCode != http.StatusForbidden {
		t.Errorf("ada's form in bob's session: %s", b.Status)
	}
}

func TestLogin(t *testing.T) {
	w := newWorld(t, 0)
	a := w.do("GET", page.Path, nil)
	if a.StatusCode != http.StatusUnauthorized || a.form(a.root, page.PathLogin) == nil {
		t.Fatalf("without a session: %s: %s", a.Status, text(a.root))
	}
	form := a.form(a.root, page.PathLogin)
	form.Set("token", "nonsense")
	b := w.post(page.PathLogin, form)
	if b.StatusCode != http.StatusUnauthorized || len(b.bars()) != 1 || !strings.Contains(b.bars()[0], "not acceptable") || b.form(b.root, page.PathLogin) == nil {
		t.Errorf("a bad token: %s: %s", b.Status, text(b.root))
	}
	if strings.Contains(text(b.root), "nonsense") || b.form(b.root, page.PathLogin).Get("token") != "" {
		t.Error("the answer repeats the token")
	}
	form.Set("token", " Bearer token-of-ada\n")
	if b = w.do("POST", page.PathLogin, form, "Origin", "http://elsewhere.example"); b.StatusCode != http.StatusForbidden {
		t.Errorf("from elsewhere: %s", b.Status)
	}
	b = w.post(page.PathLogin, form)
	if b.StatusCode != http.StatusSeeOther || b.Header.Get("Location") != page.Path || !strings.Contains(b.Header.Get("Set-Cookie"), "HttpOnly") {
		t.Fatalf("a good token: %s %v", b.Status, b.Header)
	}
	a = w.get(page.Path)
	if !strings.Contains(text(a.root), "Inbox of ada") {
		t.Errorf("page: %s", text(a.root))
	}
	b = w.post(page.PathLogout, a.form(a.root, page.PathLogout))
	if b.StatusCode != http.StatusSeeOther {
		t.Fatalf("logout: %s", b.Status)
	}
	if a = w.do("GET", b.Header.Get("Location"), nil); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the logout: %s", a.Status)
	}
}

func TestARedirectStaysHere(t *testing.T) {
	w := newWorld(t, 0)
	for _, cursor := range []string{"http://elsewhere.example", "//elsewhere.example", "\r\nX: y", strings.Repeat("a", 100), "latest", "<script>"} {
		b := w.post(page.PathLogin, url.Values{"token": {"token-of-ada"}, "cursor": {cursor}})
		if got := b.Header.Get("Location"); got != page.Path {
			t.Errorf("%q leads to %q", cursor, got)
		}
	}
}

func TestAFormIsBounded(t *testing.T) {
	w := newWorld(t, 0)
	for size, want := range map[int]int{64 << 10: http.StatusUnauthorized, 64<<10 + 1: http.StatusRequestEntityTooLarge, 1 << 20: http.StatusRequestEntityTooLarge} {
		b := w.post(page.PathLogin, url.Values{"token": {strings.Repeat("a", size-len("token="))}})
		if b.StatusCode != want {
			t.Errorf("a form of %d bytes: %s, want %d", size, b.Status, want)
		}
	}
}
