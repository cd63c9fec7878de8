package sockjs_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/transports/carrier/sockjs"
)

// leave closes each conversation as it begins.
func leave(k *talk) { k.conn.Close(3000, "Go away!") }

func TestCloseIsToldToWhoAsks(t *testing.T) {
	w := newWorld(t, sockjs.Options{Disconnect: 300 * time.Millisecond}, echo, leave)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	k := wait(t, "the conversation", w.talks)
	select {
	case <-k.gone:
		t.Error("it is over before the client knows")
	default:
	}
	if err := k.conn.Send([]byte("x")); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("something was sent: %v", err)
	}
	for range 3 {
		w.want(200, "c[3000,\"Go away!\"]\n", "POST", "/000/one/xhr", "")
		wait(t, "the end", k.gone)
		w.want(204, "", "POST", "/000/one/xhr_send", `["nobody hears it"]`)
	}
	s := w.stream("POST", "/000/two/xhr_streaming")
	s.want(prelude + "o\nc[3000,\"Go away!\"]\n")
	s.wantEnd()
	s = w.stream("GET", "/000/two/eventsource")
	s.want("\r\ndata: c[3000,\"Go away!\"]\r\n\r\n")
	s.wantEnd()
	// The name is free again after a while.
	for began := time.Now(); ; {
		if a := w.ask("POST", "/000/one/xhr", ""); a.body == "o\n" {
			break
		}
		if time.Since(began) > patience {
			t.Fatal("the name stays taken")
		}
		wait(t, "a while", time.After(400*time.Millisecond))
	}
}

func TestWhatWasSaidComesBeforeTheClose(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, nil, func(k *talk) {
		_ = k.conn.Send([]byte("last"))
		k.conn.Close(4011, "a \"reason\"")
		k.conn.Close(1000, "another")
	})
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	w.want(200, "a[\"last\"]\n", "POST", "/000/one/xhr", "")
	w.want(200, "c[4011,\"a \\\"reason\\\"\"]\n", "POST", "/000/one/xhr", "")
}

func TestOneRequestFetches(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	s := w.stream("POST", "/000/one/xhr_streaming")
	s.want(prelude + "o\n")
	w.want(200, "c[2010,\"Another connection still open\"]\n", "POST", "/000/one/xhr", "")
	other := w.stream("POST", "/000/one/xhr_streaming")
	other.want(prelude + "c[2010,\"Another connection still open\"]\n")
	other.wantEnd()
	// The first goes on, and when its client goes the session is over.
	w.want(204, "", "POST", "/000/one/xhr_send", `["still"]`)
	s.want("a[\"still\"]\n")
	k := wait(t, "the conversation", w.talks)
	s.close()
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	wait(t, "the end", k.gone)
}

func TestHeartbeats(t *testing.T) {
	w := newWorld(t, sockjs.Options{Heartbeat: 30 * time.Millisecond}, echo, nil)
	w.want(200, "o\n", "POST", "/000/poll/xhr", "")
	w.want(200, "h\n", "POST", "/000/poll/xhr", "")
	w.want(200, "/**/x(\"h\");\r\n", "GET", "/000/poll/jsonp?c=x", "")
	w.stream("GET", "/000/s/eventsource").want("\r\ndata: o\r\n\r\ndata: h\r\n\r\ndata: h\r\n\r\n")
}

func TestSessionThatNobodyFetchesFromEnds(t *testing.T) {
	w := newWorld(t, sockjs.Options{Disconnect: time.Second}, echo, nil)
	began := time.Now()
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	k := wait(t, "the conversation", w.talks)
	wait(t, "the end", k.gone)
	if took := time.Since(began); took < 900*time.Millisecond {
		t.Errorf("it ended after %v", took)
	}
	if err := k.conn.Send([]byte("x")); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("something was sent: %v", err)
	}
	w.want(404, "there is no such session\n", "POST", "/000/one/xhr_send", `["a"]`)
	// One that comes again and again lives on.
	w.want(200, "o\n", "POST", "/000/two/xhr", "")
	k = wait(t, "the conversation", w.talks)
	for i := range 8 {
		wait(t, "a while", time.After(200*time.Millisecond))
		w.want(204, "", "POST", "/000/two/xhr_send", fmt.Sprintf(`["%d"]`, i))
		w.want(200, fmt.Sprintf("a[\"%d\"]\n", i), "POST", "/000/two/xhr", "")
	}
	select {
	case <-k.gone:
		t.Error("it ended although its client came")
	default:
	}
}

func TestClientThatGoesInMidRequest(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, echo, nil)
	for _, path := range []string{"/xhr_streaming", "/xhr"} {
		if path == "/xhr" {
			w.want(200, "o\n", "POST", "/000/xhr/xhr", "")
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(w.url, "/echo"), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /echo/000%s%s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", path, path)
		k := wait(t, "the conversation", w.talks)
		conn.Close()
		wait(t, "the end", k.gone)
	}
}

