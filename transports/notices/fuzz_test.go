package notices

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/ingest"
	"tocsin/transports"
)

// A wire is a carrier that takes everything.
type wire struct {
	mu     sync.Mutex
	sent   [][]byte
	closed []int
}

func (w *wire) Headroom() int                    { return 4 }
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

type host struct{ ended chan error }

func (h host) Known(*transports.Dialogue, transports.Identity) {}
func (h host) Delivers() (func(inbox.Reach), func())           { return nil, func() {} }
func (h host) Ended(why error)                                 { h.ended <- why }

// Whatever a client sends is stored or refused in the protocol's words, the
// conversation ends when the connection does, and leaves nothing behind.
func FuzzConversation(f *testing.F) {
	for _, frame := range []string{
		"", "x", "[]", "null", "5", "{}", `{"receiverId":"a","message":"b"}`, `{"receiverId":1,"message":"b","x":{"y":[1]}}`, `{"receiverId":1.5,"message":"b"}`,
		`{"receiverId":null,"message":null}`, `{"receiverId":"a","message":" "}`, `{"receiverId":"a","message":"b","title":5}`, `{"receiverId":"\ud800","message":"\udfff"}`,
		`{"receiverId":"a","message":"b"`, "\xff", `{"receiverId":"a","message":"b","senderId":"c","read":true,"createdTime":0,"alarm":{}}`, "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\nk",
	} {
		f.Add([]byte(frame))
	}
	log := &inbox.MemoryLog{}
	inboxtest.NewWriter(f, log)
	view, _ := inboxtest.StartView(f, log, inbox.ViewOptions{})
	pump := transports.NewPump(transports.Limits{})
	ctx, cancel := context.WithCancel(context.Background())
	f.Cleanup(cancel)
	go pump.Run(ctx) // ends with the test
	keeper := NewKeeper(&shelf{texts: map[string]string{}}, view, slog.New(slog.DiscardHandler))
	f.Cleanup(keeper.Close)
	var bad *inbox.FieldError
	o := &Options{
		DialogueOptions: transports.DialogueOptions{View: view, Pump: pump, Lasting: true},
		Send: func(_ context.Context, c transports.Client, text []byte) error {
			n, err := ingest.ParseNotice(text, false)
			if err == nil && n.Check() != nil {
				return errors.Join(errImpossible, n.Check())
			}
			return err
		},
		Problem: func(err error) (int, string) {
			switch {
			case errors.Is(err, errImpossible):
				return 599, err.Error()
			case errors.As(err, &bad):
				return 422, err.Error()
			}
			return 400, err.Error()
		},
	}
	f.Fuzz(func(t *testing.T, frames []byte) {
		o.rates = rates{}
		w, h := &wire{}, host{make(chan error, 1)}
		place, err := keeper.Enter(t.Context(), "ada")
		if err != nil {
			t.Fatal(err)
		}
		c := Begin(w, transports.Identity{Client: transports.Client{User: "ada"}}, h, place, o)
		n := 0
		for frame := range bytes.SplitSeq(frames, []byte("\n")) {
			if n++; n > 50 {
				break
			}
			c.Receive(frame)
			c.Mark(uint64(n))
			c.Arrived(uint64(n))
		}
		c.Gone()
		select {
		case <-h.ended:
		case <-time.After(20 * time.Second):
			t.Fatal("it does not end")
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if len(w.closed) != 1 || len(w.sent) > n {
			t.Errorf("closed with %v after %d frames for %d", w.closed, len(w.sent), n)
		}
		for _, frame := range w.sent {
			var answer struct{ Code int }
			if json.Unmarshal(frame, &answer) != nil || answer.Code < 400 || answer.Code > 500 {
				t.Errorf("sent %q", frame)
			}
		}
	})
}

var errImpossible = errors.New("a notice was read that is none")
