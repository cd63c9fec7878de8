package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"
)

// listed is how many alarms a page has where nothing else is said.
const listed = 100

// measureLists asks for the first page of a group with very many active alarms:
// often, and as the first thing after a restart of the server.
func measureLists(ctx context.Context, b *bench) error {
	alarms := pick(b, 2_000, 100_000)
	s, err := b.startServer(ctx, -1)
	if err != nil {
		return err
	}
	data := s.data()
	err = s.fill(ctx, "list", alarms)
	if err == nil {
		err = b.warmLists(ctx, s, alarms)
	}
	if stopped := s.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	var up, first, second []float64
	for range pick(b, 1, 3) {
		one, err := b.coldList(ctx, data, alarms)
		if err != nil {
			return err
		}
		up = append(up, one[0])
		first, second = append(first, one[1]), append(second, one[2])
	}
	name := fmt.Sprintf("%d active alarms of a group, after a restart: ", alarms)
	b.add(name+"the server serves after", "s", up...)
	b.add(name+"its first answer, the first page", "ms", first...)
	b.add(name+"its second, the same", "ms", second...)
	return nil
}

// fill publishes alarms of devices of their own.
func (s *server) fill(ctx context.Context, of string, alarms int) error {
	var all sync.WaitGroup
	errs := make(chan error, storeWriters)
	for w := range storeWriters {
		// Ends with the writer's share, or its first error.
		all.Go(func() {
			errs <- s.fillPart(ctx, fmt.Sprintf("%s-%d", of, w), alarms*(w+1)/storeWriters-alarms*w/storeWriters)
		})
	}
	all.Wait()
	for range storeWriters {
		if err := <-errs; err != nil {
			return fmt.Errorf("publish %d alarms: %w", alarms, err)
		}
	}
	return nil
}

func (s *server) fillPart(ctx context.Context, of string, alarms int) error {
	p, err := newPoster(s, "/v1/alarms", "application/x-ndjson", doorBatch, nativeLines)
	if err != nil {
		return err
	}
	defer p.close()
	names := namer{of: of}
	for alarms > 0 && err == nil {
		n := min(alarms, doorBatch)
		err = p.publish(ctx, &names, n)
		alarms -= n
	}
	return err
}

// A reading client asks for pages over one kept-alive connection.
type readingClient struct {
	http      http.Client
	at, token string
}

func (s *server) readingClient(user string) (*readingClient, error) {
	token, err := s.token(user, group, "inbox")
	return &readingClient{http: http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: requestTimeout},
		at: "http://" + s.addr, token: token}, err
}

func (c *readingClient) close() { c.http.CloseIdleConnections() }

// do sends a request and reads what it is answered; the time ends with the last byte.
func (c *readingClient) do(ctx context.Context, method, path string, body io.Reader, into any) (took time.Duration, err error) {
	r, err := http.NewRequestWithContext(ctx, method, c.at+path, body)
	if err != nil {
		return 0, err
	}
	r.Header.Set("Authorization", "Bearer "+c.token)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	begin := time.Now()
	resp, err := c.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	took = time.Since(begin)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s %s: %s %.300s", method, path, resp.Status, text)
	}
	if err == nil && into != nil {
		err = json.Unmarshal(text, into)
	}
	return took, err
}

// A listPage is a page of a list.
type listPage struct {
	Alarms []struct{ ID string }
	Total  int
	Next   string
}

func (c *readingClient) firstPage(ctx context.Context, alarms int) (time.Duration, error) {
	var page listPage
	took, err := c.do(ctx, http.MethodGet, "/v1/alarms", nil, &page)
	if err == nil && (len(page.Alarms) != listed || page.Total != alarms) {
		err = fmt.Errorf("a page of %d alarms of %d, want %d of %d", len(page.Alarms), page.Total, listed, alarms)
	}
	return took, err
}

// warmLists asks the server that has stored the alarms.
func (b *bench) warmLists(ctx context.Context, s *server, alarms int) error {
	c, err := s.readingClient("reader-0")
	if err != nil {
		return err
	}
	defer c.close()
	took := newHistogram()
	for range pick(b, 20, 1000) {
		one, err := c.firstPage(ctx, alarms)
		if err != nil {
			return err
		}
		record(took, one)
	}
	name := fmt.Sprintf("%d active alarms of a group: ", alarms)
	for _, p := range []float64{50, 99} {
		b.add(fmt.Sprintf("%sthe first page of %d, p%v", name, listed, p), "ms", float64(took.ValueAtQuantile(p))/1000)
	}
	begin := time.Now()
	got := 0
	for query := "?limit=1000"; ; {
		var page listPage
		if _, err := c.do(ctx, http.MethodGet, "/v1/alarms"+query, nil, &page); err != nil {
			return err
		}
		if got += len(page.Alarms); page.Next == "" {
			break
		}
		query = "?limit=1000&after=" + url.QueryEscape(page.Next)
	}
	if got != alarms {
		return fmt.Errorf("all pages have %d alarms together, want %d", got, alarms)
	}
	b.add(name+"all pages of 1000", "ms", time.Since(begin).Seconds()*1000)
	return nil
}

// coldList starts a server on the data: it serves after so many seconds, and gives
// its first two pages after so many milliseconds each.
func (b *bench) coldList(ctx context.Context, data string, alarms int) (times [3]float64, err error) {
	begin := time.Now()
	s, err := b.startServer(ctx, -1, "--data", data)
	if err != nil {
		return times, err
	}
	defer func() { _ = s.stop() }()
	times[0] = time.Since(begin).Seconds()
	c, err := s.readingClient("reader-0")
	if err != nil {
		return times, err
	}
	defer c.close()
	for i := range 2 {
		took, err := c.firstPage(ctx, alarms)
		if err != nil {
			return times, err
		}
		times[1+i] = took.Seconds() * 1000
	}
	return times, nil
}
