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
func (s *Server) readBody(c echo.Context, limit int) ([]byte, error) {
	r := c.Request()
	if r.ContentLength > int64(limit) {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	in := http.MaxBytesReader(c.Response(), r.Body, int64(limit))
	s.slowBody(c)
	b := make([]byte, 0, max(r.ContentLength, 0)+bytes.MinRead)
	buf := bytes.NewBuffer(b)
	_, err := buf.ReadFrom(in)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, fmt.Errorf("%w: the body ended early", alarm.ErrMalformed)
	case err != nil:
		return nil, err
	}
	bodyDone(c)
	return buf.Bytes(), nil
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
