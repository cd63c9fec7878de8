package stomp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"tocsin/server/topics"
	"tocsin/transports"
	"tocsin/transports/stomp"
)

// A wire is a connection in memory, whose client takes everything at once.
type wire struct {
	mu     sync.Mutex
	frames []string
	closed bool
}

const wireHeadroom = 10

func (w *wire) Headroom() int { return wireHeadroom }

func (w *wire) Try(message []byte) (bool, error) { return true, w.Send(message[wireHeadroom:]) }

func (w *wire) Settle() error { return nil }

func (w *wire) Send(text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.frames = append(w.frames, string(text))
	return nil
}

func (w *wire) Close(int, string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
}

// Whatever a client says: nothing panics, what it is told are frames, ERROR is the
// last of them and the connection's end, and another client is not disturbed.
func FuzzConversation(f *testing.F) {
	for _, seed := range []string{
		"SUBSCRIBE\nid:1\ndestination:/user/queue/inbox\nack:client\ncursor:earliest\nreceipt:1\n\n\x00ACK\nid:x\n\n\x00UNSUBSCRIBE\nid:1\n\n\x00",
		"SUBSCRIBE\nid:1\ndestination:/topic/t\nack:client-individual\n\n\x00SEND\ndestination:/topic/t\nreceipt:2\n\nx\x00NACK\nid:y\n\n\x00DISCONNECT\nreceipt:9\n\n\x00",
		"SEND\ndestination:/app/v1/chat\ncontent-length:2\n\nab\x00\n\n\nSEND\ndestination:/chat/single/bob\n\n\x00",
		"BEGIN\ntransaction:1\n\n\x00", "CONNECT\naccept-version:1.1\nheart-beat:1,1\n\n\x00", "STOMP\n\n\x00", "\x00\x00\n", "SEND\nh", "SEND\n\\:1\n\n\x00",
		"SUBSCRIBE\nid:\ndestination:/user/queue/inbox\nsnapshot:active\ncounts:true\nreceipt:\n\n\x00SUBSCRIBE\nid:\ndestination:/topic/\n\n\x00",
		"SUBSCRIBE\nid:a\\cb\\n\ndestination:/topic/\\c\\\\\nreceipt:\\r\n\n\x00SEND\ndestination:/topic/\\c\\\\\ncontent-type:\\n\n\n\\\x00",
	} {
		for _, v := range []string{"1.2", "1.1", "1.0", ""} {
			f.Add(v, []byte(seed), 7)
		}
	}
	var users atomic.Uint64 // each with a pace of its own
	w := newWorld(f, settings{change: func(o *stomp.Options) {
		o.Authenticate = func(context.Context, string) (transports.Identity, error) {
			user := fmt.Sprint("user-", users.Add(1))
			return transports.Identity{Client: transports.Client{User: user, Groups: []string{"crew"}}}, nil
		}
	}})
	w.raise("a", "b")
	witness := w.enter("bob")
	witness.done("SUBSCRIBE", "id:1", "destination:/topic/witness")
	f.Fuzz(func(t *testing.T, version string, stream []byte, size int) {
		if len(stream) > 4096 {
			return
		}
		out := &wire{}
		c := stomp.Begin(out, nil, &host{w: &world{events: make(chan string, 1000), ended: make(chan error, 1)}}, w.o)
		c.Receive([]byte("CONNECT\naccept-version:" + version + "\npasscode:x\n\n\x00"))
		for size = max(size, 1); len(stream) > 0; stream = stream[min(size, len(stream)):] {
			c.Receive(append([]byte(nil), stream[:min(size, len(stream))]...))
		}
		c.Gone()
		out.mu.Lock()
		defer out.mu.Unlock()
		for i, text := range out.frames {
			if text != "\n" && (!strings.HasSuffix(text, "\x00") || !strings.Contains(text, "\n\n")) {
				t.Fatalf("%q is no frame", text)
			}
			if strings.HasPrefix(text, "ERROR") && !out.closed {
				t.Fatalf("after %d frames %q ends nothing", i, text)
			}
		}
		if !out.closed {
			t.Fatal("it is not closed")
		}
		if _, err := w.topics.Publish(t.Context(), topics.Message{Name: "witness", From: "x", Content: "alive"}); err != nil {
			t.Fatal(err)
		}
		_ = witness.SetReadDeadline(time.Now().Add(patience))
		if got := (&client{t, witness.Conn}).want("MESSAGE"); got.body != "alive" {
			t.Fatalf("the witness hears %+v", got)
		}
	})
}

var _ transports.Conn = (*wire)(nil)
