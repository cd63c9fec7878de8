package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// singleConnections publish at once.
const singleConnections = 32

// measureSingle publishes one alarm a request, each connection the next one when
// the last is answered.
func measureSingle(ctx context.Context, b *bench) error {
	s, err := b.startServer(ctx, -1)
	if err != nil {
		return err
	}
	defer func() { _ = s.stop() }()
	var clients [singleConnections]*client
	for i := range clients {
		if clients[i], err = s.dial(ctx); err != nil {
			return err
		}
		defer clients[i].close()
	}
	var rates []float64
	took := newHistogram()
	published := 0
	for round := range pick(b, 2, 4) {
		h, rate, err := singleRound(clients[:], round, pick(b, 200*time.Millisecond, 4*time.Second))
		if err != nil {
			return err
		}
		published += int(h.TotalCount())
		if round > 0 { // the first warms up
			rates = append(rates, rate)
			took.Merge(h)
		}
	}
	b.add(fmt.Sprintf("requests over %d connections", singleConnections), "alarms/s", rates...)
	b.addLatency("request to answer", took, 50, 99)
	return s.verify(ctx, published)
}

func singleRound(clients []*client, round int, span time.Duration) (*hdrhistogram.Histogram, float64, error) {
	var all sync.WaitGroup
	errs := make([]error, len(clients))
	took := make([]*hdrhistogram.Histogram, len(clients))
	begin := time.Now()
	for i, c := range clients {
		took[i] = newHistogram()
		// Ends when the time is over, or with the connection's first error.
		all.Go(func() {
			var line []byte
			for n := 0; errs[i] == nil && time.Since(begin) < span; n++ {
				line = event(line[:0], fmt.Sprintf("single-%d-%d-%d", round, i, n), "92 km/h in an 80 km/h zone")
				sent := time.Now()
				errs[i] = c.publish(line, 1)
				record(took[i], time.Since(sent))
			}
		})
	}
	all.Wait()
	lasted := time.Since(begin)
	sum := newHistogram()
	for _, h := range took {
		sum.Merge(h)
	}
	return sum, float64(sum.TotalCount()) / lasted.Seconds(), errors.Join(errs...)
}

// longest is what a histogram holds at most; more counts as that.
const longest = time.Minute

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest.Microseconds(), 3) }

func record(h *hdrhistogram.Histogram, d time.Duration) {
	_ = h.RecordValue(min(max(d, time.Microsecond), longest).Microseconds()) // never out of range
}

// addLatency notes percentiles in milliseconds.
func (r *report) addLatency(name string, h *hdrhistogram.Histogram, percentiles ...float64) {
	for _, p := range percentiles {
		r.add(fmt.Sprintf("%s, p%v", name, p), "ms", float64(h.ValueAtQuantile(p))/1000)
	}
}
