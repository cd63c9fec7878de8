package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// Backup writes a backup of everything that the server has stored to w. last: it
// is the last one, nothing can be stored in that log any more. It takes as long as
// it takes; the context ends it. What was written is whole only where the error is
// nil.
func (c *Client) Backup(ctx context.Context, w io.Writer, last bool) error {
	q := url.Values{}
	if last {
		q.Set("last", "1")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address("/v1/backup", q), http.NoBody)
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
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("the backup broke off: %w", err)
	}
	return nil
}