// Who tells more than the client fetches waits, in bounded memory.
func TestBackpressure(t *testing.T) {
	const buffer = 10_000
	w := newWorld(t, sockjs.Options{Buffer: buffer}, nil, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	k := wait(t, "the conversation", w.talks)
	sent := make(chan int, 1000)
	go func() { // ends with the session
		for i := 0; k.conn.Send(fmt.Appendf(nil, "%04d%s", i, strings.Repeat("x", 996))) == nil; i++ {
			sent <- i
		}
		close(sent)
	}()
	next := 0
	for range 5 {
		for len(sent) < 9 {
			runtime.Gosched()
		}
		a := w.ask("POST", "/000/one/xhr", "")
		if len(a.body) > buffer+100 {
			t.Fatalf("%d bytes at once", len(a.body))
		}
		for part := range strings.SplitSeq(a.body, `","`) {
			if !strings.Contains(part, fmt.Sprintf("%04d", next)) {
				t.Fatalf("%.20s where %d was to come", part, next)
			}
			next++
		}
		for range strings.Count(a.body, `","`) + 1 {
			wait(t, "a message to be sent", sent)
		}
	}
	w.carrier.Close()
	wait(t, "the end", k.gone)
	for range sent { // until it is closed
	}
}

// Try is done when a request takes the message along, and waits for one in Settle.
func TestTryAndSettle(t *testing.T) {
	w := newWorld(t, sockjs.Options{Disconnect: 500 * time.Millisecond}, nil, nil)
	s := w.stream("GET", "/000/s/eventsource")
	s.want("\r\ndata: o\r\n\r\n")
	k := wait(t, "the conversation", w.talks)
	for range 3 {
		if done, err := k.conn.Try([]byte("now")); !done || err != nil {
			t.Fatalf("while a stream is there: %v, %v", done, err)
		}
	}
	s.want(`data: a["now"`)
	s.close()
	wait(t, "the end", k.gone)
	if _, err := k.conn.Try([]byte("late")); !errors.Is(err, sockjs.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}

	w.want(200, "o\n", "POST", "/000/p/xhr", "")
	k = wait(t, "the conversation", w.talks)
	settled := make(chan error, 1)
	for _, end := range []error{nil, sockjs.ErrClosed} {
		if done, err := k.conn.Try([]byte("later")); done || err != nil {
			t.Fatalf("while nobody asks: %v, %v", done, err)
		}
		go func() { settled <- k.conn.Settle() }() // ends with the session
		if end == nil {
			w.want(200, "a[\"later\"]\n", "POST", "/000/p/xhr", "")
		}
		if err := wait(t, "its settling", settled); !errors.Is(err, end) {
			t.Errorf("settled with %v, want %v", err, end)
		}
	}
}

// What is told at once comes in one answer, if a poll waits for it.
func TestAPollTakesABatch(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, nil, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	k := wait(t, "the conversation", w.talks)
	if done, err := k.conn.Try([]byte("0")); done || err != nil {
		t.Fatal(done, err)
	}
	told := make(chan struct{})
	go func() { // ends when all is told
		defer close(told)
		_ = k.conn.Settle()
		for i := 1; i < 100; i++ {
			if done, err := k.conn.Try(fmt.Append(nil, i)); !done && (err != nil || k.conn.Settle() != nil) {
				t.Errorf("%d was not taken", i)
				return
			}
		}
	}()
	answers, messages := 0, 0
	for messages < 100 {
		a := w.ask("POST", "/000/one/xhr", "")
		answers, messages = answers+1, messages+strings.Count(a.body, ",")+1
	}
	if answers > 10 {
		t.Errorf("%d messages took %d polls", messages, answers)
	}
	wait(t, "the last one's settling", told)
}

func TestStalledStreamIsCutAndAlone(t *testing.T) {
	const timeout = 300 * time.Millisecond
	w := newWorld(t, sockjs.Options{WriteTimeout: timeout, ResponseLimit: 1 << 30}, nil, nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(strings.TrimSuffix(w.url, "/echo"), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
	_, _ = io.WriteString(conn, "GET /echo/000/stalled/eventsource HTTP/1.1\r\nHost: h\r\n\r\n")
	k := wait(t, "the conversation", w.talks)
	other := w.stream("GET", "/000/other/eventsource")
	other.want("\r\ndata: o\r\n\r\n")
	kOther := wait(t, "the conversation", w.talks)
	text := bytes.Repeat([]byte("x"), 64<<10)
	for i := 0; ; i++ {
		began := time.Now()
		err := k.conn.Send(text)
		if took := time.Since(began); took > 10*timeout {
			t.Errorf("Send took %v", took)
		}
		if err != nil {
			break
		}
		if i > 1000 {
			t.Fatal("64 MB went to a client that does not read")
		}
		_ = kOther.conn.Send([]byte("tick"))
		other.want("data: a[\"tick\"]\r\n\r\n")
	}
	wait(t, "the end", k.gone)
}

// A client that sends without end is slowed, and in one order.
func TestMessagesAreHeardOneAfterTheOther(t *testing.T) {
	var mu sync.Mutex
	inside, most := 0, 0
	w := newWorld(t, sockjs.Options{}, func(*talk, string) {
		mu.Lock()
		inside++
		most = max(most, inside)
		mu.Unlock()
		runtime.Gosched()
		mu.Lock()
		inside--
		mu.Unlock()
	}, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() { w.want(204, "", "POST", "/000/one/xhr_send", `["a","b","c"]`) })
	}
	all.Wait()
	if most != 1 {
		t.Errorf("%d messages were heard at once", most)
	}
}

func TestSizes(t *testing.T) {
	w := newWorld(t, sockjs.Options{MaxMessage: 100, Sessions: 2}, nil, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	k := wait(t, "the conversation", w.talks)
	w.want(204, "", "POST", "/000/one/xhr_send", `["`+strings.Repeat("x", 100)+`"]`)
	if got := wait(t, "the message", k.got); len(got) != 100 {
		t.Errorf("%q", got)
	}
	w.want(413, "the message is too large\n", "POST", "/000/one/xhr_send", `["ok","`+strings.Repeat("x", 101)+`"]`)
	w.want(413, "the message is too large\n", "POST", "/000/one/xhr_send", `["`+strings.Repeat("x", 400)+`"]`)
	w.want(413, "no payload expected\n", "POST", "/000/two/xhr", strings.Repeat("x", 5000))
	if len(k.got) > 0 {
		t.Error("a part of what is too large was heard")
	}
	w.want(200, "o\n", "POST", "/000/two/xhr", "")
	w.want(503, "there are too many sessions\n", "POST", "/000/three/xhr", "")
	w.want(204, "", "POST", "/000/two/xhr_send", `["as before"]`)
}

func TestWhoIsNotLetInHasNoSession(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, nil, nil)
	w.refuse = errRefused
	for range 3 {
		w.want(503, "refused\n", "POST", "/000/one/xhr", "")
		w.want(503, "refused\n", "GET", "/000/one/eventsource", "")
		w.want(404, "there is no such session\n", "POST", "/000/one/xhr_send", `["a"]`)
	}
	w.refuse = nil
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	w.carrier.Close()
	wait(t, "the end", wait(t, "the conversation", w.talks).gone)
	w.want(503, "the session is closed\n", "POST", "/000/two/xhr", "")
}

func TestPanicEndsOnlyItsSession(t *testing.T) {
	w := newWorld(t, sockjs.Options{}, func(k *talk, message string) {
		if message == "panic" {
			panic("at the disco")
		}
		echo(k, message)
	}, nil)
	w.want(200, "o\n", "POST", "/000/one/xhr", "")
	w.want(200, "o\n", "POST", "/000/two/xhr", "")
	k := wait(t, "the conversation", w.talks)
	w.want(204, "", "POST", "/000/one/xhr_send", `["panic","x"]`)
	wait(t, "the end", k.gone)
	w.want(204, "", "POST", "/000/two/xhr_send", `["fine"]`)
	w.want(200, "a[\"fine\"]\n", "POST", "/000/two/xhr", "")
	if !strings.Contains(w.logged.String(), "at the disco") {
		t.Error(w.logged.String())
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	w := newWorld(t, sockjs.Options{Disconnect: 50 * time.Millisecond}, echo, nil)
	w.want(200, "o\n", "POST", "/000/first/xhr", "")
	wait(t, "the end", wait(t, "the conversation", w.talks).gone)
	before := runtime.NumGoroutine()
	for i := range 50 {
		w.want(200, "o\n", "POST", fmt.Sprintf("/000/p%d/xhr", i), "")
		s := w.stream("GET", fmt.Sprintf("/000/s%d/eventsource", i))
		s.want("\r\ndata: o\r\n\r\n")
		s.close()
	}
	for range 100 {
		wait(t, "the end", wait(t, "the conversation", w.talks).gone)
	}
	// A session is forgotten a moment after its conversation has heard of the end.
	for began := time.Now(); w.carrier.Count() != 0; runtime.Gosched() {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("%d sessions are left", w.carrier.Count())
		}
	}
	http.DefaultClient.CloseIdleConnections()
	for began := time.Now(); runtime.NumGoroutine() > before+3; runtime.Gosched() {
		if time.Since(began) > patience {
			t.Fatalf("%d goroutines, before it were %d", runtime.NumGoroutine(), before)
		}
	}
}
