package sockjs

import (
	"cmp"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"tocsin/transports"
)

// Options are the settings of a Carrier; their zero values are the defaults given
// here.
type Options struct {
	// Origins are the web origins, besides the server's own, whose pages may
	// connect: https://host[:port] each, or * for all. Requests without an Origin
	// are answered.
	Origins []string
	// ClientURL is where iframe.html gets the client's script, in the very version
	// that the pages use; empty is ClientURL.
	ClientURL string
	// NoWebSocket says that there is none here.
	NoWebSocket bool
	// Cookie makes every session's answers set the cookie JSESSIONID, for load
	// balancers that send the requests of one session to one node by it.
	Cookie bool
	// Heartbeat is how long a request that fetches may be without an answer;
	// 0 is 25 s.
	Heartbeat time.Duration
	// Disconnect is how long a session may be without a request that fetches; 0 is
	// 5 s.
	Disconnect time.Duration
	// ResponseLimit is how many bytes a stream tells before it ends, since browsers
	// keep all of it; the client fetches on. 0 is 128 KiB.
	ResponseLimit int
	// Buffer is how many bytes a session keeps that no request has fetched yet; a
	// single larger message goes alone. 0 is 128 KiB.
	Buffer int
	// MaxMessage bounds a message from the client, in bytes; 0 is 64 KiB. What it
	// sends at once may be MaxBody times as much.
	MaxMessage int
	// Sessions bounds how many there are; 0 is 50,000.
	Sessions int
	// WriteTimeout is how long a client may take to accept what it is told; 0 is
	// 5 s.
	WriteTimeout time.Duration
	// BodyTimeout is how long what a client sends may take to arrive; 0 is 30 s.
	BodyTimeout time.Duration
	// Logger hears of panics; nil is silent.
	Logger *slog.Logger
}

// MaxBody is how many times the size of the largest message a client may send at
// once: many messages, in JSON.
const MaxBody = 4

// ClientURL is a public copy of the client's script.
const ClientURL = "https://cdn.jsdelivr.net/npm/sockjs-client@1.6.1/dist/sockjs.min.js"

func (o Options) withDefaults() Options {
	o.ClientURL = cmp.Or(o.ClientURL, ClientURL)
	o.Heartbeat = cmp.Or(o.Heartbeat, 25*time.Second)
	o.Disconnect = cmp.Or(o.Disconnect, 5*time.Second)
	o.ResponseLimit = cmp.Or(o.ResponseLimit, 128<<10)
	o.Buffer = cmp.Or(o.Buffer, 128<<10)
	o.MaxMessage = cmp.Or(o.MaxMessage, 64<<10)
	o.Sessions = cmp.Or(o.Sessions, 50_000)
	o.WriteTimeout = cmp.Or(o.WriteTimeout, 5*time.Second)
	o.BodyTimeout = cmp.Or(o.BodyTimeout, 30*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// A Conversation is what is said in one session. Its methods are called one after
// the other.
type Conversation interface {
	// Receive takes the next message, which is the conversation's to keep, and is
	// valid UTF-8. The client's next one comes after it has returned.
	Receive(message []byte)
	// Gone is called once, after the last Receive: the session is over, whoever
	// ended it, and Send fails.
	Gone()
}

// Begin begins the conversation of a new session. It must not wait.
type Begin func(conn transports.Conn) Conversation

// Open says who opens a session, and begins his conversation; or why he may not.
type Open func() (Begin, error)

// Errors of Serve. Nothing has been answered.
var (
	// ErrOrigin: pages of the request's origin may not connect.
	ErrOrigin = errors.New("pages of this origin may not connect")
	// ErrClosed: the carrier, or of a Conn the session, is closed, or about to be.
	ErrClosed = errors.New("the session is closed")
	// ErrFull: there are Options.Sessions.
	ErrFull = errors.New("there are too many sessions")
)

// A Carrier serves one endpoint of SockJS. Its methods may be called by many
// goroutines at once.
type Carrier struct {
	o       Options
	origins transports.Origins
	iframe  []byte
	etag    string // of iframe
	parents string // who may have it in a frame

	mu       sync.Mutex
	closed   bool
	sessions map[string]*session
}

// New returns a Carrier; the error is for an origin that is none.
func New(o Options) (*Carrier, error) {
	c := &Carrier{o: o.withDefaults(), sessions: map[string]*session{}}
	var err error
	if c.origins, err = transports.ParseOrigins(o.Origins); err != nil {
		return nil, err
	}
	c.drawIframe()
	return c, nil
}

// Serve answers a request at the endpoint or below it. path is what follows the
// endpoint in the URL's escaped path. open is asked when the request opens a
// session: who may not gets its error, which Serve returns, as it does this
// package's own; then nothing has been answered. It returns nil when the request
// is answered, a stream's at its end.
func (c *Carrier) Serve(w http.ResponseWriter, r *http.Request, path string, open Open) error {
	t, ok := c.find(path)
	if !ok {
		http.Error(w, "404 not found", http.StatusNotFound)
		return nil
	}
	if !c.share(w, r) {
		return ErrOrigin
	}
	if r.Method == http.MethodOptions && t.does.cors {
		preflight(w, r, t.does.method)
		return nil
	}
	if r.Method != t.does.method {
		w.Header()["Content-Type"] = nil // net/http would guess one
		w.Header().Set("Allow", t.does.allow())
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	return t.does.serve(c, &request{w, r, t.session, open})
}

// Close ends every session, and takes no more of them. It does not wait.
func (c *Carrier) Close() {
	c.mu.Lock()
	c.closed = true
	all := c.sessions
	c.sessions = map[string]*session{}
	c.mu.Unlock()
	for _, s := range all {
		s.cut()
	}
}

// guard ends the session when its conversation panics, instead of all.
func (s *session) guard() {
	if r := recover(); r != nil {
		s.c.o.Logger.Error("a conversation panicked", "reason", r, "stack", string(debug.Stack()))
		s.cut()
	}
}
