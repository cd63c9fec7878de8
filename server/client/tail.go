package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// Ways of following an inbox.
const (
	ViaWS       = "ws"
	ViaSSE      = "sse"
	ViaLongPoll = "longpoll"
	ViaPoll     = "poll"
)

// Ways lists them in the recommended order.
var Ways = []string{ViaWS, ViaSSE, ViaLongPoll, ViaPoll}

// ErrEnded: the server said 204, come back no more.
var ErrEnded = errors.New("the server ended this inbox for good (204): the token has expired or was revoked")

// Done, returned by Tail.Each, ends the tail without an error.
var Done = errors.New("done") //nolint:errname,staticcheck // like io.EOF, no failure

// An Item is one entry of an inbox.
type Item struct {
	Entry json.RawMessage
	// Cursor is where a resume goes on after this entry. It is empty for all but
	// the last entry of a page: a poll has one cursor for the whole page.
	Cursor string
}

// A Gap tells that something could not be served as asked (docs/protocol.md §8).
type Gap struct {
	Reason string  `json:"reason"`
	From   string  `json:"from"`
	Lost   *uint64 `json:"lost"`
	Repair string  `json:"repair"`
}

// A Tail says how to follow an inbox.
type Tail struct {
	Via string
	// Cursor to begin after; empty is the server's default, the newest.
	Cursor string
	// Snapshot begins with everything open. It is asked for once; after that the
	// cursor carries it.
	Snapshot bool
	// Limit is how many entries a page may have; 0 is the server's default.
	Limit func() int
	// Wait is how long a long poll waits, at least a second; 0 is 25 s.
	Wait time.Duration
	// Interval between short polls; 0 is what the server says.
	Interval time.Duration
	// Dead is the silence after which a stream is given up; 0 is 45 s.
	Dead time.Duration
	// Pace of reconnecting, which has no end.
	Pace Pace

	// Each gets every entry; its error ends the tail.
	Each func(Item) error
	// Moved gets every new cursor, after Each; also those that stand alone. May
	// be nil. Its error ends the tail.
	Moved func(cursor string) error
	// Note gets what a person wants to know: gaps, counters, reconnects. May be
	// nil.
	Note func(kind, text string)
}

// A tail is a Tail under way.
type tail struct {
	Tail
	client *Client
	cursor string
	// resumes: the cursor is one that the server gave to this tail.
	resumes bool
	alive   bool          // the present connection has brought something
	hint    time.Duration // what the server asked to wait before the next one
}

// Tail follows the inbox until Each returns an error, the context ends, or the
// server refuses for good. What passes (a server away, a stream that ends) it
// answers by resuming after the last cursor, endlessly. The error is nil after
// Done, a *Problem, ErrEnded, the context's, or one of Each's own.
func (c *Client) Tail(ctx context.Context, o Tail) error {
	connect, found := map[string]func(*tail, context.Context) error{
		ViaWS:       (*tail).socket,
		ViaSSE:      (*tail).stream,
		ViaLongPoll: (*tail).poll,
		ViaPoll:     (*tail).poll,
	}[o.Via]
	if !found {
		return fmt.Errorf("unknown way %q", o.Via)
	}
	if o.Wait == 0 {
		o.Wait = 25 * time.Second
	}
	if o.Dead == 0 {
		o.Dead = 45 * time.Second
	}
	t := &tail{Tail: o, client: c, cursor: o.Cursor}
	wait := o.Pace.start()
	for {
		t.alive, t.hint = false, 0
		err := connect(t, ctx)
		var own *handlerError
		switch {
		case errors.Is(err, Done):
			return nil
		case errors.As(err, &own):
			return own.err
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && !Passing(err):
			return err
		}
		if t.alive {
			wait.reset()
		}
		delay := max(wait.delay(err), min(t.hint, wait.pace.Most))
		t.noteRetry(err, delay)
		if !pause(ctx, delay) {
			return ctx.Err()
		}
	}
}

// A handlerError is the caller's own, not the network's.
type handlerError struct{ err error }

func (e *handlerError) Error() string { return e.err.Error() }
func (e *handlerError) Unwrap() error { return e.err }

func (t *tail) noteRetry(err error, delay time.Duration) {
	reason := "the stream ended"
	if err != nil {
		reason = err.Error()
	}
	t.note("reconnect", fmt.Sprintf("in %s: %s", delay.Round(time.Millisecond), reason))
}

func (t *tail) note(kind, text string) {
	if t.Note != nil {
		t.Note(kind, text)
	}
}

func (t *tail) noteGap(g *Gap) {
	lost := "an unknown number of"
	if g.Lost != nil {
		lost = fmt.Sprint(*g.Lost)
	}
	t.note("gap", fmt.Sprintf("%s: %s entries are not shown, from %q; repaired by the %s", g.Reason, lost, g.From, g.Repair))
}

// give hands an entry over and remembers its cursor.
func (t *tail) give(i Item) error {
	if err := t.Each(i); err != nil {
		// The entry was shown, Done or not, so its cursor counts.
		if errors.Is(err, Done) {
			if moved := t.move(i.Cursor); moved != nil {
				return moved
			}
		}
		return &handlerError{err}
	}
	return t.move(i.Cursor)
}

// move remembers a cursor. From the first one on the snapshot is in it.
func (t *tail) move(cursor string) error {
	if cursor == "" {
		return nil
	}
	t.resumes, t.Snapshot = true, false
	if cursor == t.cursor {
		return nil
	}
	t.cursor = cursor
	if t.Moved == nil {
		return nil
	}
	if err := t.Moved(cursor); err != nil {
		return &handlerError{err}
	}
	return nil
}
