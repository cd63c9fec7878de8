package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// An Alarm is what lists tell of one, as far as the commands print it.
type Alarm struct {
	ID           string     `json:"id"`
	Device       string     `json:"device"`
	Type         string     `json:"type"`
	Qualifier    string     `json:"qualifier"`
	Severity     string     `json:"severity"`
	Active       bool       `json:"active"`
	Acked        bool       `json:"acked"`
	Count        uint64     `json:"count"`
	RaisedAt     time.Time  `json:"raised_at"`
	ShelvedUntil *time.Time `json:"shelved_until"`
	Message      string     `json:"message"`
	// Raw is the alarm as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// Alarms asks for a page of the list (docs/protocol.md §9) with the parameters of
// the query; next is the after of the following page, empty at the end.
func (c *Client) Alarms(ctx context.Context, query url.Values) (alarms []Alarm, next string, err error) {
	var answer struct {
		Alarms []json.RawMessage `json:"alarms"`
		Next   string            `json:"next"`
	}
	if err := c.ask(ctx, http.MethodGet, "/v1/alarms", query, nil, &answer); err != nil {
		return nil, "", err
	}
	alarms = make([]Alarm, len(answer.Alarms))
	for i, raw := range answer.Alarms {
		if err := json.Unmarshal(raw, &alarms[i]); err != nil {
			return nil, "", fmt.Errorf("read alarm %d: %w", i+1, err)
		}
		alarms[i].Raw = raw
	}
	return alarms, answer.Next, nil
}

// MaxAcknowledged is how many alarms one Acknowledge takes.
const MaxAcknowledged = 200

// An Acknowledged is what became of one alarm.
type Acknowledged struct {
	ID      string          `json:"id"`
	Alarm   json.RawMessage `json:"alarm,omitempty"`
	Problem *Problem        `json:"problem,omitempty"`
	// Raw is the result as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// Acknowledge acknowledges alarms, at most MaxAcknowledged, and returns a result
// for each, in order. Doing it again changes nothing.
func (c *Client) Acknowledge(ctx context.Context, ids []string, note string) ([]Acknowledged, error) {
	body := struct {
		IDs  []string `json:"ids"`
		Note string   `json:"note,omitempty"`
	}{ids, note}
	var answer struct {
		Results []json.RawMessage `json:"results"`
	}
	if err := c.ask(ctx, http.MethodPost, "/v1/alarms/ack", nil, body, &answer); err != nil {
		return nil, err
	}
	if len(answer.Results) != len(ids) {
		return nil, fmt.Errorf("%d alarms got %d results", len(ids), len(answer.Results))
	}
	results := make([]Acknowledged, len(ids))
	for i, raw := range answer.Results {
		if err := json.Unmarshal(raw, &results[i]); err != nil {
			return nil, fmt.Errorf("read result %d: %w", i+1, err)
		}
		results[i].Raw = raw
	}
	return results, nil
}

// ask sends a request, with a JSON body unless that is nil, and reads the answer
// into v.
func (c *Client) ask(ctx context.Context, method, path string, query url.Values, body, v any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var text []byte
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, c.address(path, query), bytes.NewReader(text))
	if err != nil {
		return err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
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
