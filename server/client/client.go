package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// answerTimeout bounds a request that the server does not hold on purpose.
const answerTimeout = 30 * time.Second

// maxAnswer is the longest answer, in bytes, that is read into memory.
const maxAnswer = 64 << 20

// A Client asks one server in the name of one token.
type Client struct {
	base  *url.URL
	token string
	http  *http.Client
}

// New makes a client of the server at the URL. The token may be empty, for a
// server that will say what it thinks of that.
func New(server, token string) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("want a URL such as http://127.0.0.1:8080, not %q", server)
	}
	if strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the token holds characters that no token has")
	}
	// A transport of its own: a stalled inbox and a replay must not share the
	// connections of whatever else is in the process.
	return &Client{base: u, token: token, http: &http.Client{Transport: http.DefaultTransport.(*http.Transport).Clone()}}, nil
}

// Close gives idle connections back.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// A Problem is the server's refusal (docs/protocol.md §10).
type Problem struct {
	Type     string `json:"type"`
	Title    string `json:"title"`
	Status   int    `json:"status"`
	Detail   string `json:"detail"`
	Instance string `json:"instance"`
	// RetryAfter is when to ask again, 0 if the server did not say.
	RetryAfter time.Duration `json:"-"`
}

func (p *Problem) Error() string {
	s := strconv.Itoa(p.Status) + " " + p.Title
	if p.Title == "" {
		s += http.StatusText(p.Status)
	}
	if p.Detail != "" {
		s += ": " + p.Detail
	}
	if p.Instance != "" {
		s += " (request " + p.Instance + ")"
	}
	return s
}

// Passing says whether the same request may succeed later. What is no Problem
// is the network's fault, and passes.
func Passing(err error) bool {
	var p *Problem
	if !errors.As(err, &p) {
		return !errors.Is(err, context.Canceled) && !errors.Is(err, ErrEnded)
	}
	return passing(p.Status)
}

func passing(status int) bool {
	switch status {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// address is the URL of a path of the API.
func (c *Client) address(path string, query url.Values) string {
	u := c.base.JoinPath(path)
	u.RawQuery = query.Encode()
	return u.String()
}

func (c *Client) authorize(h http.Header) {
	if c.token != "" {
		h.Set("Authorization", "Bearer "+c.token)
	}
}

// do sends a request and reads its answer; any status but 2xx and 304 is a
// *Problem.
func (c *Client) do(req *http.Request) (status int, header http.Header, body []byte, err error) {
	c.authorize(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, nil, nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusNotModified {
		return resp.StatusCode, resp.Header, nil, problem(resp)
	}
	body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp.StatusCode, resp.Header, body, err
}

// problem reads the refusal that a response is.
func problem(resp *http.Response) *Problem {
	p := &Problem{}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if json.Unmarshal(body, p) != nil {
		*p = Problem{}
	}
	p.Status = resp.StatusCode
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && s > 0 {
		p.RetryAfter = time.Duration(s) * time.Second
	}
	return p
}

// post sends lines of JSON and reads the answer into v. key makes a repeated
// request harmless; it may be empty.
func (c *Client) post(ctx context.Context, path, key string, lines [][]byte, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	body := append(bytes.Join(lines, []byte("\n")), '\n')
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address(path, nil), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-ndjson")
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	_, _, answer, err := c.do(req)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, v); err != nil {
		return fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return nil
}
