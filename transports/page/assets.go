package page

import (
	"crypto/sha256"
	_ "embed" // the style and the script
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"

	"tocsin/server/inbox"
)

//go:embed style.css
var style []byte

// script refreshes the page where there is script: the page works without it.
//
//go:embed script.js
var script []byte

// An asset is a file that pages load.
type asset struct {
	body              []byte
	contentType, hash string
}

// assets are what Asset serves, by path.
var assets = map[string]asset{
	PathStyle:  assetOf(style, "text/css; charset=utf-8"),
	PathScript: assetOf(script, "text/javascript; charset=utf-8"),
}

func assetOf(body []byte, contentType string) asset {
	sum := sha256.Sum256(body)
	return asset{body, contentType, hex.EncodeToString(sum[:6])}
}

// assetURL changes with the asset, so that browsers may keep it for ever.
func assetURL(path string) string { return path + "?v=" + assets[path].hash }

// Asset answers GET PathStyle, PathScript and PathIcon, to everybody.
func Asset(w http.ResponseWriter, r *http.Request) {
	a, known := assets[r.URL.Path]
	forever := known && r.URL.RawQuery == "v="+a.hash
	if !known {
		a = asset{body: icon(r.URL.Query().Get("worst")), contentType: "image/svg+xml"}
	}
	h := w.Header()
	headers(h)
	h.Set("Content-Type", a.contentType)
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h.Set("Cache-Control", "public, max-age=300")
	if forever {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(a.body)
}

// iconParts are how a tab shows the worst of what is open: ground and shape, those
// of the page.
var iconParts = map[string]struct{ ground, shape string }{
	inbox.Critical.String():      {"#b3122b", `<path d="M9 9h14v14H9z"/>`},
	inbox.Major.String():         {"#b64a00", `<path d="M16 7l10 17H6z"/>`},
	inbox.Minor.String():         {"#806000", `<path d="M16 6l10 10-10 10L6 16z"/>`},
	inbox.Warning.String():       {"#27658f", `<circle cx="16" cy="16" r="8"/>`},
	inbox.Indeterminate.String(): {"#676b73", `<circle cx="16" cy="16" r="7" fill="none" stroke="#fff" stroke-width="3"/>`},
	"":                           {"#5c636a", `<path d="M16 6a7 7 0 0 0-7 7v6l-2 3h18l-2-3v-6a7 7 0 0 0-7-7zm-3 17h6a3 3 0 0 1-6 0z"/>`},
}

// iconFor is the URL of the icon for the worst of these.
func iconFor(c inbox.Counts) string {
	for _, s := range inbox.Severities {
		if c.Active[s] > 0 {
			return PathIcon + "?worst=" + s.String()
		}
	}
	return PathIcon
}

// icon draws the icon for the worst severity there is; without a known one, a bell.
func icon(worst string) []byte {
	p, ok := iconParts[worst]
	if !ok {
		p = iconParts[""]
	}
	return fmt.Appendf(nil, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="%s"/><g fill="#fff">%s</g></svg>`+"\n", p.ground, p.shape)
}
