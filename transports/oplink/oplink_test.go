package oplink_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/transports"
	"tocsin/transports/oplink"
)

func (w *wire) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, frame := range w.sent {
		all = append(all, string(frame))
	}
	return strings.Join(all, " ")
}

// A publisher that sends faster than it is stored is read no faster: what waits is
// bounded, and everything is answered in its order.
func TestAPublisherIsReadAsFastAsItsObjectsAreStored(t *testing.T) {
	gate := make(chan struct{})
	o := &oplink.PublishingOptions{Publish: func(_ context.Context, c transports.Client, objects [][]byte) [][]byte {
		<-gate
		if c.User != "p" || len(objects) > 64 {
			t.Errorf("%d objects of %s", len(objects), c.User)
		}
		return objects
	}}
	w, h := &wire{}, host{make(chan error, 1)}
	p := oplink.BeginPublishing(w, transports.Identity{Client: transports.Client{User: "p"}}, h, o)
	const n = 1000
	taken := make(chan int, n)
	go func() { // ends when all are taken
		for i := range n {
			text := fmt.Sprint(i)
			if i%10 == 5 {
				text = "ping"
			}
			p.Receive([]byte(text))
			taken <- i
		}
		p.Gone()
	}()
	gate <- struct{}{} // the first object
	for range 64 {
		<-taken
	}
	select {
	case <-time.After(50 * time.Millisecond):
	case gate <- struct{}{}:
	}
	if waiting := len(taken); waiting > 3*64 {
		t.Errorf("%d more were taken", waiting)
	}
	close(gate)
	if why := <-h.ended; why != context.Canceled {
		t.Error(why)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.sent) != n {
		t.Fatalf("%d answers", len(w.sent))
	}
	for i, answer := range w.sent {
		if want := fmt.Sprint(i); i%10 == 5 && string(answer) != "pong" || i%10 != 5 && string(answer) != want {
			t.Fatalf("answer %d is %s", i, answer)
		}
	}
}

func TestUsersThatLookLikeNumbersAreNumbers(t *testing.T) {
	o := options(t)
	for user, uid := range map[string]string{
		"1001": "1001", "-5": "-5", "0": "0", "007": `"007"`, "+1": `"+1"`, "9007199254740991": "9007199254740991",
		"9007199254740993": `"9007199254740993"`, "1e3": `"1e3"`, "ada": `"ada"`, `a"b`: `"a\"b"`,
	} {
		if got := oplink.Opening(user); got != `{"event":"@user","data":{"uid":`+uid+`,"msg":` {
			t.Errorf("%s begins with %s", user, got)
		}
	}
	w := &wire{}
	c := oplink.Begin(w, host{make(chan error, 1)}, o)
	c.Receive([]byte(`{"op":"auth","token":"ada"}`))
	c.Receive([]byte(`{"op":"subscribe","channel":"@user","cursor":"not a cursor"}`))
	c.Gone()
	if got := w.text(); !strings.HasPrefix(got, `{"result":true} {"result":true} {"event":"@gap","data":{"reason":"epoch",`) || !strings.Contains(got, `{"event":"@cursor","data":{"cursor":"`) {
		t.Errorf("a bad cursor: %s", got)
	}
}
