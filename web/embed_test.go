package web_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"tocsin/web"
)

func get(t *testing.T, server *httptest.Server, method, path string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

// references are what a page loads.
var references = regexp.MustCompile(`(?:src|href)="(assets/[^"]+)"`)

func TestEveryPageHasAllThatItLoads(t *testing.T) {
	server := httptest.NewServer(web.Handler())
	defer server.Close()
	for _, path := range web.Paths() {
		resp, page := get(t, server, "GET", path)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s", path, resp.Status)
		}
		checkHeaders(t, path, resp)
		checkText(t, path, page)
		loads := references.FindAllStringSubmatch(page, -1)
		if len(loads) < 3 {
			t.Errorf("%s loads %v: want a script, a style and a picture at least", path, loads)
		}
		for _, m := range loads {
			resp, body := get(t, server, "GET", "/"+m[1])
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s loads %s: %s", path, m[1], resp.Status)
			}
			checkHeaders(t, m[1], resp)
			checkText(t, m[1], body)
		}
		if scripts, own := strings.Count(page, "<script"), strings.Count(page, `<script type="module" src="assets/`); scripts == 0 || scripts != own {
			t.Errorf("%s has %d scripts, %d of them modules of ours", path, scripts, own)
		}
	}
}

func checkHeaders(t *testing.T, path string, resp *http.Response) {
	t.Helper()
	if got := resp.Header.Get("Content-Security-Policy"); got != web.CSP || strings.Contains(got, "unsafe") {
		t.Errorf("%s: Content-Security-Policy %q", path, got)
	}
	if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("ETag") == "" {
		t.Errorf("%s: %v", path, resp.Header)
	}
}

// checkText wants no way from text to markup or script, and nothing that the
// policy would forbid.
func checkText(t *testing.T, path, body string) {
	t.Helper()
	for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "<style", " style=", " onclick="} {
		if strings.Contains(body, forbidden) {
			t.Errorf("%s has %s in it", path, forbidden)
		}
	}
}

func TestServing(t *testing.T) {
	server := httptest.NewServer(web.Handler())
	defer server.Close()
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/assets/page/page.js": "text/javascript; charset=utf-8",
		"/assets/page/page.css": "text/css; charset=utf-8", "/assets/page/icon.svg": "image/svg+xml",
		"/assets/inbox/tocsin-inbox.js": "text/javascript; charset=utf-8",
	} {
		resp, _ := get(t, server, "GET", path)
		if got := resp.Header.Get("Content-Type"); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
		again, body := get(t, server, "GET", path, "If-None-Match", resp.Header.Get("ETag"))
		if again.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("%s again: %s", path, again.Status)
		}
		if head, body := get(t, server, "HEAD", path); head.StatusCode != 200 || body != "" || head.ContentLength != resp.ContentLength {
			t.Errorf("HEAD %s: %s %d", path, head.Status, head.ContentLength)
		}
	}
	for _, path := range []string{"/assets/", "/assets", "/assets/page/index.html", "/index.html", "/embed.go", "/assets/../embed.go", "/assets/none.js"} {
		if resp, _ := get(t, server, "GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
	}
	if resp, _ := get(t, server, "POST", "/"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /: %s", resp.Status)
	}
}
