// Package web holds what browsers get, inside the binary: the bundles that
// `make web` builds from the TypeScript beside this file. They lie in dist, which is
// committed, so that building the gateway takes no Node.
//
// Rules of use: mount [Handler] at each path of [Paths], and below [Assets]. It
// needs no authentication, since a page knows nothing until it is given a token,
// and its headers are to be left as they are.
package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

//go:embed dist
var files embed.FS

// Assets is where everything in dist is served, by its name there. Pages refer to
// it without a leading slash, so that a proxy may put them below a path.
const Assets = "/assets/"

// Console is the page for administrators.
const Console = "/console"

// pages are the pages, by path: the file of each, below dist.
var pages = map[string]string{
	"/":       "page/index.html",
	Console:   "console/index.html",
	"/doctor": "console/doctor.html",
}

// CSP is the Content-Security-Policy of the pages: scripts, style, pictures and
// connections of our own, and no way from text to script.
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// contentTypes are those of what dist has; anything else is plain text.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".mjs":  "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// Paths are the paths of the pages.
func Paths() []string { return slices.Sorted(maps.Keys(pages)) }

// An asset is a file as it is served.
type asset struct {
	body              []byte
	contentType, etag string
}

// Handler answers GET and HEAD for the pages and for what they load. Any other
// path is a 404.
func Handler() http.Handler {
	assets, err := load()
	if err != nil {
		panic(err) // the files are part of the program
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a, ok := assets[r.URL.Path]
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

// load reads the files, by the path that each is served at. A page is served at
// its own path alone, since what it refers to is relative to that.
func load() (map[string]asset, error) {
	assets := map[string]asset{}
	err := fs.WalkDir(files, "dist", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Ext(name) == ".html" {
			return err
		}
		assets[Assets+strings.TrimPrefix(name, "dist/")], err = read(name)
		return err
	})
	for at, name := range pages {
		if err != nil {
			break
		}
		assets[at], err = read("dist/" + name)
	}
	return assets, err
}

func read(name string) (asset, error) {
	body, err := files.ReadFile(name)
	typ, ok := contentTypes[path.Ext(name)]
	if !ok {
		typ = "text/plain; charset=utf-8"
	}
	sum := sha256.Sum256(body)
	return asset{body, typ, `"` + hex.EncodeToString(sum[:8]) + `"`}, err
}

// serve answers with the file; browsers ask each time whether it has changed, so
// that all parts of a page are of one version.
func (a *asset) serve(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", CSP)
	h.Set("X-Frame-Options", "DENY") // for browsers that do not know frame-ancestors
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
