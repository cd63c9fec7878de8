package sockjs

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// A resource is what stands at a path.
type resource struct {
	method string
	// cors: browsers ask before they send the request to another origin.
	cors  bool
	serve func(c *Carrier, q *request) error
}

// A request is one that is being answered.
type request struct {
	w       http.ResponseWriter
	r       *http.Request
	session string // its name
	open    Open
}

func (d *resource) allow() string {
	if d.cors {
		return http.MethodOptions + ", " + d.method
	}
	return d.method
}

// A target is what a request is for.
type target struct {
	does    *resource
	session string // its name, for those of a session
}

var (
	greeting  = &resource{method: http.MethodGet, serve: greet}
	infoPage  = &resource{method: http.MethodGet, cors: true, serve: info}
	framePage = &resource{method: http.MethodGet, serve: iframe}
	// websocket is where a handshake is expected: one that is none is refused.
	websocket = &resource{method: http.MethodGet, serve: noHandshake}

	// ofSession are the resources of a session, by the path's last part.
	ofSession = map[string]*resource{
		"websocket":     websocket,
		"xhr":           {http.MethodPost, true, fetches(&xhrPoll)},
		"xhr_streaming": {http.MethodPost, true, fetches(&xhrStream)},
		"eventsource":   {http.MethodGet, false, fetches(&eventSource)},
		"htmlfile":      {http.MethodGet, false, fetches(&htmlFile)},
		"jsonp":         {http.MethodGet, false, fetches(&jsonpPoll)},
		"xhr_send":      {http.MethodPost, true, xhrSend},
		"jsonp_send":    {http.MethodPost, false, jsonpSend},
	}

	iframePath = regexp.MustCompile(`^/iframe[0-9a-z._-]*\.html$`)
)

// maxName bounds the names in a session's path, in bytes.
const maxName = 128

// find says what stands at a path below the endpoint.
func (c *Carrier) find(path string) (target, bool) {
	switch {
	case path == "" || path == "/":
		return target{does: greeting}, true
	case path == "/info":
		return target{does: infoPage}, true
	case path == "/websocket":
		return target{does: websocket}, !c.o.NoWebSocket
	case iframePath.MatchString(path):
		return target{does: framePage}, true
	}
	// /<server>/<session>/<transport>; the first is for load balancers alone.
	parts := strings.Split(path, "/")
	if len(parts) != 4 || parts[0] != "" {
		return target{}, false
	}
	_, fits := name(parts[1])
	session, ok := name(parts[2])
	does := ofSession[parts[3]]
	if !fits || !ok || does == nil || does == websocket && c.o.NoWebSocket {
		return target{}, false
	}
	return target{does, session}, true
}

// name reads a part of the path.
func name(part string) (string, bool) {
	text, err := url.PathUnescape(part)
	return text, err == nil && text != "" && len(text) <= maxName && !strings.Contains(text, ".")
}

// A Kind is what a request wants to become.
type Kind int

// The kinds there are.
const (
	// Request is one for Serve.
	Request Kind = iota
	// WebSocket is a handshake for a connection with the frames of SockJS: its
	// conversation is made by Frame.
	WebSocket
	// RawWebSocket is one without them: at /websocket, for clients that are no
	// browsers, and at the endpoint itself, for those that dropped SockJS.
	RawWebSocket
)

// Upgrades says whether the request is a WebSocket handshake, which the composer
// answers. path is as for Serve.
func (c *Carrier) Upgrades(r *http.Request, path string) Kind {
	t, ok := c.find(path)
	switch {
	case !ok || t.does != websocket && t.does != greeting || r.Method != http.MethodGet || !handshake(r):
		return Request
	case c.o.NoWebSocket:
		return Request
	case t.session == "":
		return RawWebSocket
	}
	return WebSocket
}

// handshake says whether the request asks for a WebSocket, of whatever version.
func handshake(r *http.Request) bool {
	return strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && hasUpgrade(r)
}

// hasUpgrade says whether the header Connection names upgrade, which some proxies
// take away.
func hasUpgrade(r *http.Request) bool {
	for _, line := range r.Header.Values("Connection") {
		for option := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(option), "upgrade") {
				return true
			}
		}
	}
	return false
}

func noHandshake(_ *Carrier, q *request) error {
	text := `Can "Upgrade" only to "WebSocket".`
	if strings.EqualFold(q.r.Header.Get("Upgrade"), "websocket") {
		text = `"Connection" must be "Upgrade".`
	}
	http.Error(q.w, text, http.StatusBadRequest)
	return nil
}
