package transports

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"tocsin/server/inbox"
)

// A Client is who reads, as the request was authenticated.
type Client struct {
	User    string
	Groups  []string // besides the directory's
	Expires time.Time
	// From is the network address he comes from; empty where nobody asks.
	From string
}

// A Session is one client's reading of his inbox over one transport. It belongs
// to one goroutine.
type Session struct {
	Reader *inbox.Reader
	// Place is the cursor that the client came with; empty when it named no place
	// of its own.
	Place string
	// Expires is when the client's right to read ends; zero is never.
	Expires time.Time
	// Lasting: it is not ended to spread connections over the nodes, see
	// Limits.Rotate, as its client would not come back by itself.
	Lasting bool
	// Delivered, unless nil, hears how many entries were written.
	Delivered func(entries int)
	// Reached, unless nil, hears what a flush has delivered once it has succeeded,
	// one call at a time. It must not wait. Once and a Held leave it to their caller,
	// who knows when the answer is written.
	Reached func(inbox.Reach)
}

// A Reason says why the server ends a session. As the cause of the session's
// context it ends it; it is the reason of a bye (docs/protocol.md §5, §6).
type Reason string

// The reasons there are.
const (
	Rotate      Reason = "rotate"      // lived long enough: come back, perhaps elsewhere
	Drain       Reason = "drain"       // the node goes down
	Expired     Reason = "expired"     // the token's time is over
	Revoked     Reason = "revoked"     // the token was taken back
	Superseded  Reason = "superseded"  // too many connections of one user: the oldest goes
	Kicked      Reason = "kicked"      // an administrator wants him to come back
	Stale       Reason = "stale"       // the node has lost touch with the log
	Unavailable Reason = "unavailable" // the log cannot be read
)

func (r Reason) Error() string { return "the session has ended: " + string(r) }

// ended is why the context is over, with the Reason where there is one.
func ended(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (s *Session) delivered(n int) {
	if s.Delivered != nil && n > 0 {
		s.Delivered(n)
	}
}

// A ParamError is a parameter of a request that cannot be understood.
type ParamError struct {
	Param  string
	Detail string // what is wanted
	Limit  int    // the bound that was passed; 0 for none
}

func (e *ParamError) Error() string { return e.Param + ": " + e.Detail }

// ErrNoStream: the request's protocol cannot carry a stream.
var ErrNoStream = errors.New("a stream needs HTTP/1.1: poll GET /v1/inbox instead")

// CursorOf is the cursor that a request carries (docs/protocol.md §2): the
// Last-Event-ID header comes before ?cursor= and its twin ?last_event_id=, since
// a browser that reconnects keeps the URL and knows better by then.
func CursorOf(r *http.Request) string {
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		return id
	}
	q := r.URL.Query()
	if c := q.Get("cursor"); c != "" {
		return c
	}
	return q.Get("last_event_id")
}

// IsPlace says whether a cursor names a place, which only an earlier answer can
// have given: whoever carries one has been here before.
func IsPlace(cursor string) bool {
	return cursor != "" && cursor != inbox.Latest && cursor != inbox.Earliest
}

// StartOf reads where the request wants to begin; the cursor itself is not
// judged. The error is a ParamError.
func StartOf(r *http.Request) (inbox.Start, error) {
	start := inbox.Start{Cursor: CursorOf(r)}
	switch s := r.URL.Query().Get("snapshot"); s {
	case "":
	case "active":
		start.Snapshot = true
	default:
		return start, &ParamError{Param: "snapshot", Detail: fmt.Sprintf("want active, not %.40q", s)}
	}
	return start, nil
}
