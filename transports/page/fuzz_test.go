package page_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"tocsin/server/auth"
	"tocsin/transports/page"
)

// Whatever a form or a query says, it is done or refused with a page that consists
// of allowed elements, and leads nowhere but to the inbox.
func FuzzForms(f *testing.F) {
	w := newWorld(f, 0)
	id := w.raise("d1", "major").ID
	paths := []string{page.PathAck, page.PathDo, page.PathRead, page.PathLogin, page.PathLogout, page.Path, page.PathAlarm}
	for i := range paths {
		f.Add(byte(i), "cursor=latest&id="+id, "id="+id+"&op=shelve&for=8h&note=n&cursor=latest&at="+id)
		f.Add(byte(i), "pause=1&select=1&cursor=earliest", "all=1&shown="+id+"&shown=x&token=Bearer+token-of-ada")
		f.Add(byte(i), "id=%00&after=1", "id=%ff&op=clear&cursor=%0d%0aX-Evil:1&at=//evil.example")
		f.Add(byte(i), "%zz;", "%zz&op=comment&note="+strings.Repeat("n", 3000))
	}
	handler := w.handler()
	f.Fuzz(func(t *testing.T, which byte, query, form string) {
		path := paths[int(which)%len(paths)]
		method := http.MethodPost
		if path == page.Path || path == page.PathAlarm {
			method = http.MethodGet
		}
		r := httptest.NewRequestWithContext(t.Context(), method, "http://gw"+path, strings.NewReader(form+"&csrf="+auth.CSRFToken("token-of-ada")))
		r.URL.RawQuery = query
		r.Header.Set("Origin", "http://gw")
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.AddCookie(auth.SessionCookie("token-of-ada", noon, false))
		a := httptest.NewRecorder()
		handler.ServeHTTP(a, r)
		if a.Code >= 500 {
			t.Fatalf("%s %s with %q is answered with %d %s", method, path, form, a.Code, a.Body)
		}
		if to := a.Header().Get("Location"); to != "" {
			if u, err := url.Parse(to); err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(u.Path, page.Path) {
				t.Errorf("it leads to %q", to)
			}
		}
		root, err := html.ParseWithOptions(bytes.NewReader(a.Body.Bytes()), html.ParseOptionEnableScripting(false))
		if err != nil {
			t.Fatal(err)
		}
		for n := range root.Descendants() {
			if n.Type == html.ElementNode && !allowed[n.Data] && n.Data != "label" { // of the forms of one alarm
				t.Errorf("%q has brought <%s>", form, n.Data)
			}
		}
	})
}
