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

// references are what a page or a module loads.
var references = regexp.MustCompile(`(?:src|href|from)[= ]"(?:\./)?((?:live/)?[a-z]+\.[a-z]+)"`)

func TestThePageHasAllThatItLoads(t *testing.T) {
	server := httptest.NewServer(web.Live())
	defer server.Close()
	seen := map[string]string{}
	paths := []string{"/"}
	for len(paths) > 0 {
		path := paths[0]
		paths = paths[1:]
		if _, done := seen[path]; done {
			continue
		}
		resp, body := get(t, server, "GET", path)
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s", path, resp.Status)
		}
		seen[path] = body
		if got := resp.Header.Get("Content-Security-Policy"); got != web.CSP || strings.Contains(got, "unsafe") {
			t.Errorf("%s: Content-Security-Policy %q", path, got)
		}
		if resp.Header.Get("X-Content-Type-Options") != "nosniff" || resp.Header.Get("ETag") == "" {
			t.Errorf("%s: %v", path, resp.Header)
		}
		for _, m := range references.FindAllStringSubmatch(body, -1) {
			paths = append(paths, "/live/"+strings.TrimPrefix(m[1], "live/"))
		}
	}
	if len(seen) != 13 {
		t.Errorf("the page loads %d files: some are not found, or not used", len(seen))
	}
	for path, body := range seen {
		for _, forbidden := range []string{"innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function", "http://", "https://", "<style", "style=", "onclick="} {
			if strings.Contains(strings.ReplaceAll(body, "http://www.w3.org/2000/svg", ""), forbidden) {
				t.Errorf("%s has %s in it", path, forbidden)
			}
		}
	}
	if strings.Count(seen["/"], "<script") != 1 || !strings.Contains(seen["/"], `<script type="module" src="live/app.js"></script>`) {
		t.Error("the page has scripts of its own")
	}
}

func TestEveryIdThatScriptsAskForExists(t *testing.T) {
	server := httptest.NewServer(web.Live())
	defer server.Close()
	_, page := get(t, server, "GET", "/")
	for _, file := range []string{"app", "view", "row"} {
		_, script := get(t, server, "GET", "/live/"+file+".js")
		for _, m := range regexp.MustCompile(`byId\("([a-z-]+)"\)`).FindAllStringSubmatch(script, -1) {
			if !strings.Contains(page, `id="`+m[1]+`"`) {
				t.Errorf("%s.js asks for #%s", file, m[1])
			}
		}
	}
}

func TestServing(t *testing.T) {
	server := httptest.NewServer(web.Live())
	defer server.Close()
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/live/app.js": "text/javascript; charset=utf-8",
		"/live/style.css": "text/css; charset=utf-8", "/live/icon.svg": "image/svg+xml",
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
	for _, path := range []string{"/live/", "/live", "/live/index.html", "/index.html", "/embed.go", "/live/../embed.go", "/live/none.js"} {
		if resp, _ := get(t, server, "GET", path); resp.StatusCode != http.StatusNotFound {
			t.Errorf("GET %s: %s", path, resp.Status)
		}
	}
	if resp, _ := get(t, server, "POST", "/"); resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST /: %s", resp.Status)
	}
}
