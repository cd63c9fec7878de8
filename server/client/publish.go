package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A Result is what became of one event.
type Result struct {
	ID        string   `json:"id,omitempty"`
	Rev       uint64   `json:"rev,omitempty"`
	Seq       uint64   `json:"seq,omitempty"`
	Status    string   `json:"status"`
	Duplicate bool     `json:"duplicate"`
	Problem   *Problem `json:"problem,omitempty"`
	// Raw is the result as the server wrote it.
	Raw json.RawMessage `json:"-"`
}

// Statuses of a Result.
const (
	StatusRaised   = "raised"
	StatusRepeated = "repeated"
	StatusCleared  = "cleared"
	StatusOrphan   = "orphan"
	StatusLate     = "late"
	StatusRejected = "rejected"
)

// Publish sends events, one JSON object a line, and returns a result for each,
// in order. With a key, event n without an id of its own has the id key/n.
func (c *Client) Publish(ctx context.Context, key string, lines [][]byte) ([]Result, error) {
	var answer struct {
		Results []json.RawMessage `json:"results"`
	}
	err := c.post(ctx, "/v1/alarms", key, lines, &answer)
	var p *Problem
	if len(lines) == 1 && errors.As(err, &p) && aboutTheEvent(p.Status) {
		return refused(p)
	}
	if err != nil {
		return nil, err
	}
	if len(answer.Results) != len(lines) {
		return nil, fmt.Errorf("%d events got %d results", len(lines), len(answer.Results))
	}
	results := make([]Result, len(lines))
	for i, raw := range answer.Results {
		if err := json.Unmarshal(raw, &results[i]); err != nil {
			return nil, fmt.Errorf("read result %d: %w", i+1, err)
		}
		results[i].Raw = raw
	}
	return results, nil
}

// aboutTheEvent says whether the status judges what was sent and not who sent it:
// a bad event that is alone may be refused as a request.
func aboutTheEvent(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusConflict, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

// refused is the result that the problem would have been among others.
func refused(p *Problem) ([]Result, error) {
	r := Result{Status: StatusRejected, Problem: p}
	var err error
	r.Raw, err = json.Marshal(r)
	return []Result{r}, err
}

// A Retry says how long to go on against a server that is away.
type Retry struct {
	// For is how long; 0 tries once.
	For time.Duration
	// Pace is the waiting between attempts.
	Pace Pace
	// Note hears why an attempt failed; nil is nobody.
	Note func(err error)
}

// do calls f until it succeeds, fails for good, or time is up.
func (r Retry) do(ctx context.Context, f func() error) error {
	deadline := time.Now().Add(r.For)
	wait := r.Pace.start()
	for {
		err := f()
		if err == nil || !Passing(err) || ctx.Err() != nil || time.Now().After(deadline) {
			return err
		}
		if r.Note != nil {
			r.Note(err)
		}
		if !wait.sleep(ctx, err) {
			return err
		}
	}
}

// errUnstored is a batch of which some events met a log that did not answer.
var errUnstored = errors.New("some events were not stored")

// PublishRetrying is Publish, repeated with the same ids while the server is away
// or could not store some of the events. What was stored the first time answers
// with its first outcome, so the results are those of a single quiet attempt. The
// events need ids, their own or the key's.
func (c *Client) PublishRetrying(ctx context.Context, key string, lines [][]byte, r Retry) (results []Result, err error) {
	err = r.do(ctx, func() error {
		got, err := c.Publish(ctx, key, lines)
		if err != nil {
			return err
		}
		results = got
		for i := range got {
			if p := got[i].Problem; p != nil && passing(p.Status) {
				return fmt.Errorf("%w: %w", errUnstored, p)
			}
		}
		return nil
	})
	if errors.Is(err, errUnstored) {
		return results, nil // each result says it
	}
	return results, err
}
