package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// A socketReader reads one conversation.
type socketReader struct {
	conn   *websocket.Conn
	cursor string
	bye    string
	shows  Counters

	mu sync.Mutex // of writing
}

// A frame is what the server says.
type frame struct {
	Counters
	Op      string
	Ref     json.RawMessage
	Cursor  string
	Entries []json.RawMessage
	Gap     struct{ Reason string }
	Reason  string
	Problem struct {
		Type   string
		Status int
	}
}

func connectWebSocket(ctx context.Context, base, token, cursor string) (Reader, error) {
	return dial(ctx, base, token, cursor, false)
}

// dial says who the client is by the handshake, or by the first frame.
func dial(ctx context.Context, base, token, cursor string, byFrame bool) (*socketReader, error) {
	header, start := http.Header{}, map[string]any{"op": "start", "cursor": cursor}
	if byFrame {
		start["op"], start["token"] = "auth", token
	} else {
		header.Set("Authorization", "Bearer "+token)
	}
	d := websocket.Dialer{Subprotocols: []string{"tocsin.v1.json"}}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/v1/inbox/ws", header)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, &End{Code: resp.StatusCode}
		}
		return nil, err
	}
	r := &socketReader{conn: conn, cursor: cursor}
	if err := r.say(start); err != nil {
		r.Close()
		return nil, err
	}
	f, err := r.read(ctx)
	if err == nil && f.Op != "hello" {
		err = fmt.Errorf("the first frame is %q", f.Op)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	if r.cursor == "" {
		r.cursor = f.Cursor
	}
	return r, nil
}

func (r *socketReader) Cursor() string { return r.cursor }
func (r *socketReader) Close()         { _ = r.conn.Close() }

// say sends a message; a string goes as it is.
func (r *socketReader) say(message any) error {
	text, raw := message.(string)
	if !raw {
		b, err := json.Marshal(message)
		if err != nil {
			return err
		}
		text = string(b)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn.WriteMessage(websocket.TextMessage, []byte(text))
}

// read returns the next frame. A context that ends closes the connection.
func (r *socketReader) read(ctx context.Context) (frame, error) {
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	var f frame
	_, text, err := r.conn.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return f, &End{closed.Code, r.bye}
	case err != nil && ctx.Err() != nil:
		return f, context.Cause(ctx)
	case err != nil:
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, fmt.Errorf("a frame that is none: %w: %.200q", err, text)
	}
	switch f.Op {
	case "bye":
		r.bye = f.Reason
	case "hello", "entries", "counts":
		r.shows = f.Counters
	}
	return f, nil
}

func (r *socketReader) Next(ctx context.Context) (Batch, error) {
	for {
		f, err := r.read(ctx)
		if err != nil {
			return Batch{}, err
		}
		switch f.Op {
		case "gap":
			return Batch{Gap: f.Gap.Reason}, nil
		case "entries":
			b, err := batchOf(f.Entries)
			if err == nil {
				r.cursor = f.Cursor
			}
			return b, err
		case "ping":
			r.cursor = f.Cursor
		}
	}
}

func (r *socketReader) Counters(ctx context.Context, want Counters) error {
	for !r.shows.is(want) {
		if _, err := r.read(ctx); err != nil {
			return fmt.Errorf("while it shows %v: %w", r.shows, err)
		}
	}
	return nil
}

// answer reads until the server answers what was said, for a while.
func (r *socketReader) answer(ctx context.Context) (frame, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		f, err := r.read(ctx)
		if err != nil || f.Op == "ok" || f.Op == "error" {
			return f, err
		}
	}
}
