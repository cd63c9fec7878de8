package native_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
	"tocsin/transports/carrier/ws"
	"tocsin/transports/native"
)

func TestManyClientsGetEverythingInOrder(t *testing.T) {
	const clients, alarms = 100, 200
	w := newWorld(t, settings{})
	all := make([]*client, clients)
	for i := range all {
		all[i] = w.enter([]string{"ada", "bob"}[i%2], "")
		all[i].want("hello")
	}
	var wg sync.WaitGroup
	for i, c := range all {
		wg.Go(func() {
			for n := 0; n < alarms; {
				_, text, err := c.ReadMessage()
				if err != nil {
					t.Errorf("client %d after %d: %v", i, n, err)
					return
				}
				for part := range bytes.SplitSeq(text, []byte(`"type":"t`)) {
					if bytes.HasPrefix(part, []byte(`{"op"`)) {
						continue
					}
					if want := fmt.Sprintf("%d\"", n); !bytes.HasPrefix(part, []byte(want)) {
						t.Errorf("client %d got %.10s as number %d", i, part, n)
						return
					}
					n++
				}
			}
		})
	}
	for i := range alarms {
		w.raise("d1", fmt.Sprint("t", i))
	}
	wg.Wait()
}

// A stalled client is closed, with what it held, while the others go on.
func TestSlowReader(t *testing.T) {
	const timeout = 500 * time.Millisecond
	w := newWorld(t, settings{carrier: ws.Options{WriteTimeout: timeout}, view: inbox.ViewOptions{Window: 1 << 20}})
	slow := w.dial("")
	_ = slow.NetConn().(*net.TCPConn).SetReadBuffer(4 << 10)
	good := w.enter("bob", "")
	good.want("hello")
	slow.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "ada"}) + `"}`)
	slow.want("hello")

	before := memory()
	message := strings.Repeat("x", 1000)
	for n := 0; ; n++ {
		batch := make([]alarm.Event, 50)
		for i := range batch {
			batch[i] = alarm.Event{Device: "d1", Type: "t", Qualifier: fmt.Sprint(n, ".", i), Severity: "major", Message: message}
		}
		began := time.Now()
		for _, r := range w.engine.Publish(t.Context(), "tests", batch) {
			w.must(r.Err)
		}
		if got, _ := good.types(50); len(got) != 50 {
			t.Fatalf("the other one got %d entries", len(got))
		}
		if took := time.Since(began); took > timeout {
			t.Errorf("the other one waited %v", took)
		}
		if len(w.ended) > 0 {
			break
		}
		if n > 2000 {
			t.Fatal("the slow one took everything")
		}
	}
	if err := <-w.ended; err == nil || !strings.Contains(err.Error(), "i/o timeout") {
		t.Errorf("it ended with %v", err)
	}
	// The log itself is in memory here; what the slow one holds is a frame.
	b, err := w.log.Bounds(context.Background())
	w.must(err)
	if grown := memory() - before; grown > int64(3*b.Bytes)+(8<<20) {
		t.Errorf("%d bytes more, with a log of %d", grown, b.Bytes)
	}
}

// Whatever state a connection is in when it goes, it leaves nothing behind.
func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t, settings{carrier: ws.Options{Linger: 50 * time.Millisecond}})
	w.enter("ada", "").Close() // what serves them all has begun
	wait(t, "the end", w.ended)
	before := runtime.NumGoroutine()
	for i := range 40 {
		var c *client
		switch i % 4 {
		case 0:
			c = w.dial("")
		case 1:
			c = w.dial(w.token(auth.Issue{User: "ada"}))
		case 2:
			c = w.enter("ada", "")
		case 3:
			c = w.enter("ada", "")
			c.want("hello")
			c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "ada", Groups: []string{"g"}}) + `"}`)
		}
		if i >= 20 {
			c.say("x", "x", "x", "x", "x", "x", "x", "x", "x", "x")
			continue
		}
		c.Close()
	}
	for range 40 {
		wait(t, "the end", w.ended)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); runtime.NumGoroutine() > before; <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
		}
	}
}

