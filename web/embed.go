// Package web holds what browsers get, inside the binary.
//
// [Live] is the small page at / that shows an inbox as it happens, over whichever
// transport works (docs/protocol.md §4 to §6, §8). It has no build step: what
// lies in live is what is served.
//
// Rules of use: mount the handler at / and below /live/. It needs no
// authentication, since the page knows nothing until it is given a token, and
// its headers are to be left as they are.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

//go:embed live
var files embed.FS

// CSP is the Content-Security-Policy of the live page: scripts, style, picture
// and connections of our own, and no way from text to script.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// An asset is a file as it is served.
type asset struct {
	body              []byte
	contentType, etag string
}

// Live returns the handler of GET / and of what the page there loads, which lies
// below /live/. Any other path is a 404.
func Live() http.Handler {
	assets, err := load()
	if err != nil {
		panic(err) // the files are part of the program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[strings.TrimPrefix(r.URL.Path, "/")]
		switch {
		case !ok:
			http.NotFound(w, r)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, http.StatusText(http.StatusMethodNotAllowed), http.StatusMethodNotAllowed)
		default:
			a.serve(w, r)
		}
	})
}

// load reads the files, by the path that each is served at.
func load() (map[string]asset, error) {
	assets := map[string]asset{}
	err := fs.WalkDir(files, "live", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		body, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		typ, ok := contentTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("web: %s has no content type", name)
		}
		sum := sha256.Sum256(body)
		a := asset{body, typ, `"` + hex.EncodeToString(sum[:8]) + `"`}
		if name == "live/index.html" {
			name = ""
		}
		assets[name] = a
		return nil
	})
	return assets, err
}

// serve answers with the file; browsers ask each time whether it has changed, so
// that all parts of the page are of one version.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", CSP)
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	if strings.Contains(r.Header.Get("If-None-Match"), a.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.body) // a browser that is gone asks again
	}
}
