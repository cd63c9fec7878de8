package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
)

// An Explanation says why somebody got an alarm or did not.
type Explanation struct {
	Alarm   string            `json:"alarm,omitempty"`
	Device  string            `json:"device"`
	User    string            `json:"user"`
	Verdict string            `json:"verdict"`
	Steps   []ExplanationStep `json:"steps"`
}

// An ExplanationStep is one thing that was looked at; OK: from there it goes on to
// the user.
type ExplanationStep struct {
	What string `json:"what"`
	Says string `json:"says"`
	OK   bool   `json:"ok"`
}

// Explain asks why the user gets, or does not get, the alarm with this id or, if
// that is empty, the alarms of the device.
func (c *Client) Explain(ctx context.Context, alarm, device, user string) (Explanation, error) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	q := url.Values{"user": {user}}
	if alarm != "" {
		q.Set("alarm", alarm)
	} else {
		q.Set("device", device)
	}
	var e Explanation
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.address("/v1/explain", q), nil)
	if err != nil {
		return e, err
	}
	_, _, answer, err := c.do(req)
	if err != nil {
		return e, err
	}
	if err := json.Unmarshal(answer, &e); err != nil {
		return e, fmt.Errorf("read the answer of /v1/explain: %w", err)
	}
	return e, nil
}