func memory() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkIdle gives the server's memory for a client that waits.
func BenchmarkIdle(b *testing.B) {
	const clients = 1000
	for b.Loop() {
		w := newWorld(b, settings{})
		auth := `{"op":"auth","token":"` + w.token(auth.Issue{User: "ada"}) + `"}`
		conns := make([]net.Conn, 0, clients)
		before, goroutines := memory(), runtime.NumGoroutine()
		for range clients {
			conns = append(conns, idle(b, w, auth))
		}
		// A second run finds the stacks that the first one shrank.
		memory()
		b.ReportMetric(float64(memory()-before)/clients, "B/client")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/clients, "goroutines/client")
		for _, c := range conns {
			c.Close()
		}
		for range clients {
			<-w.ended
		}
	}
}

// BenchmarkFanOut gives the cost of one alarm for each of the clients that get it.
func BenchmarkFanOut(b *testing.B) {
	const clients = 200
	w := newWorld(b, settings{})
	auth := `{"op":"auth","token":"` + w.token(auth.Issue{User: "ada"}) + `"}`
	var got atomic.Int64
	all := make(chan struct{}, 1)
	for range clients {
		conn := idle(b, w, auth)
		go func() { // ends with the connection
			in := make([]byte, 64<<10)
			for {
				n, err := conn.Read(in)
				if err != nil {
					return
				}
				if got.Add(int64(bytes.Count(in[:n], []byte(`{"seq":`))))%clients == 0 {
					all <- struct{}{}
				}
			}
		}()
		b.Cleanup(func() { conn.Close() })
	}
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		w.raise("d1", fmt.Sprint("t", n%100))
		<-all
		n++
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*clients), "µs/delivery")
}

// idle connects a client that costs as little as it can on its own side, and
// returns when it has its hello.
func idle(tb testing.TB, w *world, auth string) net.Conn {
	tb.Helper()
	conn, err := net.Dial("tcp", w.url)
	if err != nil {
		tb.Fatal(err)
	}
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n"+
		"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate\r\nOrigin: http://%s\r\nPragma: no-cache\r\nCache-Control: no-cache\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n", w.url, w.url)
	until(tb, conn, "\r\n\r\n")
	frame := []byte{0x81, 0x80 | 126, byte(len(auth) >> 8), byte(len(auth)), 0, 0, 0, 0}
	if _, err := conn.Write(append(frame, auth...)); err != nil {
		tb.Fatal(err)
	}
	until(tb, conn, "}}")
	return conn
}

func until(tb testing.TB, conn net.Conn, mark string) {
	tb.Helper()
	var b [4096]byte
	for n := 0; !bytes.Contains(b[:n], []byte(mark)); {
		got, err := conn.Read(b[n:])
		if err != nil {
			tb.Fatal(err)
		}
		n += got
	}
}

// discard is a connection that takes everything.
type discard struct{ bytes int }

func (d *discard) Headroom() int                  { return 10 }
func (d *discard) Try(frame []byte) (bool, error) { d.bytes += len(frame); return true, nil }
func (d *discard) Settle() error                  { return nil }
func (d *discard) Send(text []byte) error         { d.bytes += len(text); return nil }
func (d *discard) Close(int, string)              {}

// The number of allocations does not depend on how many entries are told.
func TestEntriesAreNotAllocated(t *testing.T) {
	w := newWorld(t, settings{})
	for i := range 100 {
		w.raise("d1", fmt.Sprint("t", i))
	}
	allocs := func(limit int) float64 {
		r, err := w.view.Open("ada", nil, inbox.Start{Cursor: inbox.Earliest})
		w.must(err)
		defer r.Close()
		batch, err := r.Read(t.Context(), limit)
		w.must(err)
		if len(batch.Items) != limit {
			t.Fatalf("%d entries", len(batch.Items))
		}
		e := native.NewEncoder(&discard{})
		return testing.AllocsPerRun(200, func() {
			e.Part(transports.Part{Batch: &batch, To: limit})
			if _, err := e.Flush(); err != nil {
				t.Error(err)
			}
		})
	}
	// Under the race detector the pool forgets buffers on purpose, hence the 10.
	if one, hundred := allocs(1), allocs(100); hundred > one+10 {
		t.Errorf("%v allocations for one entry, %v for a hundred", one, hundred)
	}
}
