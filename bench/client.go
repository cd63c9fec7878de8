package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"strconv"
	"time"
)

// requestTimeout bounds every request.
const requestTimeout = 30 * time.Second

// A client is one kept-alive connection that publishes. It is lighter than
// net/http's, since it shares the machine with what it measures.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  []byte
	body []byte // of the last answer
}

// dial connects a publisher.
func dial(ctx context.Context, addr string) (*client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReaderSize(conn, 16<<10)}, nil
}

// dialAll connects several, each where it is told to; hangUp closes them.
func dialAll(ctx context.Context, where func() string, n int) (all []*client, hangUp func(), err error) {
	hangUp = func() {
		for _, c := range all {
			c.close()
		}
	}
	for range n {
		c, err := dial(ctx, where())
		if err != nil {
			hangUp()
			return nil, nil, err
		}
		all = append(all, c)
	}
	return all, hangUp, nil
}

func (c *client) close() { _ = c.conn.Close() }

// publish posts one message and wants it to be accepted.
func (c *client) publish(s service, group, name, message string) error {
	c.out = s.post(c.out[:0], group, name, message)
	status, body, err := c.do(c.out)
	if err != nil {
		return err
	}
	return s.posted(status, body)
}

// do sends a request and returns what it is answered, until the next one.
func (c *client) do(request []byte) (status int, body []byte, err error) {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return 0, nil, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, nil, err
	}
	size := -1
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, nil, fmt.Errorf("read the answer: %w", err)
		}
		line = bytes.TrimRight(line, "\r\n")
		switch name, value, _ := bytes.Cut(line, []byte(":")); {
		case len(line) == 0:
			if size < 0 {
				return 0, nil, fmt.Errorf("the answer, a %d, does not say how long it is", status)
			}
			if size == inChunks {
				c.body, err = chunks(c.in)
				return status, c.body, err
			}
			if cap(c.body) < size {
				c.body = make([]byte, size)
			}
			c.body = c.body[:size]
			_, err = io.ReadFull(c.in, c.body)
			return status, c.body, err
		case status == 0:
			if _, code, ok := bytes.Cut(line, []byte(" ")); ok && len(code) >= 3 {
				status, _ = strconv.Atoi(string(code[:3]))
			}
			if status == 0 {
				return 0, nil, fmt.Errorf("this is no answer: %q", line)
			}
		case bytes.EqualFold(name, []byte("Content-Length")):
			if size, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil {
				return 0, nil, err
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			size = inChunks
		}
	}
}

// inChunks stands for a length that nobody knows yet.
const inChunks = 1<<31 - 1

// chunks reads a body of chunks without trailers.
func chunks(in *bufio.Reader) ([]byte, error) {
	body, err := io.ReadAll(httputil.NewChunkedReader(in))
	if err != nil {
		return nil, err
	}
	_, err = in.Discard(len("\r\n"))
	return body, err
}

// ask is for what is not measured.
func ask(ctx context.Context, method, address, token string, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 16<<20))
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("%s %.500s", answer.Status, text)
	}
	return text, err
}
