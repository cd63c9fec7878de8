package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"unicode"
)

// A Transport is one way to read an inbox, and what is its own about it.
type Transport struct {
	Name string
	// Path is where it is asked for.
	Path string
	// Gauge is its name in the node's metrics.
	Gauge string
	// Connect begins to read behind the cursor, or now when that is empty. The
	// error is an *End where the server refused.
	Connect func(ctx context.Context, base, token, cursor string) (Reader, error)
	// Held: waiting is done at the node, where a reader can be seen to wait.
	Held bool
	// Rows is how many entries one answer can tell of, 0 for any number: what is
	// more is shown as it is by then, not as it came.
	Rows int
	// Text is what the transport makes of an entry's text; nil leaves it as it is.
	Text func(string) string
	// Expired, Revoked and Drained are how a session ends when its token's time is
	// over, the token is taken back, or the node goes down.
	Expired, Revoked, Drained End
	// Again answers whoever comes back with a cursor and such a token.
	Again End
	// Lost answers a cursor that is none: by an end or by a gap.
	Lost    End
	LostGap string
	// BadQueries are answered with 400.
	BadQueries []string
	// Without are the scenarios, by name, that make no sense, and why.
	Without map[string]string
}

// A Reader is one client's reading. Its methods are called by one goroutine, but
// Close ends a Next of another.
type Reader interface {
	// Next waits for what the client is told next. The error is an *End when the
	// server ended the session; any other is the network's.
	Next(ctx context.Context) (Batch, error)
	// Cursor is the one to go on with, at another transport, too.
	Cursor() string
	// Counters reads on until the client is told these; what else comes is passed
	// over.
	Counters(ctx context.Context, want Counters) error
	Close()
}

// Counters are what a client shows of the whole inbox, by the wire's words.
type Counters struct {
	Unread int            `json:"unread"`
	Active map[string]int `json:"active"`
}

// is compares them; severities that there are none of may be missing.
func (c Counters) is(want Counters) bool {
	none := func(_ string, n int) bool { return n == 0 }
	a, b := maps.Clone(c.Active), maps.Clone(want.Active)
	maps.DeleteFunc(a, none)
	maps.DeleteFunc(b, none)
	return c.Unread == want.Unread && maps.Equal(a, b)
}

// A Batch is what a client is told at once, up to the reader's cursor.
type Batch struct {
	Entries []Entry
	// Gap is its reason. One that starts over empties the client's list.
	Gap string
}

// An Entry as a client sees it. The page tells neither Seq nor Attrs.
type Entry struct {
	Seq    uint64
	Text   string // the alarm's message, or the notice's title
	Device string
	Attrs  map[string]string
}

// An End is how the server ends or refuses a session: an HTTP status or a close
// code, and the reason of the bye where there was one.
type End struct {
	Code   int
	Reason string
}

func (e *End) Error() string {
	return strings.TrimSpace(fmt.Sprintf("ended with %d %s", e.Code, e.Reason))
}

// endOf is the server's end in the error, or one with the error's text.
func endOf(err error) End {
	var end *End
	switch {
	case errors.As(err, &end):
		return *end
	case err == nil:
		return End{}
	}
	return End{Reason: err.Error()}
}

// decode reads an entry of the wire.
func decode(text []byte) (Entry, error) {
	var e struct {
		Seq   uint64
		Alarm *struct {
			Device, Message string
			Attrs           map[string]string
		}
		Notice *struct{ Title string }
	}
	err := json.Unmarshal(text, &e)
	switch {
	case err != nil:
		return Entry{}, fmt.Errorf("an entry that is none: %w: %.200q", err, text)
	case e.Alarm != nil:
		return Entry{e.Seq, e.Alarm.Message, e.Alarm.Device, e.Alarm.Attrs}, nil
	case e.Notice != nil:
		return Entry{Seq: e.Seq, Text: e.Notice.Title}, nil
	}
	return Entry{}, fmt.Errorf("an entry of nothing: %.200q", text)
}

