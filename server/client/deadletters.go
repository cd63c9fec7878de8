package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// A Letter is something that a door of the server refused without being able to
// tell its sender (docs/protocol.md §9).
type Letter struct {
	Time      string `json:"time"`
	Door      string `json:"door"`
	Publisher string `json:"publisher"`
	Device    string `json:"device,omitempty"`
	Problem   string `json:"problem"`
	// Body is what was refused, Binary the same where it is no text.
	Body   string `json:"body,omitempty"`
	Binary []byte `json:"body_base64,omitempty"`
}

// DeadLetters lists the newest letters, the newest first.
func (c *Client) DeadLetters(ctx context.Context, limit int) ([]Letter, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	const path = "/v1/deadletters"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address(path, url.Values{"limit": {strconv.Itoa(limit)}}), nil)
	if err != nil {
		return nil, err
	}
	_, _, body, err := c.do(req)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Letters []Letter `json:"letters"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, fmt.Errorf("read the answer of %s: %w", path, err)
	}
	return answer.Letters, nil
}
