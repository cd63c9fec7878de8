package httpd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/limit"
)

// maxBody bounds the bodies that are no batches, in bytes.
const maxBody = 64 << 10

// Content types of bodies.
const (
	typeJSON   = "application/json"
	typeNDJSON = "application/x-ndjson"
	typeText   = "text/plain"
)

// mediaType is the type of the body, in small letters. A body without a type is
// taken for JSON.
func mediaType(c echo.Context) (string, error) {
	text := c.Request().Header.Get("Content-Type")
	if text == "" {
		return typeJSON, nil
	}
	t, params, err := mime.ParseMediaType(text)
	if err != nil {
		return "", fmt.Errorf("%w: %.80q", errMediaType, text)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") {
		return "", fmt.Errorf("%w: want UTF-8", errMediaType)
	}
	return t, nil
}

// readBody reads all of a body, of at most so many bytes.
func (s *Server) readBody(c echo.Context, most int) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > int64(most) {
		return nil, &http.MaxBytesError{Limit: int64(most)}
	}
	in := http.MaxBytesReader(c.Response(), r.Body, int64(most))
	s.slowBody(c)
	// What a client announces is believed when it comes: else a header would cost as
	// much memory as the body that never follows it.
	buf := bytes.NewBuffer(make([]byte, 0, min(max(r.ContentLength, 0), believed)+bytes.MinRead))
	n, err := buf.ReadFrom(io.LimitReader(in, believed))
	for err == nil && n == believed {
		if err = s.hold(c, believed); err == nil {
			n, err = buf.ReadFrom(io.LimitReader(in, believed))
		}
	}
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: the body ended early", alarm.ErrMalformed)
	case err != nil:
		return nil, err
	}
	bodyDone(c)
	if note(c).kind == limit.Publishes {
		s.weigh(r.Context(), buf.Len())
	}
	return buf.Bytes(), nil
}

// believed is how much of a body has memory before any of it has come, in bytes, and
// how much is read at a time.
const believed = 64 << 10

// hold takes memory until the request has been answered.
func (s *Server) hold(c echo.Context, bytes int) error {
	n := note(c)
	release, err := s.o.Limiter.Hold(bytes, n.user == "")
	if err != nil {
		return err
	}
	n.held = append(n.held, release)
	return nil
}

// A sentBody is a request's body: what cannot be read of it, because it breaks the
// rules of HTTP or ends early, is its sender's fault.
type sentBody struct{ io.ReadCloser }

func (b sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: the body cannot be read: %w", alarm.ErrMalformed, err)
	}
	return n, err
}

// slowBody bounds how long the body may take. The bound stays, unless bodyDone is
// called: net/http reads what is left of a body before it answers.
func (s *Server) slowBody(c echo.Context) {
	_ = http.NewResponseController(c.Response()).SetReadDeadline(note(c).began.Add(s.o.BodyTimeout))
}

// bodyDone says that a body was read to its end: from then on the connection is
// only watched for its own end, without a deadline.
func bodyDone(c echo.Context) {
	note(c).body = false
	_ = http.NewResponseController(c.Response()).SetReadDeadline(time.Time{})
}

// readJSON reads a body that is one JSON object into v. An empty body is left
// alone if it may be missing. It may call itself text/plain, since Internet
// Explorer's XDomainRequest knows no other type; that opens no door to foreign
// pages, for what changes something asks for their origin.
func (s *Server) readJSON(c echo.Context, v any, optional bool) error {
	return s.readLongJSON(c, v, maxBody, optional)
}

// readLongJSON is readJSON with a bound of its own, in bytes.
func (s *Server) readLongJSON(c echo.Context, v any, limit int, optional bool) error {
	body, err := s.readBody(c, limit)
	if err != nil || optional && len(body) == 0 {
		return err
	}
	if t, err := mediaType(c); err != nil || t != typeJSON && t != typeText {
		return errors.Join(err, fmt.Errorf("%w: want %s", errMediaType, typeJSON))
	}
	if err := json.Unmarshal(body, v); err != nil {
		return explainJSON(err)
	}
	return nil
}

// explainJSON says what is wrong with a body in the words of the wire.
func explainJSON(err error) error {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return inbox.Fieldf(wrong.Field, "not %s", wrong.Value)
	}
	return fmt.Errorf("%w: %w", alarm.ErrMalformed, err)
}

// writeJSON answers with a value.
func writeJSON(c echo.Context, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode the answer: %w", err)
	}
	return write(c, status, typeJSON, append(body, '\n'))
}