// Reasons of the table.
const (
	answers  = "each answer is whole and ends by itself"
	requests = "every request brings the token of its own"
	speaks   = "after its request the client says nothing"
)

// Transports are all there are.
var Transports = []Transport{
	{
		Name: "websocket", Path: "/v1/inbox/ws", Held: true, Gauge: "websocket", Connect: connectWebSocket,
		Expired: End{4401, "expired"}, Revoked: End{4401, "revoked"}, Drained: End{1001, "drain"},
		Again: End{Code: 401}, LostGap: "epoch",
		Without: map[string]string{"GarbageInTheQuery": "where to begin is said by a frame: see GarbageFrames"},
	},
	{
		Name: "sse", Path: "/v1/inbox/sse", Held: true, Gauge: "sse", Connect: connectSSE,
		Expired: End{200, "expired"}, Revoked: End{200, "revoked"}, Drained: End{200, "drain"},
		Again: End{Code: 204}, LostGap: "epoch",
		BadQueries: []string{"snapshot=all", "pad=much", "pad=-1"},
		Without:    map[string]string{"GarbageFrames": speaks, "TokenIsRenewedInPlace": speaks},
	},
	{
		Name: "longpoll", Path: "/v1/inbox", Held: true, Gauge: "longpoll", Connect: connectPoll(holdSeconds),
		Expired: End{Code: 401}, Revoked: End{Code: 401}, Drained: End{},
		Again: End{Code: 401}, Lost: End{Code: 400},
		BadQueries: []string{"snapshot=all", "limit=0", "limit=1e9", "wait=long", "wait=-1", "cursor=%00", "cursor=" + manyAs},
		Without: map[string]string{"GarbageFrames": speaks, "TokenIsRenewedInPlace": requests,
			"Stalled": answers, "Rotation": answers},
	},
	{
		Name: "poll", Path: "/v1/inbox", Gauge: "poll", Connect: connectPoll(0),
		Expired: End{Code: 401}, Revoked: End{Code: 401}, Drained: End{},
		Again: End{Code: 401}, Lost: End{Code: 400},
		BadQueries: []string{"snapshot=all", "limit=-1", "limit=many"},
		Without: map[string]string{"GarbageFrames": speaks, "TokenIsRenewedInPlace": requests,
			"Stalled": answers, "Rotation": answers},
	},
	{
		Name: "page", Path: "/inbox", Gauge: "page", Connect: connectPage, Rows: 100, Text: visible,
		Expired: End{Code: 401}, Revoked: End{Code: 401}, Drained: End{},
		Again: End{Code: 401}, LostGap: "unknown",
		Without: map[string]string{"GarbageFrames": speaks, "TokenIsRenewedInPlace": requests,
			"Stalled": answers, "Rotation": answers,
			"GarbageInTheQuery": "a person cannot repair a URL: what is no place or pause is passed over"},
	},
	{
		Name: "stomp", Path: "/stomp", Held: true, Gauge: "stomp", Connect: connectStomp,
		Expired: End{4401, "the token has expired"}, Revoked: End{4401, "the token was taken back"}, Drained: End{1001, "drain"},
		Again: End{4401, "The token has expired or was taken back"}, LostGap: "epoch",
		Without: map[string]string{"GarbageInTheQuery": "where to begin is said by a frame", "GarbageFrames": "they are ERRORs, and the end: see FuzzConversation",
			"TokenIsRenewedInPlace": "a session has the token of its CONNECT", "Rotation": "a session lasts, as topics are live only"},
	},
}

var manyAs = strings.Repeat("A", 4000)

// visible is what the page makes of control characters.
func visible(s string) string {
	return strings.Map(func(c rune) rune {
		if c != '\n' && c != '\t' && unicode.IsControl(c) || c == '\u2028' || c == '\u2029' ||
			c >= '\u202a' && c <= '\u202e' || c >= '\u2066' && c <= '\u2069' {
			return unicode.ReplacementChar
		}
		return c
	}, s)
}
