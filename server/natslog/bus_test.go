package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
	"tocsin/server/presence"
)

var _ presence.Bus = (*natslog.Bus)(nil)

func TestABusReachesAllNodesInOrderAndStoresNothing(t *testing.T) {
	s := startServer(t, server.RANDOM_PORT, t.TempDir())
	a, b := open(t, natslog.Options{URL: s.ClientURL()}), open(t, natslog.Options{URL: s.ClientURL()})
	before, err := a.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const each = 2000
	got := make(chan string, 2*each)
	stop, err := b.Bus("test").Listen(t.Context(), func(data []byte) { got <- string(data) })
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Bus("other").Publish([]byte("for others")); err != nil {
		t.Fatal(err)
	}
	for i := range each {
		if err := a.Bus("test").Publish(fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for i := range each {
		select {
		case text := <-got:
			if text != fmt.Sprint(i) {
				t.Fatalf("message %d is %q", i, text)
			}
		case <-ctx.Done():
			t.Fatalf("%d of %d messages came", i, each)
		}
	}
	stop()
	stop() // a second time does nothing
	if after, err := a.Bounds(t.Context()); err != nil || after != before {
		t.Errorf("the log was %+v and is %+v, %v", before, after, err)
	}
	s.Shutdown()
	s.WaitForShutdown()
	for err == nil && ctx.Err() == nil { // until the connection is known to be gone
		err = a.Bus("test").Publish([]byte("nobody"))
	}
	if !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("without a server: %v", err)
	}
}

func TestABusEndsWithTheLog(t *testing.T) {
	l := open(t, natslog.Options{Dir: filepath.Join(t.TempDir(), "log")})
	stop, err := l.Bus("test").Listen(t.Context(), func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	shut(t, l)
	stop()
	if err := l.Bus("test").Publish(nil); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("publish after the end: %v", err)
	}
	if _, err := l.Bus("test").Listen(t.Context(), func([]byte) {}); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("listen after the end: %v", err)
	}
}
