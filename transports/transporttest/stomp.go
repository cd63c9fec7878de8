package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/gorilla/websocket"
)

// A stompReader reads an inbox by STOMP 1.2.
type stompReader struct {
	conn   *websocket.Conn
	cursor string
	shows  Counters
}

// A stompFrame is what the server says.
type stompFrame struct {
	command string
	header  map[string]string
	body    string
}

var (
	stompEscape   = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, ":", `\c`)
	stompUnescape = strings.NewReplacer(`\\`, "\\", `\n`, "\n", `\r`, "\r", `\c`, ":")
)

func connectStomp(ctx context.Context, base, token, cursor string) (Reader, error) {
	d := websocket.Dialer{Subprotocols: []string{"v12.stomp"}}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/stomp", nil)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, &End{Code: resp.StatusCode}
		}
		return nil, err
	}
	r := &stompReader{conn: conn, cursor: cursor}
	if err := r.begin(ctx, token); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// begin connects and subscribes.
func (r *stompReader) begin(ctx context.Context, token string) error {
	place := ""
	if r.cursor != "" {
		place = "\ncursor:" + stompEscape.Replace(r.cursor)
	}
	text := "CONNECT\naccept-version:1.2\npasscode:" + token + "\n\n\x00" +
		"SUBSCRIBE\nid:0\ndestination:/user/queue/inbox\ncounts:true\nreceipt:0" + place + "\n\n\x00"
	if err := r.conn.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		return err
	}
	for {
		f, err := r.read(ctx)
		if err != nil {
			return err
		}
		if f.command == "RECEIPT" {
			if r.cursor == "" {
				r.cursor = f.header["cursor"]
			}
			return nil
		}
	}
}

func (r *stompReader) Cursor() string { return r.cursor }
func (r *stompReader) Close()         { _ = r.conn.Close() }

// read returns the next frame. A context that ends closes the connection.
func (r *stompReader) read(ctx context.Context) (stompFrame, error) {
	stop := context.AfterFunc(ctx, r.Close)
	defer stop()
	f := stompFrame{header: map[string]string{}}
	_, text, err := r.conn.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return f, &End{closed.Code, closed.Text}
	case err != nil && ctx.Err() != nil:
		return f, context.Cause(ctx)
	case err != nil:
		return f, err
	}
	head, body, found := strings.Cut(string(text), "\n\n")
	body, ends := strings.CutSuffix(body, "\x00")
	if string(text) == "\n" {
		return f, nil
	}
	if !found || !ends {
		return f, fmt.Errorf("a frame that is none: %.200q", text)
	}
	f.body = body
	for i, line := range strings.Split(head, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if i == 0 {
			f.command = line
		} else {
			f.header[stompUnescape.Replace(name)] = stompUnescape.Replace(value)
		}
	}
	return f, r.take(&f)
}

// take notes the counters.
func (r *stompReader) take(f *stompFrame) error {
	if f.header["counts"] == "" {
		return nil
	}
	return json.Unmarshal([]byte(f.body), &r.shows)
}

func (r *stompReader) Next(ctx context.Context) (Batch, error) {
	for {
		f, err := r.read(ctx)
		switch {
		case err != nil:
			return Batch{}, err
		case f.command != "MESSAGE" || f.header["counts"] != "":
			continue
		}
		r.cursor = f.header["message-id"]
		if text := f.header["gap"]; text != "" {
			var gap struct{ Reason string }
			err := json.Unmarshal([]byte(text), &gap)
			return Batch{Gap: gap.Reason}, err
		}
		e, err := decode([]byte(f.body))
		return Batch{Entries: []Entry{e}}, err
	}
}

func (r *stompReader) Counters(ctx context.Context, want Counters) error {
	for !r.shows.is(want) {
		if _, err := r.read(ctx); err != nil {
			return fmt.Errorf("while it shows %v: %w", r.shows, err)
		}
	}
	return nil
}
