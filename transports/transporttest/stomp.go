package transporttest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gorilla/websocket"
)

// A Stomp is a client of STOMP 1.2 over WebSocket, whose frames a test writes
// itself. One goroutine may say something while another one reads.
type Stomp struct{ conn *websocket.Conn }

// A StompFrame is what the server says; a heart-beat has no command.
type StompFrame struct {
	Command string
	Header  map[string]string
	Body    string
}

// StompEscape escapes a header's value.
func StompEscape(value string) string { return stompEscape.Replace(value) }

var (
	stompEscape   = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\r", `\r`, ":", `\c`)
	stompUnescape = strings.NewReplacer(`\\`, "\\", `\n`, "\n", `\r`, "\r", `\c`, ":")
)

// DialStomp opens a connection to the server at base, with these pairs of headers.
// The error is an *End where the handshake was refused.
func DialStomp(ctx context.Context, base string, header ...string) (*Stomp, error) {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	d := websocket.Dialer{Subprotocols: []string{"v12.stomp"}}
	conn, resp, err := d.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+"/stomp", h)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if err != nil {
		if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
			return nil, &End{Code: resp.StatusCode}
		}
		return nil, err
	}
	return &Stomp{conn}, nil
}

// Close vanishes.
func (s *Stomp) Close() { _ = s.conn.Close() }

// Say sends a frame: its command with headers, lines, and its body.
func (s *Stomp) Say(head, body string) error {
	return s.conn.WriteMessage(websocket.TextMessage, []byte(head+"\n\n"+body+"\x00"))
}

// Read returns the next frame. The error is an *End where the server has closed. A
// context that ends closes the connection.
func (s *Stomp) Read(ctx context.Context) (StompFrame, error) {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	var f StompFrame
	_, text, err := s.conn.ReadMessage()
	var closed *websocket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure:
		return f, &End{closed.Code, closed.Text}
	case err != nil && ctx.Err() != nil:
		return f, context.Cause(ctx)
	case err != nil:
		return f, err
	}
	return ParseStomp(text)
}

// ParseStomp reads a frame out of a message of the server's.
func ParseStomp(text []byte) (StompFrame, error) {
	f := StompFrame{Header: map[string]string{}}
	if string(text) == "\n" {
		return f, nil
	}
	head, body, found := strings.Cut(string(text), "\n\n")
	body, ends := strings.CutSuffix(body, "\x00")
	if !found || !ends {
		return f, fmt.Errorf("a frame that is none: %.200q", text)
	}
	f.Body = body
	for i, line := range strings.Split(head, "\n") {
		name, value, _ := strings.Cut(line, ":")
		if i == 0 {
			f.Command = line
		} else {
			f.Header[stompUnescape.Replace(name)] = stompUnescape.Replace(value)
		}
	}
	return f, nil
}

// A stompReader reads an inbox by STOMP.
type stompReader struct {
	*Stomp
	cursor string
	shows  Counters
}

func connectStomp(ctx context.Context, base, token, cursor string) (Reader, error) {
	s, err := DialStomp(ctx, base)
	if err != nil {
		return nil, err
	}
	r := &stompReader{Stomp: s, cursor: cursor}
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
		place = "\ncursor:" + StompEscape(r.cursor)
	}
	err := r.Say("CONNECT\naccept-version:1.2\npasscode:"+token, "")
	if err == nil {
		err = r.Say("SUBSCRIBE\nid:0\ndestination:/user/queue/inbox\ncounts:true\nreceipt:0"+place, "")
	}
	for err == nil {
		var f StompFrame
		if f, err = r.read(ctx); err == nil && f.Command == "RECEIPT" {
			if r.cursor == "" {
				r.cursor = f.Header["cursor"]
			}
			return nil
		}
	}
	return err
}

func (r *stompReader) Cursor() string { return r.cursor }

// read notes the counters.
func (r *stompReader) read(ctx context.Context) (StompFrame, error) {
	f, err := r.Read(ctx)
	if err == nil && f.Header["counts"] != "" {
		err = json.Unmarshal([]byte(f.Body), &r.shows)
	}
	return f, err
}

func (r *stompReader) Next(ctx context.Context) (Batch, error) {
	for {
		f, err := r.read(ctx)
		switch {
		case err != nil:
			return Batch{}, err
		case f.Command != "MESSAGE" || f.Header["counts"] != "":
			continue
		}
		r.cursor = f.Header["message-id"]
		if text := f.Header["gap"]; text != "" {
			var gap struct{ Reason string }
			err := json.Unmarshal([]byte(text), &gap)
			return Batch{Gap: gap.Reason}, err
		}
		e, err := decode([]byte(f.Body))
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
