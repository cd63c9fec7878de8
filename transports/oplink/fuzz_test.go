package oplink_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports"
	"tocsin/transports/oplink"
)

// A wire is a carrier that takes everything.
type wire struct {
	mu     sync.Mutex
	sent   [][]byte
	closed []int
}

func (w *wire) Headroom() int { return 4 }

func (w *wire) Try(message []byte) (bool, error) { return true, w.Send(message[4:]) }
func (w *wire) Settle() error                    { return nil }

func (w *wire) Send(text []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, bytes.Clone(text))
	return nil
}

func (w *wire) Close(code int, _ string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = append(w.closed, code)
}

// A host notes the end.
type host struct{ ended chan error }

func (h host) Known(*transports.Dialogue, transports.Identity) {}
func (h host) Delivers() (func(inbox.Reach), func())           { return nil, func() {} }
func (h host) Ended(why error)                                 { h.ended <- why }

var errUnknown = errors.New("nobody's token")

func authenticate(_ context.Context, token string) (transports.Identity, bool, error) {
	switch token {
	case "ada", "bob":
		return transports.Identity{Client: transports.Client{User: token}}, false, nil
	case "later":
		return transports.Identity{}, true, errUnknown
	}
	return transports.Identity{}, false, errUnknown
}

func options(t testing.TB) *oplink.Options {
	t.Helper()
	log := &inbox.MemoryLog{}
	inboxtest.NewWriter(t, log)
	view, _ := inboxtest.StartView(t, log, inbox.ViewOptions{})
	pump := transports.NewPump(transports.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	go pump.Run(ctx) // ends with the test
	return &oplink.Options{
		DialogueOptions: transports.DialogueOptions{View: view, Pump: pump, Lasting: true, CommandTimeout: time.Second},
		Authenticate:    authenticate,
	}
}

var malformedFrames = []string{
	"", "x", "[]", "null", "5", `"auth"`, `{}`, `{"op":null}`, `{"op":{}}`, `{"op":"auth"}`, `{"op":"auth","token":null}`, `{"op":"auth","token":5}`,
	`{"op":"AUTH","token":"ada"}`, `{"op":"auth","token":"ada"} {}`, `{"op":"auth","token":"ada"`, "{\"op\":\"auth\",\"token\":\"ada\"}\x00",
	`{"op":"subscribe"}`, `{"op":"subscribe","channel":"@user"}`, `{"op":"subscribe","channel":["@user"]}`, `{"op":"subscribe","channel":"@user","cursor":"earliest"}`,
	`{"op":"subscribe","channel":"@user","cursor":"\u0000"}`, `{"op":"unsubscribe","channel":"@user"}`, `{"op":"auth","token":"later"}`, "\xff\xfe", `{"op":"\ud800"}`,
	"{\"op\":\"auth\",\"token\":\"ada\"}\n{\"op\":\"subscribe\",\"channel\":\"@user\",\"cursor\":\"no cursor\"}\n{\"op\":\"unsubscribe\",\"channel\":\"@user\"}\n{\"op\":\"auth\",\"token\":\"bob\"}",
}

// Whatever a client sends is answered with something that is JSON, or by a close, and
// the conversation ends when the connection does.
func FuzzConversation(f *testing.F) {
	for _, frame := range malformedFrames {
		f.Add([]byte(frame))
		f.Add([]byte(`{"op":"auth","token":"ada"}` + "\n" + frame))
	}
	o := options(f)
	f.Fuzz(func(t *testing.T, frames []byte) {
		w, h := &wire{}, host{make(chan error, 1)}
		c := oplink.Begin(w, h, o)
		n := 0
		for frame := range bytes.SplitSeq(frames, []byte("\n")) {
			if n++; n > 50 {
				break
			}
			c.Receive(frame)
		}
		over := c.Over()
		c.Gone()
		select {
		case <-h.ended:
		case <-time.After(20 * time.Second):
			t.Fatal("it does not end")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.closed) != 1 || over && w.closed[0] == 1001 {
			t.Errorf("closed with %v", w.closed)
		}
		if len(w.sent) > 3*n+1 { // an answer each, and of cursors and gaps
			t.Errorf("%d frames for %d", len(w.sent), n)
		}
		for _, frame := range w.sent {
			if !json.Valid(frame) {
				t.Errorf("sent %q", frame)
			}
		}
	})
}
