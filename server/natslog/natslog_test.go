package natslog_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// limit bounds every wait of these tests; what passes takes a fraction of it.
const limit = 30 * time.Second

// logs makes the logs that the shared scenarios run against: inboxtest.Log
// takes such a function.
var logs = map[string]func(t *testing.T) inbox.Log{
	"embedded": func(t *testing.T) inbox.Log { return open(t, natslog.Options{Dir: t.TempDir()}) },
	"external": func(t *testing.T) inbox.Log { return open(t, natslog.Options{URL: serve(t)}) },
}

// open opens a log for the length of a test.
func open(tb testing.TB, o natslog.Options) *natslog.Log {
	tb.Helper()
	l, err := natslog.Open(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { shut(tb, l) })
	return l
}

// shut closes a log and waits for its files.
func shut(tb testing.TB, l *natslog.Log) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		tb.Error(err)
	}
}

// serve runs a NATS server on a free port and returns its URL.
func serve(t *testing.T) string {
	t.Helper()
	s := startServer(t, server.RANDOM_PORT, t.TempDir())
	return s.ClientURL()
}

func startServer(t *testing.T, port int, dir string) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(limit) {
		t.Fatal("the server did not start")
	}
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	return s
}

// put appends one entry that must be stored, and returns its sequence.
func put(t *testing.T, l inbox.Log, subject string, expect uint64) uint64 {
	t.Helper()
	r := l.Append(t.Context(), inbox.Proposal{Subject: subject, Expect: expect, Data: []byte(subject)})[0]
	if r.Err != nil {
		t.Fatal(r.Err)
	}
	return r.Seq
}

// subject is the n-th alarm's.
func subject(n int) string { return inbox.AlarmSubject(fmt.Sprint("d", n), "test", "") }

func TestOpenRefusesALockedDirectory(t *testing.T) {
	dir := t.TempDir()
	first := open(t, natslog.Options{Dir: dir})
	_, err := natslog.Open(t.Context(), natslog.Options{Dir: dir})
	if !errors.Is(err, natslog.ErrLocked) {
		t.Fatalf("the second Open said %v", err)
	}
	for _, want := range []string{dir, fmt.Sprintf("pid %d", os.Getpid())} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not name %q", err, want)
		}
	}
	shut(t, first)
	open(t, natslog.Options{Dir: dir})
}

func TestOpenWantsADirectoryOrAURL(t *testing.T) {
	if _, err := natslog.Open(t.Context(), natslog.Options{}); err == nil {
		t.Fatal("Open took neither")
	}
}

func TestReopenKeepsMessagesAndIDs(t *testing.T) {
	dir := t.TempDir()
	p := inbox.Proposal{Subject: subject(1), ID: "once", Data: []byte("one")}
	first := open(t, natslog.Options{Dir: dir, SyncAlways: true})
	stored := first.Append(t.Context(), p)[0]
	shut(t, first)

	again := open(t, natslog.Options{Dir: dir, DedupeWindow: time.Hour})
	if r := again.Append(t.Context(), p)[0]; r.Err != nil || !r.Duplicate || r.Seq != stored.Seq {
		t.Fatalf("the retry after a restart got %+v, the first %+v", r, stored)
	}
	if m, err := again.Newest(t.Context(), p.Subject); err != nil || string(m.Data) != "one" {
		t.Fatalf("got %q, %v", m.Data, err)
	}
}

func TestClosedLogIsUnavailable(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir()})
	following := make(chan error, 1)
	go func() { // ends when the log is closed
		following <- l.Scan(context.Background(), inbox.Scan{Follow: true}, func(inbox.Message) error { return nil })
	}()
	shut(t, l)
	if err := wait(t, following); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("Scan said %v", err)
	}
	if r := l.Append(t.Context(), inbox.Proposal{Subject: subject(1)})[0]; !errors.Is(r.Err, inbox.ErrUnavailable) {
		t.Errorf("Append said %v", r.Err)
	}
	if _, err := l.Bounds(t.Context()); !errors.Is(err, inbox.ErrUnavailable) {
		t.Errorf("Bounds said %v", err)
	}
}

