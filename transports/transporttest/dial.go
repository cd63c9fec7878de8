package transporttest

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// A Socket is a plain WebSocket client, for protocols whose frames a test writes
// itself. One goroutine may send while another one reads.
type Socket struct {
	t    testing.TB
	conn *websocket.Conn
}

// Dial connects to a path of the server at base, with these pairs of headers. The
// error is an *End where the handshake was refused.
func Dial(t testing.TB, base, path string, header ...string) (*Socket, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	conn, resp, err := websocket.DefaultDialer.DialContext(ctx, "ws"+strings.TrimPrefix(base, "http")+path, h)
	if resp != nil {
		_ = resp.Body.Close()
	}
	if resp != nil && errors.Is(err, websocket.ErrBadHandshake) {
		return nil, &End{Code: resp.StatusCode}
	}
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &Socket{t, conn}, nil
}

// MustDial is Dial where it has to succeed.
func MustDial(t testing.TB, base, path string, header ...string) *Socket {
	t.Helper()
	s, err := Dial(t, base, path, header...)
	if err != nil {
		t.Fatalf("connect to %s%s: %v", base, path, err)
	}
	return s
}

// Send sends a text frame; a connection that is over shows when it is read.
func (s *Socket) Send(text string) { _ = s.conn.WriteMessage(websocket.TextMessage, []byte(text)) }

// SendBinary sends a binary frame.
func (s *Socket) SendBinary(message []byte) {
	_ = s.conn.WriteMessage(websocket.BinaryMessage, message)
}

// Next waits for the next message. The error is an *End where the server has closed.
// After an error there is no other message.
func (s *Socket) Next(within time.Duration) (message string, err error) {
	if err := s.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		return "", err
	}
	_, b, err := s.conn.ReadMessage()
	var closed *websocket.CloseError
	if errors.As(err, &closed) {
		return "", &End{closed.Code, closed.Text}
	}
	return string(b), err
}

// Read is Next where a message has to come.
func (s *Socket) Read() string {
	s.t.Helper()
	message, err := s.Next(patience)
	if err != nil {
		s.t.Fatalf("read: %v", err)
	}
	return message
}

// Want reads a message that has to be this one.
func (s *Socket) Want(message string) {
	s.t.Helper()
	if got := s.Read(); got != message {
		s.t.Fatalf("got %s, want %s", got, message)
	}
}

// WantEnd reads until the server closes, and wants this code.
func (s *Socket) WantEnd(code int) {
	s.t.Helper()
	for {
		_, err := s.Next(patience)
		if err == nil {
			continue
		}
		if end := endOf(err); end.Code != code {
			s.t.Fatalf("ended by %v, want %d", err, code)
		}
		return
	}
}

// Close says goodbye, as a client that is closed, and waits for the server's answer.
func (s *Socket) Close() {
	s.t.Helper()
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = s.conn.WriteControl(websocket.CloseMessage, bye, time.Now().Add(patience))
	for {
		if _, err := s.Next(patience); err != nil {
			_ = s.conn.Close()
			return
		}
	}
}

// Cut vanishes without a word.
func (s *Socket) Cut() { _ = s.conn.NetConn().Close() }
