package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/r3labs/sse/v2"
)

// maxEvent is the largest event, in bytes, that is read: an entry has at most
// 64 KiB of text, which JSON may make six times as long.
const maxEvent = 1 << 20

// oneConnection is the library's reconnect strategy that never reconnects: it
// takes the stream's clean end for success and every status alike, so the loop
// of Tail does it.
type oneConnection struct{}

func (oneConnection) NextBackOff() time.Duration { return -1 } // backoff.Stop
func (oneConnection) Reset()                     {}

// errSilent: a stream without even a ping.
var errSilent = errors.New("the stream fell silent")

// stream follows one SSE connection to its end. An entry whose event is not
// complete counts for nothing: see whole.
func (t *tail) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	// The library's own memory of the last id would take the id of a broken
	// event, so each connection has a client of its own that begins without.
	events := sse.NewClient(t.address(), sse.ClientMaxBufferSize(maxEvent))
	events.Connection = t.client.http
	events.ReconnectStrategy = oneConnection{}
	header := http.Header{}
	t.client.authorize(header)
	if t.resumes {
		header.Set("Last-Event-ID", t.cursor)
	}
	for name := range header {
		events.Headers[name] = header.Get(name)
	}
	watch := time.AfterFunc(t.Dead, func() { cancel(errSilent) })
	defer watch.Stop()
	events.ResponseValidator = func(_ *sse.Client, resp *http.Response) error {
		if err := refusal(resp); err != nil {
			_ = resp.Body.Close() // the library does not, then
			return err
		}
		resp.Body = &whole{body: resp.Body, heard: func() { watch.Reset(t.Dead) }}
		return nil
	}
	// Once the context has ended the library still hands over what it had read.
	var ended error
	err := events.SubscribeWithContext(ctx, "", func(e *sse.Event) {
		if ended != nil || ctx.Err() != nil {
			return
		}
		if ended = t.event(e); ended != nil {
			cancel(ended)
		}
	})
	switch {
	case ended != nil:
		return ended
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	}
	return err
}

func (t *tail) address() string {
	q := url.Values{}
	// As a header the cursor says that this is a reconnect, to which a refused
	// token is answered with a bare 204.
	if t.cursor != "" && !t.resumes {
		q.Set("cursor", t.cursor)
	}
	if t.Snapshot {
		q.Set("snapshot", "active")
	}
	return t.client.address("/v1/inbox/sse", q)
}

// refusal says what a response means that is not a stream.
func refusal(resp *http.Response) error {
	switch {
	case resp.StatusCode == http.StatusNoContent:
		return ErrEnded
	case resp.StatusCode != http.StatusOK:
		return problem(resp)
	}
	// Whatever answers in the server's place, such as a proxy's page, passes.
	if t, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); t != "text/event-stream" {
		return fmt.Errorf("the answer is no stream of events but %q", t)
	}
	return nil
}

// event handles one event; an error ends the connection.
func (t *tail) event(e *sse.Event) error {
	t.alive = true
	if ms, err := strconv.Atoi(string(e.Retry)); err == nil && ms >= 0 {
		t.hint = time.Duration(ms) * time.Millisecond
	}
	switch string(e.Event) {
	case "", "message":
		if len(e.Data) == 0 {
			return t.move(string(e.ID)) // a block of retry: or id: alone
		}
		if !json.Valid(e.Data) {
			return fmt.Errorf("an entry that is not JSON: %.80q", e.Data)
		}
		return t.give(Item{Entry: e.Data, Cursor: string(e.ID)})
	case "gap":
		var g Gap
		if err := json.Unmarshal(e.Data, &g); err != nil {
			return fmt.Errorf("read a gap: %w", err)
		}
		t.noteGap(&g)
	case "bye":
		t.note("bye", string(e.Data))
	case "hello":
		t.note("connected", string(e.Data))
	}
	return t.move(string(e.ID))
}

// whole passes a stream on up to its last blank line. The library hands over
// what follows that when the stream breaks, which the standard forbids: half a
// cursor would be taken for one.
type whole struct {
	body  io.ReadCloser
	heard func() // anything came
	held  []byte // read, not passed on
	ready int    // how much of held ends with a blank line
	err   error
}

func (w *whole) Read(p []byte) (int, error) {
	for w.ready == 0 {
		if w.err != nil {
			return 0, w.err
		}
		if len(w.held) > maxEvent {
			return 0, fmt.Errorf("an event is larger than %d bytes", maxEvent)
		}
		from := max(len(w.held)-3, 0)
		chunk := make([]byte, 4096)
		n, err := w.body.Read(chunk)
		w.err = err
		if n > 0 {
			w.heard()
			w.held = append(w.held, chunk[:n]...)
			w.ready = from + lastBlankLine(w.held[from:])
			if w.ready == from {
				w.ready = 0
			}
		}
	}
	n := copy(p, w.held[:w.ready])
	w.held, w.ready = w.held[n:], w.ready-n
	return n, nil
}

func (w *whole) Close() error { return w.body.Close() }

// lastBlankLine is the position after the last blank line, 0 if there is none.
func lastBlankLine(b []byte) int {
	end := 0
	for _, blank := range []string{"\n\n", "\r\r", "\n\r\n"} {
		if i := bytes.LastIndex(b, []byte(blank)); i >= 0 {
			end = max(end, i+len(blank))
		}
	}
	return end
}
