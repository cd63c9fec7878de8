package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// An AuditRecord is one thing that somebody did (docs/protocol.md §9).
type AuditRecord struct {
	Time    string          `json:"time"`
	By      string          `json:"by"`
	From    string          `json:"from"`
	What    string          `json:"what"`
	On      []string        `json:"on"`
	Note    string          `json:"note,omitempty"`
	Details json.RawMessage `json:"details,omitempty"`
	Node    string          `json:"node"`
	Request string          `json:"request,omitempty"`
}

// An AuditQuery says which records; empty fields are no bound. Since is RFC 3339.
type AuditQuery struct{ User, What, Since string }

// mostAudit is what the server lists on a page at most.
const mostAudit = 1000

// Audit lists the newest records, the newest first, at most limit of them.
func (c *Client) Audit(ctx context.Context, q AuditQuery, limit int) ([]AuditRecord, error) {
	const path = "/v1/audit"
	query := url.Values{"user": {q.User}, "what": {q.What}, "since": {q.Since}}
	var all []AuditRecord
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(all), mostAudit)))
		page, next, err := c.auditPage(ctx, c.address(path, query))
		if err != nil {
			return nil, err
		}
		if all = append(all, page...); next == "" || len(all) >= limit {
			return all, nil
		}
		query.Set("after", next)
	}
}

func (c *Client) auditPage(ctx context.Context, address string) (page []AuditRecord, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, "", err
	}
	_, _, body, err := c.do(req)
	if err != nil {
		return nil, "", err
	}
	var answer struct {
		Records []AuditRecord `json:"records"`
		Next    string        `json:"next"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return nil, "", fmt.Errorf("read the audit trail: %w", err)
	}
	return answer.Records, answer.Next, nil
}
