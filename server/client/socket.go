package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/coder/websocket"
)

// A Socket is a WebSocket that speaks the native conversation of
// docs/protocol.md §6. One goroutine may read and another write.
type Socket struct{ conn *websocket.Conn }

// Dial connects to the inbox of the token; without one, the first message must
// carry it. The error is a *Problem where the server refused.
func (c *Client) Dial(ctx context.Context) (*Socket, error) { return c.dial(ctx, "/v1/inbox/ws") }

// DialPublisher is Dial for a publisher, whose conversation has no inbox.
func (c *Client) DialPublisher(ctx context.Context) (*Socket, error) {
	return c.dial(ctx, "/v1/publish/ws")
}

func (c *Client) dial(ctx context.Context, path string) (*Socket, error) {
	header := http.Header{}
	c.authorize(header)
	//nolint:bodyclose // the library leaves nothing to close
	conn, resp, err := websocket.Dial(ctx, c.address(path, nil), &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: header, Subprotocols: []string{"tocsin.v1.json"},
	})
	if err != nil {
		if resp != nil && resp.StatusCode != http.StatusSwitchingProtocols {
			return nil, problem(resp)
		}
		return nil, fmt.Errorf("connect: %w", err)
	}
	conn.SetReadLimit(maxEvent)
	return &Socket{conn}, nil
}

// Write sends one message.
func (s *Socket) Write(ctx context.Context, message any) error {
	text, err := json.Marshal(message)
	if err != nil {
		return err
	}
	return s.conn.Write(ctx, websocket.MessageText, text)
}

// Read returns the next message. A context that ends closes the connection.
func (s *Socket) Read(ctx context.Context) ([]byte, error) {
	_, text, err := s.conn.Read(ctx)
	return text, err
}

// Close says good-bye, without waiting for an answer.
func (s *Socket) Close() { _ = s.conn.CloseNow() }

// A frame is what the server says.
type frame struct {
	Op      string            `json:"op"`
	Cursor  string            `json:"cursor"`
	Entries []json.RawMessage `json:"entries"`
	Gap     Gap               `json:"gap"`
	Retry   int               `json:"retry_ms"`
	Problem json.RawMessage   `json:"problem"`
}

// socket follows one WebSocket to its end.
func (t *tail) socket(ctx context.Context) error {
	s, err := t.client.Dial(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	start := map[string]any{"op": "start", "cursor": t.cursor}
	if t.Snapshot {
		start["snapshot"] = "active"
	}
	if err := s.Write(ctx, start); err != nil {
		return err
	}
	for {
		silent, cancel := context.WithTimeoutCause(ctx, t.Dead, errSilent)
		text, err := s.Read(silent)
		cancel()
		switch {
		case err != nil && errors.Is(context.Cause(silent), errSilent) && ctx.Err() == nil:
			return errSilent
		case err != nil:
			return closed(err)
		}
		if err := t.frame(text); err != nil {
			return err
		}
	}
}

// closed says what the end of a connection means: after some close codes a client
// is not to come back as it is.
func closed(err error) error {
	var end websocket.CloseError
	if errors.As(err, &end) {
		switch end.Code {
		case 4401, 4403, 4409:
			return &Problem{Title: end.Reason, Status: int(end.Code) - 4000}
		}
	}
	return err
}

// frame handles one message. A frame of entries has one cursor, for its last.
func (t *tail) frame(text []byte) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return fmt.Errorf("a message that is not understood: %w", err)
	}
	t.alive = true
	switch f.Op {
	case "hello":
		t.note("connected", string(text))
	case "entries":
		for i, e := range f.Entries {
			item := Item{Entry: e}
			if i == len(f.Entries)-1 {
				item.Cursor = f.Cursor
			}
			if err := t.give(item); err != nil {
				return err
			}
		}
	case "gap":
		t.noteGap(&f.Gap)
	case "error":
		t.note("error", string(f.Problem))
	case "bye":
		t.hint = time.Duration(f.Retry) * time.Millisecond
		t.note("bye", string(text))
	}
	return t.move(f.Cursor)
}
