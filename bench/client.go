package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// requestTimeout bounds every request.
const requestTimeout = 30 * time.Second

// A client is one kept-alive connection that publishes. It is lighter than
// net/http's, since it shares the machine with what it measures.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	head []byte // of every request, up to the length
	out  []byte
	body bytes.Buffer // of the last answer
}

// dial connects a publisher.
func (s *server) dial(ctx context.Context) (*client, error) {
	token, err := s.token(publisher, group, "publish")
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.addr)
	if err != nil {
		return nil, err
	}
	return &client{conn: conn, in: bufio.NewReader(conn), head: fmt.Appendf(nil,
		"POST /v1/alarms HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: ",
		s.addr, token)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

var raised = []byte(`"status":"raised"`)

// publish sends lines of events and wants each of them to raise an alarm.
func (c *client) publish(lines []byte, events int) error {
	if err := c.conn.SetDeadline(time.Now().Add(requestTimeout)); err != nil {
		return err
	}
	c.out = append(c.out[:0], c.head...)
	c.out = strconv.AppendInt(c.out, int64(len(lines)), 10)
	c.out = append(c.out, "\r\n\r\n"...)
	c.out = append(c.out, lines...)
	if _, err := c.conn.Write(c.out); err != nil {
		return err
	}
	answer, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	c.body.Reset()
	_, err = c.body.ReadFrom(answer.Body)
	if err = errors.Join(err, answer.Body.Close()); err != nil {
		return err
	}
	if n := bytes.Count(c.body.Bytes(), raised); answer.StatusCode != http.StatusAccepted || n != events {
		return fmt.Errorf("%d of %d alarms were raised: %s %.500s", n, events, answer.Status, c.body.Bytes())
	}
	return nil
}

// event writes an event of a device's own that nobody sent before.
func event(b []byte, device, message string) []byte {
	return fmt.Appendf(b, `{"id":"%s","device":"%s","type":"overspeed","severity":"major","message":"%s","attrs":{"speed_kmh":"92"}}`+"\n",
		device, device, message)
}

// verify wants the server's counters to say that this many alarms are open. Its
// view may be a moment behind what it has answered.
func (s *server) verify(ctx context.Context, published int) error {
	for end := time.Now().Add(requestTimeout); ; {
		open, err := s.open(ctx)
		if err != nil || open == published {
			return err
		}
		if open > published || time.Now().After(end) {
			return fmt.Errorf("%d alarms are open of %d published", open, published)
		}
	}
}

// open asks the server for its counters, as somebody who sees everything: how
// many alarms are active or unacknowledged.
func (s *server) open(ctx context.Context) (int, error) {
	var page struct{ Active map[string]int }
	if err := s.poll(ctx, "chief", "*", "snapshot=active&limit=1", &page); err != nil {
		return 0, fmt.Errorf("read the counters: %w", err)
	}
	n := 0
	for _, of := range page.Active {
		n += of
	}
	return n, nil
}

// cursor is where a reader of the group is who has seen everything.
func (s *server) cursor(ctx context.Context) (string, error) {
	var page struct{ Cursor string }
	if err := s.poll(ctx, "reader-0", group, "cursor=latest", &page); err != nil {
		return "", fmt.Errorf("read the cursor: %w", err)
	}
	return page.Cursor, nil
}

// poll asks for a page of somebody's inbox.
func (s *server) poll(ctx context.Context, user, groups, query string, page any) error {
	token, err := s.token(user, groups, "inbox")
	if err != nil {
		return err
	}
	text, err := get(ctx, "http://"+s.addr+"/v1/inbox?"+query, token)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, page)
}

// awaitPolls waits until the server holds as many polls.
func (s *server) awaitPolls(ctx context.Context, n int) error {
	const gauge = `tocsin_connections{transport="poll"} `
	for end := time.Now().Add(requestTimeout); ; time.Sleep(20 * time.Millisecond) {
		text, err := get(ctx, "http://"+s.ops+"/metrics", "")
		if err != nil {
			return err
		}
		_, value, _ := strings.Cut(string(text), gauge)
		value, _, _ = strings.Cut(value, "\n")
		if held, err := strconv.ParseFloat(value, 64); err == nil && int(held) == n {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server holds %q polls of %d", value, n)
		}
	}
}

// get asks for something small.
func get(ctx context.Context, address, token string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
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
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %.500s", answer.Status, text)
	}
	return text, err
}
