package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// MaxLetterBytes bounds the body of a letter; the rest is cut.
const MaxLetterBytes = 64 << 10

// A Letter is something that a door refused without being able to tell its sender.
type Letter struct {
	Time      time.Time // zero: when it is stored
	Door      string    // which of ours
	Publisher string
	Device    string // as far as it is known
	Problem   string
	Body      []byte
}

// DeadLetters keep what was refused. Their methods may be called by many
// goroutines at once.
type DeadLetters interface {
	// Add keeps a letter.
	Add(ctx context.Context, l Letter) error
	// List returns the newest letters, the newest first.
	List(ctx context.Context, limit int) ([]Letter, error)
}

// A Feed is a log of small things that forgets the oldest. natslog has one.
type Feed interface {
	// Append returns when the data is stored.
	Append(ctx context.Context, data []byte) error
	// Scan calls each with what was stored from a time on, the oldest first, until
	// it returns an error.
	Scan(ctx context.Context, since time.Time, each func(at time.Time, data []byte) error) error
}

// FeedLetters are DeadLetters in a Feed.
type FeedLetters struct{ feed Feed }

var _ DeadLetters = (*FeedLetters)(nil)

// NewDeadLetters keeps letters in the feed.
func NewDeadLetters(feed Feed) *FeedLetters { return &FeedLetters{feed} }

// Add implements DeadLetters.
func (f *FeedLetters) Add(ctx context.Context, l Letter) error {
	if len(l.Body) > MaxLetterBytes {
		if utf8.Valid(l.Body) {
			l.Body = []byte(cut(string(l.Body), MaxLetterBytes))
		} else {
			l.Body = l.Body[:MaxLetterBytes]
		}
	}
	data, err := json.Marshal(l)
	if err != nil {
		return fmt.Errorf("encode a dead letter: %w", err)
	}
	if err := f.feed.Append(ctx, data); err != nil {
		return fmt.Errorf("keep a dead letter: %w", err)
	}
	return nil
}

// List implements DeadLetters. What cannot be read, having been written by a later
// version, is shown as its body.
func (f *FeedLetters) List(ctx context.Context, limit int) ([]Letter, error) {
	if limit < 1 {
		return nil, nil
	}
	var ring []Letter
	n := 0
	err := f.feed.Scan(ctx, time.Time{}, func(at time.Time, data []byte) error {
		var l Letter
		if err := json.Unmarshal(data, &l); err != nil {
			l = Letter{Problem: "the letter cannot be read: " + err.Error(), Body: append([]byte(nil), data...)}
		}
		if l.Time.IsZero() {
			l.Time = at
		}
		if len(ring) < limit {
			ring = append(ring, l)
		} else {
			ring[n%limit] = l
		}
		n++
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read the dead letters: %w", err)
	}
	newest := make([]Letter, 0, len(ring))
	for i := n - 1; i >= n-len(ring); i-- {
		newest = append(newest, ring[i%limit])
	}
	return newest, nil
}

// millis writes times as docs/protocol.md does.
const millis = "2006-01-02T15:04:05.000Z07:00"

// letterJSON is a letter as it is stored and shown: a body that is text stands in
// body, another one in body_base64.
type letterJSON struct {
	Time      string  `json:"time,omitempty"`
	Door      string  `json:"door"`
	Publisher string  `json:"publisher"`
	Device    string  `json:"device,omitempty"`
	Problem   string  `json:"problem"`
	Text      *string `json:"body,omitempty"`
	Binary    []byte  `json:"body_base64,omitempty"`
}

// MarshalJSON implements json.Marshaler.
func (l Letter) MarshalJSON() ([]byte, error) {
	j := letterJSON{Door: l.Door, Publisher: l.Publisher, Device: l.Device, Problem: l.Problem}
	if !l.Time.IsZero() {
		j.Time = l.Time.UTC().Format(millis)
	}
	if utf8.Valid(l.Body) {
		text := string(l.Body)
		j.Text = &text
	} else {
		j.Binary = l.Body
	}
	return json.Marshal(j)
}

// UnmarshalJSON implements json.Unmarshaler.
func (l *Letter) UnmarshalJSON(text []byte) error {
	var j letterJSON
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*l = Letter{Door: j.Door, Publisher: j.Publisher, Device: j.Device, Problem: j.Problem, Body: j.Binary}
	if j.Time != "" {
		var err error
		if l.Time, err = time.Parse(time.RFC3339, j.Time); err != nil {
			return fmt.Errorf("read the time of a letter: %w", err)
		}
	}
	if j.Text != nil {
		l.Body = []byte(*j.Text)
	}
	return nil
}
