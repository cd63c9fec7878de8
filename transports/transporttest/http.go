package transporttest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// limit is small, so that what comes at once is cut into several answers.
	limit = 7
	// holdSeconds is how long a long poll waits.
	holdSeconds = 20
	// pollEvery is the pause between two short polls.
	pollEvery = 15 * time.Millisecond
)

// A wire is a client of its own: its connections are nobody else's.
type wire struct {
	client      *http.Client
	base, token string
	cursor      string
	tag         string          // of the last answer
	cut         context.Context // over with Close
	cancel      context.CancelFunc
}

func newWire(base, token, cursor string) *wire {
	w := &wire{client: &http.Client{Transport: &http.Transport{}, CheckRedirect: nil}, base: base, token: token, cursor: cursor}
	w.cut, w.cancel = context.WithCancel(context.Background())
	return w
}

func (w *wire) Cursor() string { return w.cursor }

func (w *wire) Close() {
	w.cancel()
	w.client.CloseIdleConnections()
}

// bound is a context that Close ends, too.
func (w *wire) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(w.cut, cancel)
	return ctx, func() { stop(); cancel() }
}

// get sends a request; any status but 200 is an *End.
func (w *wire) get(ctx context.Context, path string, header ...string) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+w.token)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := w.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		return nil, &End{Code: resp.StatusCode}
	}
	w.tag = resp.Header.Get("ETag")
	return resp, nil
}

// whole gets an answer that ends by itself.
func (w *wire) whole(ctx context.Context, path string, header ...string) ([]byte, error) {
	ctx, cancel := w.bound(ctx)
	defer cancel()
	resp, err := w.get(ctx, path, header...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return io.ReadAll(resp.Body)
}

// A pollReader asks again and again.
type pollReader struct {
	*wire
	hold  int // seconds
	shows Counters
}

func connectPoll(hold int) func(ctx context.Context, base, token, cursor string) (Reader, error) {
	return func(ctx context.Context, base, token, cursor string) (Reader, error) {
		r := &pollReader{wire: newWire(base, token, cursor), hold: hold}
		if cursor != "" {
			return r, nil
		}
		if _, err := r.once(ctx, 0); err != nil {
			r.Close()
			return nil, err
		}
		return r, nil
	}
}

func (r *pollReader) Next(ctx context.Context) (Batch, error) {
	for {
		b, err := r.once(ctx, r.hold)
		if err != nil || len(b.Entries) > 0 || b.Gap != "" {
			return b, err
		}
		if err := pause(ctx, pollEvery); err != nil {
			return b, err
		}
	}
}

func (r *pollReader) once(ctx context.Context, hold int) (Batch, error) {
	q := url.Values{"limit": {fmt.Sprint(limit)}}
	if r.cursor != "" {
		q.Set("cursor", r.cursor)
	}
	if hold > 0 {
		q.Set("wait", fmt.Sprint(hold))
	}
	var known []string
	if r.tag != "" { // else a change of counters between two polls is not news
		known = []string{"If-None-Match", r.tag}
	}
	text, err := r.whole(ctx, "/v1/inbox?"+q.Encode(), known...)
	switch {
	case err != nil && endOf(err).Code == http.StatusNotModified:
		return Batch{}, nil
	case err != nil:
		return Batch{}, err
	}
	var page struct {
		Counters
		Entries []json.RawMessage
		Cursor  string
		Gap     *struct{ Reason string }
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return Batch{}, fmt.Errorf("a page that is none: %w: %.200q", err, text)
	}
	b, err := batchOf(page.Entries)
	if err != nil {
		return Batch{}, err
	}
	if page.Gap != nil {
		b.Gap = page.Gap.Reason
	}
	r.cursor, r.shows = page.Cursor, page.Counters
	return b, nil
}

func (r *pollReader) Counters(ctx context.Context, want Counters) error {
	for !r.shows.is(want) {
		if _, err := r.once(ctx, r.hold); err != nil {
			return fmt.Errorf("while it shows %v: %w", r.shows, err)
		}
		if err := pause(ctx, pollEvery); err != nil {
			return err
		}
	}
	return nil
}

func batchOf(texts []json.RawMessage) (b Batch, err error) {
	for _, text := range texts {
		e, err := decode(text)
		if err != nil {
			return b, err
		}
		b.Entries = append(b.Entries, e)
	}
	return b, nil
}

// An sseReader reads one stream by the letter.
type sseReader struct {
	*wire
	body  io.ReadCloser
	in    *bufio.Reader
	bye   string
	shows Counters
}

func connectSSE(ctx context.Context, base, token, cursor string) (Reader, error) {
	r := &sseReader{wire: newWire(base, token, cursor)}
	var header []string
	if cursor != "" {
		header = []string{"Last-Event-ID", cursor}
	}
	// The stream outlives ctx, which is the connecting's.
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	resp, err := r.get(r.cut, "/v1/inbox/sse", header...)
	if err != nil {
		r.Close()
		return nil, err
	}
	r.body, r.in = resp.Body, bufio.NewReader(resp.Body)
	event, _, err := r.event()
	if err == nil && event != "hello" {
		err = fmt.Errorf("the first event is %q", event)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *sseReader) Next(ctx context.Context) (Batch, error) {
	// Ends the reading, and with it the stream.
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	for {
		event, data, err := r.event()
		switch {
		case err != nil && r.bye != "" && errors.Is(err, io.EOF):
			return Batch{}, &End{http.StatusOK, r.bye}
		case err != nil:
			return Batch{}, fmt.Errorf("read the stream: %w", err)
		}
		switch event {
		case "":
			e, err := decode([]byte(data))
			return Batch{Entries: []Entry{e}}, err
		case "gap", "bye":
			var told struct{ Reason string }
			if err := json.Unmarshal([]byte(data), &told); err != nil {
				return Batch{}, fmt.Errorf("a %s that is none: %w", event, err)
			}
			if event == "gap" {
				return Batch{Gap: told.Reason}, nil
			}
			r.bye = told.Reason
		}
	}
}

// event reads one event; what is cut off in the middle does not count.
func (r *sseReader) event() (event, data string, err error) {
	id, lines := "", []string(nil)
	for {
		line, err := r.in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			break
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch name {
		case "event":
			event = value
		case "id":
			id = value
		case "data":
			lines = append(lines, value)
		}
	}
	if id != "" {
		r.cursor = id
	}
	data = strings.Join(lines, "\n")
	if event == "hello" || event == "counts" {
		err = json.Unmarshal([]byte(data), &r.shows)
	}
	return event, data, err
}

func (r *sseReader) Counters(ctx context.Context, want Counters) error {
	stop := context.AfterFunc(ctx, r.cancel)
	defer stop()
	for !r.shows.is(want) {
		if _, _, err := r.event(); err != nil {
			return fmt.Errorf("while it shows %v: %w", r.shows, err)
		}
	}
	return nil
}

// pause waits between two requests of a client.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
