package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// A Page is the answer of one poll (docs/protocol.md §4).
type Page struct {
	Entries  []json.RawMessage `json:"entries"`
	Cursor   string            `json:"cursor"`
	More     bool              `json:"more"`
	Unread   uint64            `json:"unread"`
	Active   map[string]uint64 `json:"active"`
	Interval float64           `json:"interval"` // seconds
	Gap      *Gap              `json:"gap"`
	// ETag and Unchanged: what to ask with next time, and that nothing is new.
	ETag      string `json:"-"`
	Unchanged bool   `json:"-"`
}

// An Ask is one poll.
type Ask struct {
	Cursor   string
	Snapshot bool
	Limit    int           // 0 is the server's default
	Wait     time.Duration // whole seconds; 0 does not wait
	ETag     string        // of the last page, to be told that nothing is new
}

// Inbox polls once.
func (c *Client) Inbox(ctx context.Context, a Ask) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Wait+answerTimeout)
	defer cancel()
	q := url.Values{}
	if a.Cursor != "" {
		q.Set("cursor", a.Cursor)
	}
	if a.Snapshot {
		q.Set("snapshot", "active")
	}
	if a.Limit > 0 {
		q.Set("limit", strconv.Itoa(a.Limit))
	}
	if a.Wait > 0 {
		q.Set("wait", strconv.Itoa(int(a.Wait/time.Second)))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address("/v1/inbox", q), nil)
	if err != nil {
		return Page{}, err
	}
	if a.ETag != "" {
		req.Header.Set("If-None-Match", a.ETag)
	}
	status, header, body, err := c.do(req)
	switch {
	case err != nil:
		return Page{}, err
	case status == http.StatusNoContent:
		return Page{}, ErrEnded
	case status == http.StatusNotModified:
		return Page{Cursor: a.Cursor, ETag: a.ETag, Unchanged: true}, nil
	}
	p := Page{ETag: header.Get("ETag")}
	if err := json.Unmarshal(body, &p); err != nil {
		return Page{}, fmt.Errorf("read a page: %w", err)
	}
	return p, nil
}

// quickPoll is the least time between two long polls that brought nothing: a
// server that drains answers at once, and must not be asked in a circle.
const quickPoll = time.Second

// poll asks page after page; it returns on the first error.
func (t *tail) poll(ctx context.Context) error {
	var a Ask
	interval := 5 * time.Second
	for {
		a.Cursor, a.Snapshot = t.cursor, t.Snapshot
		if t.Limit != nil {
			a.Limit = t.Limit()
		}
		if t.Via == ViaLongPoll {
			a.Wait = t.Wait
		}
		asked := time.Now()
		p, err := t.client.Inbox(ctx, a)
		if err != nil {
			return err
		}
		t.alive = true
		if !p.Unchanged {
			interval = time.Duration(p.Interval * float64(time.Second))
			if err := t.page(p); err != nil {
				return err
			}
		}
		a.ETag = p.ETag
		if !pause(ctx, t.rest(p, interval, time.Since(asked))) {
			return ctx.Err()
		}
	}
}

// page hands over what a page holds.
func (t *tail) page(p Page) error {
	if p.Gap != nil {
		t.noteGap(p.Gap)
	}
	for i, e := range p.Entries {
		item := Item{Entry: e}
		if i == len(p.Entries)-1 {
			item.Cursor = p.Cursor
		}
		if err := t.give(item); err != nil {
			return err
		}
	}
	return t.move(p.Cursor)
}

// rest is how long to leave the server alone after a page.
func (t *tail) rest(p Page, interval, took time.Duration) time.Duration {
	switch {
	case p.More, t.Via == ViaLongPoll && len(p.Entries) > 0:
		return 0
	case t.Via == ViaLongPoll:
		return max(quickPoll-took, 0)
	case t.Interval > 0:
		return t.Interval
	}
	return max(interval, quickPoll)
}
