package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// measureBehind has one user come back after very many alarms: by events and by
// polls, with a window that has passed his cursor, so that he gets the newest entry
// of everything that changed (compacted), and with one that has not.
func measureBehind(ctx context.Context, b *bench) error {
	for _, window := range []struct{ flag, name string }{{"1MiB", "compacted"}, {"1GiB", "from the window"}} {
		if err := b.behindWindow(ctx, window.flag, window.name, window.flag == "1MiB"); err != nil {
			return fmt.Errorf("%s: %w", window.name, err)
		}
	}
	return nil
}

func (b *bench) behindWindow(ctx context.Context, window, name string, compacted bool) error {
	alarms := pick(b, 3_000, 50_000)
	s, err := b.startServer(ctx, -1, "--window", window)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	c, err := s.readingClient("reader-0")
	if err != nil {
		return err
	}
	defer c.close()
	// The group's first alarm brings it into the log.
	if err := s.fill(ctx, "before", storeWriters); err != nil {
		return err
	}
	var page inboxPage
	if _, err := c.do(ctx, http.MethodGet, "/v1/inbox?cursor=latest", nil, &page); err != nil {
		return err
	}
	if err := s.fill(ctx, "behind", alarms); err != nil {
		return err
	}
	for _, way := range []struct {
		name string
		read func(context.Context, *readingClient, string, int) (homecoming, error)
	}{{"SSE", byEvents}, {"polls of 1000", byPolls}, {"polls of 100", byShortPages}} {
		var first, all []float64
		for range pick(b, 1, 5) {
			one, err := way.read(ctx, c, page.Cursor, alarms)
			if err != nil {
				return fmt.Errorf("%s: %w", way.name, err)
			}
			if one.compacted != compacted {
				return fmt.Errorf("%s: compacted is %v", way.name, one.compacted)
			}
			first, all = append(first, one.first.Seconds()*1000), append(all, one.all.Seconds()*1000)
		}
		title := fmt.Sprintf("%d entries behind, %s, %s: ", alarms, name, way.name)
		b.add(title+"the first after", "ms", first...)
		b.add(title+"the end after", "ms", all...)
	}
	return nil
}

// A homecoming is when one had the first entries or page, and when all of them.
type homecoming struct {
	first, all time.Duration
	compacted  bool
}

// An inboxPage is what a poll is answered.
type inboxPage struct {
	Entries []json.RawMessage
	Cursor  string
	More    bool
	Gap     *struct{ Reason string }
}

func byPolls(ctx context.Context, c *readingClient, cursor string, alarms int) (homecoming, error) {
	return polling(ctx, c, cursor, alarms, 1000)
}

func byShortPages(ctx context.Context, c *readingClient, cursor string, alarms int) (homecoming, error) {
	return polling(ctx, c, cursor, alarms, 100)
}

func polling(ctx context.Context, c *readingClient, cursor string, alarms, limit int) (o homecoming, err error) {
	begin := time.Now()
	got := 0
	for more := true; more; {
		var page inboxPage
		if _, err := c.do(ctx, http.MethodGet, fmt.Sprintf("/v1/inbox?limit=%d&cursor=%s", limit, url.QueryEscape(cursor)), nil, &page); err != nil {
			return o, err
		}
		if o.first == 0 {
			o.first = time.Since(begin)
		}
		o.compacted = o.compacted || page.Gap != nil && page.Gap.Reason == "compacted"
		got += len(page.Entries)
		cursor, more = page.Cursor, page.More
	}
	o.all = time.Since(begin)
	if got != alarms {
		err = fmt.Errorf("%d entries came, want %d", got, alarms)
	}
	return o, err
}

// byEvents reads a stream of events until all entries have come.
func byEvents(ctx context.Context, c *readingClient, cursor string, alarms int) (o homecoming, err error) {
	ctx, cancel := context.WithTimeout(ctx, burstTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.at+"/v1/inbox/sse", nil)
	if err != nil {
		return o, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	r.Header.Set("Last-Event-ID", cursor)
	begin := time.Now()
	stream := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := stream.Do(r)
	if err != nil {
		return o, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return o, errors.New(resp.Status)
	}
	in := bufio.NewReaderSize(resp.Body, 64<<10)
	for got := 0; got < alarms; {
		line, err := in.ReadSlice('\n')
		switch {
		case err != nil && !errors.Is(err, bufio.ErrBufferFull):
			return o, fmt.Errorf("after %d entries of %d: %w", got, alarms, err)
		case bytes.HasPrefix(line, []byte(`data: {"seq":`)):
			if got++; got == 1 {
				o.first = time.Since(begin)
			}
		case bytes.Contains(line, []byte(`"compacted"`)):
			o.compacted = true
		}
	}
	o.all = time.Since(begin)
	return o, nil
}
