package stomp

import (
	"errors"
	"strconv"
	"time"

	"tocsin/transports"
)

// A failure ends a conversation with ERROR.
type failure struct {
	code    int    // of the close
	message string // one line
	json    bool   // what body is
	body    []byte
	receipt *string // of the frame that failed
	version string  // those that are spoken, where the client speaks none
	retry   time.Duration
}

func (f *failure) Error() string { return "failed: " + f.message }

// malformed is what a client must not send.
func malformed(detail string) *failure {
	return &failure{code: CodeProtocol, message: detail}
}

// failureOf puts an error into words.
func (o *Options) failureOf(err error) *failure {
	var f *failure
	if errors.As(err, &f) {
		return f
	}
	p := o.Problem(err)
	f = &failure{code: CodeRotate, message: p.Title, json: true, body: p.JSON, retry: p.Retry}
	switch {
	case p.Status == 401:
		f.code = CodeUnauthenticated
	case p.Status == 403:
		f.code = CodeForbidden
	case p.Status == 429:
		f.code = CodeSlowDown
	case p.Status < 500:
		f.code = CodeProtocol
	}
	return f
}

// fail ends the conversation because of a frame; nil where it was none.
func (c *Conversation) fail(f *frame, err error) {
	why := c.o.failureOf(err)
	if f != nil {
		if receipt, wanted := f.get("receipt"); wanted {
			why.receipt = &receipt
		}
	}
	c.End(why)
}

// appendError writes ERROR.
func appendError(b []byte, v version, f *failure) []byte {
	b = append(b, "ERROR\n"...)
	b = v.appendHeader(b, "message", f.message)
	if f.receipt != nil {
		b = v.appendHeader(b, "receipt-id", *f.receipt)
	}
	if f.version != "" {
		b = v.appendHeader(b, "version", f.version)
	}
	if f.retry > 0 {
		b = v.appendHeader(b, "retry-after", strconv.Itoa(int(f.retry/time.Second)))
	}
	body := f.body
	if f.json {
		b = v.appendHeader(b, "content-type", "application/json")
	} else {
		b = v.appendHeader(b, "content-type", "text/plain")
		if body == nil {
			body = []byte(f.message)
		}
	}
	b, at := openLength(b)
	return closeLength(append(b, body...), at)
}

// appendReceipt writes RECEIPT; that of a subscription to the inbox says where it
// begins.
func appendReceipt(b []byte, v version, id, cursor string, counts func([]byte) []byte) []byte {
	b = append(b, "RECEIPT\n"...)
	b = v.appendHeader(b, "receipt-id", id)
	if cursor != "" {
		b = v.appendHeader(b, "cursor", cursor)
	}
	if counts != nil {
		b = counts(b)
	}
	return append(b, '\n', 0)
}

// reasons are how the server's own endings are told: a code, and whether there is
// an ERROR. One who is to come back at once gets none, since clients show it.
var reasons = map[transports.Reason]struct {
	code    int
	message string
}{
	transports.Drain:       {code: CodeGoingAway},
	transports.Rotate:      {code: CodeRotate},
	transports.Expired:     {CodeUnauthenticated, "the token has expired"},
	transports.Revoked:     {CodeUnauthenticated, "the token was taken back"},
	transports.Superseded:  {CodeSuperseded, "too many connections of this user: the oldest is closed"},
	transports.Stale:       {CodeRotate, "this node has lost touch with the log"},
	transports.Unavailable: {CodeRotate, "the log cannot be read"},
}
