package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	wire "tocsin/server/client"
)

// marked is how many alarms there are to be read, each user for himself.
const marked = 1000

// measureMarks has users read alarms one by one: as many as it takes at once, and
// one after the other until another client of the same user hears of each.
func measureMarks(ctx context.Context, b *bench) error {
	s, err := b.startServer(ctx, -1)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	if err := s.fill(ctx, "mark", marked); err != nil {
		return err
	}
	ids, err := s.listedIDs(ctx)
	if err != nil {
		return err
	}
	var rates []float64
	took := newHistogram()
	for round := range pick(b, 2, 4) {
		h, rate, err := markRound(ctx, s, ids, round, pick(b, 5, 250))
		if err != nil {
			return err
		}
		if round > 0 { // the first warms up
			rates = append(rates, rate)
			took.Merge(h)
		}
	}
	b.add(fmt.Sprintf("an alarm is read, %d users at once", singleConnections), "marks/s", rates...)
	b.addMarks("the same: request to answer", took)
	answered, heard, err := s.hearing(ctx, ids[:pick(b, 20, 500)])
	if err != nil {
		return err
	}
	b.addMarks("one user alone: request to answer", answered)
	b.addMarks("one user alone: request until his other client hears", heard)
	return nil
}

func (b *bench) addMarks(name string, h *hdrhistogram.Histogram) {
	for _, p := range []float64{50, 99} {
		b.add(fmt.Sprintf("%s, p%v", name, p), "ms", float64(h.ValueAtQuantile(p))/1000)
	}
}

// listedIDs are the alarms that the group has.
func (s *server) listedIDs(ctx context.Context) (ids []string, err error) {
	c, err := s.readingClient("reader-0")
	if err != nil {
		return nil, err
	}
	defer c.close()
	var page listPage
	if _, err := c.do(ctx, http.MethodGet, "/v1/alarms?limit=1000", nil, &page); err != nil {
		return nil, err
	}
	for _, a := range page.Alarms {
		ids = append(ids, a.ID)
	}
	if len(ids) != marked {
		err = fmt.Errorf("%d alarms are listed of %d", len(ids), marked)
	}
	return ids, err
}

// counted is an answer with counters.
type counted struct{ Unread int }

// read marks one alarm as read, and returns the counters.
func (c *readingClient) read(ctx context.Context, id string) (unread int, took time.Duration, err error) {
	var counts counted
	took, err = c.do(ctx, http.MethodPost, "/v1/inbox/read", strings.NewReader(`{"ids":["`+id+`"]}`), &counts)
	return counts.Unread, took, err
}

// markRound has users of this round read n alarms each, one by one.
func markRound(ctx context.Context, s *server, ids []string, round, n int) (*hdrhistogram.Histogram, float64, error) {
	var all sync.WaitGroup
	errs, took := make([]error, singleConnections), make([]*hdrhistogram.Histogram, singleConnections)
	clients := make([]*readingClient, singleConnections)
	for i := range clients {
		c, err := s.readingClient(fmt.Sprintf("marker-%d-%d", round, i))
		if err != nil {
			return nil, 0, err
		}
		defer c.close()
		clients[i], took[i] = c, newHistogram()
	}
	begin := time.Now()
	for i, c := range clients {
		// Ends with the last alarm, or with the first error.
		all.Go(func() {
			for k, id := range ids[:n] {
				unread, one, err := c.read(ctx, id)
				if err == nil && unread != marked-k-1 {
					err = fmt.Errorf("%d alarms are unread, want %d", unread, marked-k-1)
				}
				if errs[i] = err; err != nil {
					return
				}
				record(took[i], one)
			}
		})
	}
	all.Wait()
	lasted := time.Since(begin)
	sum := newHistogram()
	for _, h := range took {
		sum.Merge(h)
	}
	return sum, float64(n*len(clients)) / lasted.Seconds(), errors.Join(errs...)
}

// A told is what an open client heard of its counters, and when.
type told struct {
	at     time.Time
	unread int
}

// listen opens a WebSocket and passes on the counters that it is told of without
// an entry; the hello has been read. The channel is closed with the connection.
func (c *readingClient) listen(ctx context.Context, most int) (<-chan told, *wire.Socket, error) {
	other, err := wire.New(c.at, c.token)
	if err != nil {
		return nil, nil, err
	}
	conn, err := other.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := conn.Write(ctx, map[string]string{"op": "start"}); err != nil {
		conn.Close()
		return nil, nil, err
	}
	frames := make(chan told, most+1)
	// Ends with the connection.
	go func() {
		defer close(frames)
		for {
			text, err := conn.Read(ctx)
			var f struct {
				Op string
				counted
			}
			if err != nil || json.Unmarshal(text, &f) != nil {
				return
			}
			if f.Op == "counts" || f.Op == "hello" {
				frames <- told{time.Now(), f.Unread}
			}
		}
	}()
	<-frames
	return frames, conn, nil
}

// hearing has a user with two clients read alarms with one of them: the other is
// an open WebSocket, which is told of the new counters.
func (s *server) hearing(ctx context.Context, ids []string) (answered, heard *hdrhistogram.Histogram, err error) {
	answered, heard = newHistogram(), newHistogram()
	c, err := s.readingClient("listener")
	if err != nil {
		return nil, nil, err
	}
	defer c.close()
	frames, conn, err := c.listen(ctx, len(ids))
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close()
	for i, id := range ids {
		begin := time.Now()
		want, took, err := c.read(ctx, id)
		if err != nil {
			return nil, nil, err
		}
		if want != marked-i-1 {
			return nil, nil, fmt.Errorf("%d alarms are unread, want %d", want, marked-i-1)
		}
		record(answered, took)
		f, open := <-frames
		if !open || f.unread != want {
			return nil, nil, fmt.Errorf("the other client heard of %d unread alarms, want %d (connected: %v)", f.unread, want, open)
		}
		record(heard, f.at.Sub(begin))
	}
	return answered, heard, nil
}
