package apppush

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/natslog"
	"tocsin/transports"
)

const patience = 20 * time.Second

// A line is a connection whose client takes everything at once.
type line struct {
	sent chan string

	mu     sync.Mutex
	closes int
}

func (l *line) Headroom() int { return 10 }

func (l *line) Try(m []byte) (bool, error) { return true, l.Send(m[l.Headroom():]) }

func (l *line) Settle() error { return nil }

func (l *line) Send(text []byte) error {
	select {
	case l.sent <- string(text):
	default: // more than anybody here wants to see
	}
	return nil
}

func (l *line) Close(int, string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closes++
}

// A host hears of the end.
type host struct{ ended chan error }

func (host) Known(*transports.Dialogue, transports.Identity) {}
func (host) Delivers() (func(inbox.Reach), func())           { return nil, func() {} }
func (h host) Ended(why error)                               { h.ended <- why }

// A world is a node whose user ann has the alarms that tests raise.
type world struct {
	t  testing.TB
	w  *inboxtest.Writer
	to inbox.Audience
	o  *Options
}

func newWorld(t testing.TB) *world {
	store, err := natslog.Open(t.Context(), natslog.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close(context.Background()) })
	places, err := store.Places(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log := &inbox.MemoryLog{}
	w := &world{t: t, w: inboxtest.NewWriter(t, log)}
	w.to = w.w.Route("crew")
	w.w.Member("crew", "ann", true)
	v, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	w.o = &Options{Places: appPlaces{places}}
	w.o.View, w.o.Pump = v, transports.NewPump(transports.Limits{})
	w.raise("d0")
	go w.o.Pump.Run(t.Context()) // ends with the test
	return w
}

// appPlaces are places under the name of a protocol.
type appPlaces struct{ *natslog.Places }

func (p appPlaces) Hold(ctx context.Context, user string) (place, from string, err error) {
	return p.Places.Hold(ctx, "app", user)
}

func (p appPlaces) Keep(ctx context.Context, user, place, cursor string) (string, error) {
	return p.Places.Keep(ctx, "app", user, place, cursor)
}

func (w *world) raise(text string) {
	w.t.Helper()
	inboxtest.Reach(w.t, w.o.View, w.w.Alarm(text, w.to, inbox.Major, text))
}

// A client is one of ann's.
type client struct {
	t testing.TB
	*Conversation
	line *line
	host host
}

func (w *world) connect(cursor string) *client {
	c := &client{t: w.t, line: &line{sent: make(chan string, 1000)}, host: host{make(chan error, 1)}}
	c.Conversation = Begin(c.line, transports.Identity{Client: transports.Client{User: "ann"}}, cursor, c.host, w.o)
	c.place.held.Wait()
	return c
}

func (c *client) leave() {
	c.Gone()
	<-c.host.ended
}

// want reads messages of these texts.
func (c *client) want(texts ...string) {
	c.t.Helper()
	for _, text := range texts {
		select {
		case got := <-c.line.sent:
			if !json.Valid([]byte(got)) || !strings.Contains(got, `"body":"`+text+`"`) {
				c.t.Errorf("it is not %s: %s", text, got)
			}
		case <-time.After(patience):
			c.t.Fatalf("%s did not come", text)
		}
	}
}

// flushed waits until the conversation knows that everything has been written.
func (c *client) flushed() {
	c.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); ; <-tick.C {
		c.place.mu.Lock()
		at, err := inbox.ParseCursor(c.place.written)
		c.place.mu.Unlock()
		if err == nil && at.Seq == c.o.View.Head() {
			return
		}
		if time.Now().After(end) {
			c.t.Fatal("it was not written")
		}
	}
}

func TestWhatHasArrivedIsNotToldAgain(t *testing.T) {
	w := newWorld(t)
	c := w.connect("")
	w.raise("d1")
	c.want("d1")
	c.flushed()
	c.Mark(1)
	w.raise("d2")
	c.want("d2")
	c.flushed()
	c.Mark(2) // the first has no answer yet: it is what counts
	c.Arrived(1)
	c.leave()
	c = w.connect("")
	c.want("d2")
	c.flushed()
	c.Mark(1)
	c.Arrived(7) // a later one: all before it has arrived
	c.Arrived(7)
	c.leave()
	w.raise("d3")
	c = w.connect("")
	c.want("d3")
	c.leave()
	c = w.connect("") // without an answer
	c.want("d3")
	c.leave()
}

// Of a client who answers no pings a minute between signs of life must do.
func TestSignsOfLifeMustDo(t *testing.T) {
	w := newWorld(t)
	c := w.connect("")
	now := time.Now()
	w.raise("d1")
	c.want("d1")
	c.flushed()
	c.place.beaten(now)
	w.raise("d2")
	c.want("d2")
	c.flushed()
	c.place.beaten(now.Add(30 * time.Second))
	c.leave()
	c = w.connect("")
	c.want("d1", "d2")
	c.flushed()
	c.place.beaten(now)
	w.raise("d3")
	c.want("d3")
	c.flushed()
	c.place.beaten(now.Add(time.Minute))
	c.leave()
	c = w.connect("")
	c.want("d3")
	// Who answers pings after all is judged by these.
	c.flushed()
	c.place.beaten(now)
	c.Arrived(1)
	c.place.beaten(now.Add(time.Hour))
	c.leave()
	w.connect("").want("d3")
}

// A place is kept while the connection lives, so that a dead node has left it.
func TestAPlaceIsKeptMeanwhile(t *testing.T) {
	w := newWorld(t)
	c := w.connect("")
	began := time.Now()
	w.raise("d1")
	c.want("d1")
	c.flushed()
	c.Mark(1)
	c.place.arrived(1, began.Add(time.Second)) // too soon after the last time
	c.place.held.Wait()
	beside := w.connect("")
	beside.want("d1") // it begins where the other one's place is kept
	beside.flushed()
	for n := uint64(2); n < 4; n++ { // by then it is time
		c.Mark(n)
		c.place.arrived(n, began.Add(time.Duration(n)*keepEvery))
		c.place.held.Wait()
		beside.Mark(n)
		beside.place.arrived(n, began.Add(time.Duration(n)*keepEvery))
		beside.place.held.Wait()
	}
	w.raise("d2")
	c.want("d2")
	beside.want("d2")
	third := w.connect("")
	third.want("d2")
	for _, one := range []*client{c, beside, third} {
		one.leave()
	}
}

// Whatever a client sends, and whatever its cursor is, it is served and closed once.
func FuzzReceive(f *testing.F) {
	f.Add("", []byte("--"))
	f.Add("earliest", []byte("{}"))
	f.Add("a.1.b.s2", []byte("\xff\x00"))
	f.Add(strings.Repeat("x", 70), []byte("-- "))
	f.Add("latest&x=%", []byte(nil))
	w := newWorld(f)
	f.Fuzz(func(t *testing.T, cursor string, text []byte) {
		c := w.connect(cursor)
		c.Receive(text)
		c.Pinged()
		c.Arrived(uint64(len(text)))
		c.leave()
		if c.line.closes != 1 {
			t.Errorf("closed %d times", c.line.closes)
		}
		for len(c.line.sent) > 0 {
			if got := <-c.line.sent; !json.Valid([]byte(got)) {
				t.Errorf("not JSON: %s", got)
			}
		}
	})
}
