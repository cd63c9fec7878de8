package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A TraceLine is one thing that happened to a user.
type TraceLine struct {
	At, Node, What string
	// Text is the line as the server told it, a JSON object.
	Text []byte `json:"-"`
}

// Rest is what else there is to the line, as name=value.
func (l *TraceLine) Rest() string {
	var members map[string]any
	if json.Unmarshal(l.Text, &members) != nil {
		return string(l.Text)
	}
	for _, name := range []string{"at", "node", "what", "user"} {
		delete(members, name)
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if text, is := members[name].(string); is && !strings.ContainsAny(text, " \"") {
			fmt.Fprintf(&b, "%s=%s ", name, text)
			continue
		}
		text, err := json.Marshal(members[name])
		if err == nil {
			fmt.Fprintf(&b, "%s=%s ", name, text)
		}
	}
	return strings.TrimSpace(b.String())
}

// maxTraceLine bounds a line, in bytes.
const maxTraceLine = 1 << 20

// Trace calls each with what happens to a user, until the time is over, the context
// ends (which is no error) or each returns an error.
func (c *Client) Trace(ctx context.Context, user string, span time.Duration, each func(TraceLine) error) error {
	q := url.Values{"user": {user}, "for": {strconv.Itoa(int(span / time.Second))}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address("/v1/trace", q), nil)
	if err != nil {
		return err
	}
	c.authorize(req.Header)
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return problem(resp)
	}
	in := bufio.NewScanner(resp.Body)
	in.Buffer(nil, maxTraceLine)
	var last TraceLine
	for in.Scan() {
		last = TraceLine{Text: in.Bytes()}
		if err := json.Unmarshal(last.Text, &last); err != nil {
			return fmt.Errorf("read a line of the trace: %w", err)
		}
		if err := each(last); err != nil {
			return err
		}
	}
	switch {
	case ctx.Err() != nil, last.What == "end":
		return nil
	case in.Err() != nil:
		return fmt.Errorf("follow the trace: %w", in.Err())
	}
	return fmt.Errorf("follow the trace: %w", io.ErrUnexpectedEOF)
}
