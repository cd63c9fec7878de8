package sockjs

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"html/template"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"tocsin/transports"
)

const (
	textPlain  = "text/plain; charset=UTF-8"
	javaScript = "application/javascript; charset=UTF-8"
	html       = "text/html; charset=UTF-8"

	// noStore is for what one client alone gets, once: some browsers keep even
	// answers to POST.
	noStore = "no-store, no-cache, no-transform, must-revalidate, max-age=0"
	// aYear is how long what does not change may be kept, in seconds.
	aYear = "31536000"
)

// share says whether the request's origin may connect, and lets the browser hand
// the answer to its page. Cookies go with it, as the client demands; who may be
// known by one is for the composer to judge.
func (c *Carrier) share(w http.ResponseWriter, r *http.Request) bool {
	values := r.Header.Values("Origin")
	if len(values) == 0 {
		return true
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := values[0]
	// A form of one's own page has the origin null where the page sends no referrer.
	own := transports.SameHost(r, origin) || r.Header.Get("Sec-Fetch-Site") == "same-origin"
	if len(values) > 1 || !own && !c.origins[transports.AnyOrigin] && !c.origins.Named(origin) {
		return false
	}
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	return true
}

// preflight tells a browser what another origin's page may send.
func preflight(w http.ResponseWriter, r *http.Request, method string) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", http.MethodOptions+", "+method)
	h.Set("Access-Control-Max-Age", aYear)
	h.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	keep(h)
	w.WriteHeader(http.StatusNoContent)
}

// keep lets the answer be kept for a year.
func keep(h http.Header) {
	h.Set("Cache-Control", "public, max-age="+aYear)
	h.Set("Expires", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat))
}

// cookie sets the cookie by which a load balancer finds the session's node, as the
// client has it.
func (c *Carrier) cookie(w http.ResponseWriter, r *http.Request) {
	if !c.o.Cookie {
		return
	}
	value := "dummy"
	if has, err := r.Cookie("JSESSIONID"); err == nil {
		value = has.Value
	}
	http.SetCookie(w, &http.Cookie{Name: "JSESSIONID", Value: value, Path: "/"})
}

func greet(_ *Carrier, q *request) error {
	q.w.Header().Set("Content-Type", textPlain)
	_, _ = io.WriteString(q.w, "Welcome to SockJS!\n") // who is gone hears nothing
	return nil
}

// info tells a client what there is. The time that it takes is the client's
// measure of the way.
func info(c *Carrier, q *request) error {
	var entropy [4]byte
	_, _ = rand.Read(entropy[:]) // never fails
	q.w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	q.w.Header().Set("Cache-Control", noStore)
	_, _ = fmt.Fprintf(q.w, `{"websocket":%t,"origins":["*:*"],"cookie_needed":%t,"entropy":%d}`,
		!c.o.NoWebSocket, c.o.Cookie, binary.BigEndian.Uint32(entropy[:]))
	return nil
}

// iframeHTML lets pages of other origins talk to this one where their browser has
// nothing better. Clients and the public test suite know it by heart.
var iframeHTML = template.Must(template.New("iframe").Parse(`<!DOCTYPE html>
<html>
<head>
  <meta http-equiv="X-UA-Compatible" content="IE=edge" />
  <meta http-equiv="Content-Type" content="text/html; charset=UTF-8" />
  <script src="{{.}}"></script>
  <script>
    document.domain = document.domain;
    SockJS.bootstrap_iframe();
  </script>
</head>
<body>
  <h2>Don't panic!</h2>
  <p>This is a SockJS hidden iframe. It's used for cross domain magic.</p>
</body>
</html>`))

// drawIframe prepares what iframe.html answers.
func (c *Carrier) drawIframe() {
	var page strings.Builder
	_ = iframeHTML.Execute(&page, c.o.ClientURL) // a string, to memory
	c.iframe = []byte(page.String())
	sum := sha256.Sum256(c.iframe)
	c.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	if !c.origins[transports.AnyOrigin] {
		c.parents = strings.Join(append([]string{"frame-ancestors 'self'"}, slices.Sorted(maps.Keys(c.origins))...), " ")
	}
}

// iframe answers with a page that other origins' pages may have in a frame, if
// they may connect: it speaks to them.
func iframe(c *Carrier, q *request) error {
	h := q.w.Header()
	keep(h)
	h.Set("ETag", c.etag)
	if c.parents != "" {
		h.Set("Content-Security-Policy", c.parents)
	}
	if q.r.Header.Get("If-None-Match") == c.etag {
		q.w.WriteHeader(http.StatusNotModified)
		return nil
	}
	h.Set("Content-Type", html)
	_, _ = q.w.Write(c.iframe)
	return nil
}
