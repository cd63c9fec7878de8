package page

import (
	"crypto/sha256"
	_ "embed" // the style
	"encoding/hex"
	"net/http"
	"strconv"
)

//go:embed style.css
var style []byte

// styleURL changes with the style, so that browsers may keep it for ever.
var styleURL = PathStyle + "?v=" + styleHash()

func styleHash() string {
	sum := sha256.Sum256(style)
	return hex.EncodeToString(sum[:6])
}

// Style answers GET /inbox/style.css, to everybody.
func Style(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	headers(h)
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(style)))
	h.Set("Cache-Control", "public, max-age=300")
	if r.URL.RawQuery == "v="+styleHash() {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(style)
}
