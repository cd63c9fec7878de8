package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

const (
	storeWriters = 4
	storeBatch   = 500
	// entryBytes is the size of a stored entry of the raw appends.
	entryBytes = 350
)

// measureStore compares what the engine stores by itself, under compare-and-set,
// with ids and with a view that follows, with what the server stores of what it
// gets over HTTP. Both go in turns, so that the machine's other work hits both.
func measureStore(ctx context.Context, b *bench) error {
	rounds, n := pick(b, 2, 5), pick(b, 4_000, 40_000)
	raw, err := openRaw(ctx, filepath.Join(b.dir, "raw"))
	if err != nil {
		return err
	}
	defer func() { _ = raw.close() }()
	s, err := b.startServer(ctx, -1)
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			_ = s.stop()
		}
	}()
	var appends, alarms, ratios []float64
	for round := range rounds + 1 {
		x, err := raw.round(ctx, round, n)
		if err != nil {
			return err
		}
		y, err := httpBatches(ctx, s, s.publishAt, round, n)
		if err != nil {
			return err
		}
		if round > 0 { // the first warms up
			appends, alarms, ratios = append(appends, x), append(alarms, y), append(ratios, 100*y/x)
		}
	}
	b.add(fmt.Sprintf("engine, entries of %d bytes", entryBytes), "appends/s", appends...)
	b.add("server, batches of "+fmt.Sprint(storeBatch)+" over "+fmt.Sprint(storeWriters)+" connections", "alarms/s", alarms...)
	b.add("server / engine", "%", ratios...).atLeast(80)

	total := n * (rounds + 1)
	if err := s.verify(ctx, total); err != nil {
		return err
	}
	stopped = true
	if err := s.stop(); err != nil {
		return err
	}
	size, err := countAlarms(ctx, s.data(), total)
	if err != nil {
		return err
	}
	b.add("alarms found in the server's log", "alarms", float64(total))
	b.add("a stored alarm", "bytes", size)
	return nil
}

// A rawLog is the engine in this process, with a view that follows.
type rawLog struct {
	log   *natslog.Log
	view  *inbox.View
	epoch string
	to    inbox.Audience
	stop  func()
}

func openRaw(ctx context.Context, dir string) (*rawLog, error) {
	log, err := natslog.Open(ctx, natslog.Options{Dir: dir})
	if err != nil {
		return nil, err
	}
	r := &rawLog{log: log, view: inbox.NewView(log, inbox.ViewOptions{})}
	following, cancel := context.WithCancel(ctx)
	var view sync.WaitGroup
	view.Go(func() { _ = r.view.Run(following) }) // ends with stop
	r.stop = func() { cancel(); view.Wait() }
	if r.epoch, err = inbox.BeginEpoch(ctx, log, time.Now()); err != nil {
		return nil, errors.Join(err, r.close())
	}
	name := inbox.Route([]string{group})
	route := inbox.Entry{Subject: inbox.RouteSubject(name), Epoch: r.epoch, Quiet: true, Groups: []string{group}}
	receipt := log.Append(ctx, inbox.Proposal{Subject: route.Subject, Data: route.Encode()})[0]
	if receipt.Err != nil {
		return nil, errors.Join(receipt.Err, r.close())
	}
	r.to = inbox.RouteAudience(name)
	return r, nil
}

func (r *rawLog) close() error {
	r.stop()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return r.log.Close(ctx)
}

// entry is an alarm of a device's own, of entryBytes once it is stored.
func (r *rawLog) entry(device string, active bool) inbox.Entry {
	e := inbox.Entry{
		Subject: inbox.AlarmSubject(device, "overspeed", ""), Epoch: r.epoch, Audience: r.to,
		Status: "raised", Tag: "1.mvn3k2ao", Rev: 1, Severity: inbox.Major, Active: active, Acked: !active,
		Body: []byte(`{"type":"alarm.raised","message":"`),
	}
	fill := entryBytes - len(e.Encode()) - len(`"}`) - 1 // the length of a long body takes a byte more
	e.Body = append(e.Body, strings.Repeat("x", fill)...)
	e.Body = append(e.Body, `"}`...)
	return e
}

// round appends n entries in pipelined batches, and returns how many a second.
func (r *rawLog) round(ctx context.Context, round, n int) (float64, error) {
	proposals := make([]inbox.Proposal, n)
	for i := range proposals {
		e := r.entry(fmt.Sprintf("raw-%d-%d", round, i), true)
		proposals[i] = inbox.Proposal{Subject: e.Subject, ID: publisher + "/" + fmt.Sprintf("raw-%d-%d", round, i), Data: e.Encode()}
	}
	return perSecond(n, func(_, from, to int) error {
		var err error
		for _, receipt := range r.log.Append(ctx, proposals[from:to]...) {
			err = errors.Join(err, receipt.Err)
		}
		return err
	})
}

// httpBatches publishes n alarms of devices of their own, and returns how many a
// second.
func httpBatches(ctx context.Context, s *server, at func() string, round, n int) (float64, error) {
	clients, hangUp, err := dialAll(ctx, at, storeWriters)
	if err != nil {
		return 0, err
	}
	defer hangUp()
	lines := make(map[int][]byte, n/storeBatch)
	for i := range n {
		at := i - i%storeBatch
		device := fmt.Sprintf("http-%d-%d", round, i)
		lines[at] = alarm(lines[at], device, device, "92 km/h in an 80 km/h zone")
	}
	return perSecond(n, func(writer, from, to int) error {
		return s.batch(clients[writer], lines[from], to-from)
	})
}

// perSecond has the writers store n things between them, a batch at a time.
func perSecond(n int, store func(writer, from, to int) error) (float64, error) {
	var all sync.WaitGroup
	errs := make([]error, storeWriters)
	begin := time.Now()
	for w := range storeWriters {
		// Ends with the writer's share, or its first error.
		all.Go(func() {
			for from := w * storeBatch; from < n && errs[w] == nil; from += storeWriters * storeBatch {
				errs[w] = store(w, from, min(from+storeBatch, n))
			}
		})
	}
	all.Wait()
	return float64(n) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// countAlarms counts the alarms in the log of a server that has stopped, and
// returns their mean size.
func countAlarms(ctx context.Context, dir string, want int) (size float64, err error) {
	log, err := natslog.Open(ctx, natslog.Options{Dir: dir})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, log.Close(context.WithoutCancel(ctx))) }()
	n, bytes := 0, 0
	err = log.Scan(ctx, inbox.Scan{Newest: true}, func(m inbox.Message) error {
		if strings.HasPrefix(m.Subject, "alarm.") {
			n++
			bytes += len(m.Data)
		}
		return nil
	})
	if err == nil && n != want {
		err = fmt.Errorf("the log holds %d alarms of %d published", n, want)
	}
	return float64(bytes) / float64(max(n, 1)), err
}