// wait receives within the limit.
func wait[T any](t *testing.T, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(limit):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestFullBelowTheReserve(t *testing.T) {
	free := make(chan uint64)
	var level atomic.Uint64
	level.Store(100)
	l := open(t, natslog.Options{Dir: t.TempDir(), Reserve: 50, ReserveInterval: time.Millisecond,
		FreeSpace: func(string) (uint64, error) {
			select {
			case v := <-free:
				level.Store(v)
			default:
			}
			return level.Load(), nil
		}})
	// set returns once a measurement has taken the new value and another one has
	// begun, so that the gate has moved.
	set := func(v uint64) { free <- v; free <- v }
	first := put(t, l, subject(1), 0)

	set(49)
	set(49)
	if !l.Full() {
		t.Fatal("Full is false")
	}
	for _, r := range l.Append(t.Context(), inbox.Proposal{Subject: subject(2)}, inbox.Proposal{Subject: subject(3)}) {
		if !errors.Is(r.Err, inbox.ErrFull) {
			t.Errorf("Append said %v", r.Err)
		}
	}
	marks, err := l.Marks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same := func(m inbox.Mark) (inbox.Mark, error) { return m, nil }
	if _, err := marks.Update(t.Context(), "ann", same); !errors.Is(err, inbox.ErrFull) {
		t.Errorf("a mark's Update said %v", err)
	}
	if b, err := l.Bounds(t.Context()); err != nil || b.Last != first {
		t.Errorf("reading goes on with %+v, %v", b, err)
	}
	set(50)
	if l.Full() {
		t.Fatal("Full is true")
	}
	put(t, l, subject(2), 0)
}

func TestFullMeasuresTheRealDisk(t *testing.T) {
	l := open(t, natslog.Options{Dir: t.TempDir(), Reserve: 1 << 62})
	if r := l.Append(t.Context(), inbox.Proposal{Subject: subject(1)})[0]; !errors.Is(r.Err, inbox.ErrFull) {
		t.Fatalf("Append said %v with an exabyte in reserve", r.Err)
	}
	none := open(t, natslog.Options{Dir: t.TempDir(), Reserve: -1})
	put(t, none, subject(1), 0)
}

// A server that goes away and comes back: what is followed goes on, what is
// appended meanwhile is told.
func TestExternalServerRestarts(t *testing.T) {
	dir := t.TempDir()
	s := startServer(t, server.RANDOM_PORT, dir)
	l := open(t, natslog.Options{URL: s.ClientURL(), AckTimeout: 200 * time.Millisecond})
	port := s.Addr().(*net.TCPAddr).Port
	seen := make(chan uint64, 16)
	go l.Scan(t.Context(), inbox.Scan{Follow: true}, func(m inbox.Message) error { // ends with the test's context
		seen <- m.Seq
		return nil
	})
	first := put(t, l, subject(1), 0)
	if got := wait(t, seen); got != first {
		t.Fatalf("followed %d, appended %d", got, first)
	}
	s.Shutdown()
	s.WaitForShutdown()
	if r := l.Append(t.Context(), inbox.Proposal{Subject: subject(2), ID: "away"})[0]; !errors.Is(r.Err, inbox.ErrUnavailable) {
		t.Fatalf("Append to nobody said %+v", r)
	}
	startServer(t, port, dir)
	var r inbox.Receipt
	for until := time.Now().Add(limit); ; {
		if r = l.Append(t.Context(), inbox.Proposal{Subject: subject(2), ID: "away"})[0]; r.Err == nil {
			break
		}
		if time.Now().After(until) {
			t.Fatal(r.Err)
		}
	}
	if got := wait(t, seen); got != r.Seq {
		t.Fatalf("followed %d, appended %d", got, r.Seq)
	}
}
