package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// closeTimeout is how long connections that are not drained, and the log's
// files, may take in the end.
const closeTimeout = 10 * time.Second

// run serves until the context ends, and then drains.
func (n *node) run(ctx context.Context) error {
	n.background.Go(func() { trim(n.running) }) // ends with running
	n.porch.Close()
	served := make(chan error, 1)
	// Ends with Shutdown, or when a listener fails.
	go func() { served <- n.server.Serve(n.public, n.ops) }()
	ops := "off"
	if n.ops != nil {
		ops = n.ops.Addr().String()
	}
	n.logger.Info("serving", "http", n.public.Addr().String(), "ops", ops, "mqtt", cmp.Or(n.store.MQTTAddress(), "off"), "epoch", n.epoch, "head", n.view.Head())
	if n.serving != nil {
		n.serving(n.public.Addr().String())
	}
	var failed error
	for open := true; open; {
		select {
		case err := <-served:
			return err
		case <-n.hangups:
			n.reload()
		case <-n.store.Broken():
			failed = errors.New("the log met a full disk and has to be opened anew, now that there is room: start again")
			open = false
		case <-ctx.Done():
			open = false
		}
	}
	n.logger.Info("draining", "for", n.conf.Drain.String())
	// Shutdown spreads the farewells over three quarters of what it is given.
	last, cancel := context.WithTimeout(n.running, n.conf.Drain*4/3+closeTimeout)
	defer cancel()
	if err := n.server.Shutdown(last); err != nil {
		n.logger.Warn("some connections were cut", "error", err)
	}
	return errors.Join(failed, <-served)
}

// close takes the node down in the reverse order; parts that were never made are
// passed over.
func (n *node) close() error {
	n.stop()
	n.porch.Close()
	n.background.Wait()
	for _, l := range []net.Listener{n.public, n.ops} {
		if l != nil {
			_ = l.Close() // a second time after Shutdown
		}
	}
	if n.redis != nil {
		_ = n.redis.Close() // nothing is written there
	}
	if n.store == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	if err := n.store.Close(ctx); err != nil {
		return fmt.Errorf("close the log: %w", err)
	}
	n.logger.Info("stopped")
	return nil
}

// again repeats what must not stop while the node runs.
func (n *node) again(doing string, f func(context.Context) error) {
	for {
		err := f(n.running)
		if n.running.Err() != nil {
			return
		}
		n.logger.Warn(doing+": again in a second", "error", err)
		_ = until(n.running, time.Now().Add(time.Second))
	}
}

// await waits for a part to be ready.
func await(ctx context.Context, ready <-chan struct{}, what string) error {
	select {
	case <-ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for %s: %w", what, ctx.Err())
	}
}
