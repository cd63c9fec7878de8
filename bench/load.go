package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// measureLoad fills logs with alarms, one entry each, and loads views of them as
// a server does when it starts.
func measureLoad(ctx context.Context, b *bench) error {
	for _, n := range pick(b, []int{5_000}, []int{100_000}) {
		for _, active := range []bool{true, false} {
			if err := b.loadOf(ctx, n, active); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadOf measures a log of n alarms that are all active, or all closed.
func (b *bench) loadOf(ctx context.Context, n int, active bool) error {
	kind := "closed"
	if active {
		kind = "active"
	}
	dir := filepath.Join(b.dir, fmt.Sprint("load-", n, "-", kind))
	if err := fillLog(ctx, dir, n, active); err != nil {
		return err
	}
	name := func(what string) string { return fmt.Sprintf("%d %s alarms: %s", n, kind, what) }
	for _, window := range []int{inbox.DefaultWindow, 1} {
		l, err := loadView(ctx, dir, window)
		if err != nil {
			return err
		}
		perAlarm := float64(l.bytes) / float64(n)
		if window == inbox.DefaultWindow {
			b.add(name("the engine opens"), "s", l.opened.Seconds())
			b.add(name("the view loads"), "s", l.loaded.Seconds())
			b.add(name("an alarm, with the window"), "bytes", perAlarm)
		} else {
			b.add(name("an alarm, without a window"), "bytes", perAlarm)
		}
	}
	return nil
}

// fillLog makes a log with n alarms.
func fillLog(ctx context.Context, dir string, n int, active bool) error {
	r, err := openRaw(ctx, dir)
	if err != nil {
		return err
	}
	_, err = perSecond(n, func(_, from, to int) error {
		proposals := make([]inbox.Proposal, to-from)
		for i := range proposals {
			e := r.entry(fmt.Sprint("load-", from+i), active)
			proposals[i] = inbox.Proposal{Subject: e.Subject, Data: e.Encode()}
		}
		var err error
		for _, receipt := range r.log.Append(ctx, proposals...) {
			err = errors.Join(err, receipt.Err)
		}
		return err
	})
	return errors.Join(err, r.close())
}

// A loading is what a view cost.
type loading struct {
	opened, loaded time.Duration
	bytes          int64 // that the view holds
}

// loadView opens the log and loads a view. What the view holds is what is freed
// with it, after everything else is gone: the engine's caches come and go by
// themselves.
func loadView(ctx context.Context, dir string, window int) (l loading, err error) {
	begin := time.Now()
	log, err := natslog.Open(ctx, natslog.Options{Dir: dir})
	if err != nil {
		return l, err
	}
	l.opened = time.Since(begin)
	view := inbox.NewView(log, inbox.ViewOptions{Window: window})
	following, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	begin = time.Now()
	// Ends with following.
	go func() { _ = view.Run(following); close(ended) }()
	select {
	case <-view.Ready():
		l.loaded = time.Since(begin)
	case <-ctx.Done():
		err = ctx.Err()
	}
	cancel()
	<-ended
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err = errors.Join(err, log.Close(closing))
	with := heap()
	runtime.KeepAlive(view)
	view, log = nil, nil
	l.bytes = with - heap()
	return l, err
}

// heap is what lives on it, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC() // what had a finalizer goes with the second one
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
