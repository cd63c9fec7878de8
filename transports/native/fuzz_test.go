package native_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
	"tocsin/transports/native"
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

// Whatever a client sends is answered with JSON, a message with a ref once, and
// nothing it asks for is an error of ours; the conversation ends when the
// connection does.
func FuzzConversation(f *testing.F) {
	w := newWorld(f, settings{})
	w.raise("d1", "t")
	ada := w.token(auth.Issue{User: "ada", Scope: "inbox publish", TTL: 24 * time.Hour})
	for _, frame := range []string{
		"", "x", "[]", "null", `{"op":"auth"}`, `{"op":"auth","token":5}`, `{"op":"auth","token":"x","cursor":"earliest"}`, `{"op":"start","snapshot":"active"}`,
		`{"op":"start","cursor":"` + strings.Repeat("x", 70) + `"}`, `{"op":"read","ref":1,"upto":"latest"}`, `{"op":"read","upto":"0"}`, `{"op":"read","ref":"1","ids":["d1.t._.1.0",""]}`,
		`{"op":"ack","ref":{},"alarm":"x"}`, `{"op":"ack","ref":2,"alarms":[],"note":"` + strings.Repeat("n", 2000) + `"}`, `{"op":"shelve","ref":null,"alarm":"d1.t._.1.0","until":"x"}`,
		`{"op":"publish","ref":3,"alarms":[{"device":"d1","type":"t","severity":"major"},7]}`, `{"op":"publish","ref":4,"alarms":{}}`, `{"op":"later"}`, `{"op":"later","ref":5}`,
		`{"OP":"pong"}`, `{"op":"comment","ref":6,"alarm":"d1.t._.1.0","rev":-1}`, "{\"op\":\"start\"}\n{\"op\":\"start\",\"ref\":7}\n{\"op\":\"pong\",\"ref\":8}",
	} {
		f.Add([]byte(frame), true, false)
		f.Add([]byte(frame), false, false)
		f.Add([]byte(frame), true, true)
	}
	known, err := w.o.Authenticate(f.Context(), ada)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, frames []byte, authenticated, publisher bool) {
		conn, h := &wire{}, ending{make(chan error, 1)}
		var id *transports.Identity
		if authenticated {
			id = &known
		}
		o := w.o
		o.PublishOnly = publisher
		c := native.Begin(conn, id, h, &o)
		n := 0
		for frame := range bytes.SplitSeq(frames, []byte("\n")) {
			if n++; n > 20 {
				break
			}
			c.Receive(frame)
		}
		c.Gone()
		wait(t, "the end", h.ended)
		conn.mu.Lock()
		defer conn.mu.Unlock()
		if len(conn.closed) != 1 {
			t.Errorf("closed with %v", conn.closed)
		}
		for _, frame := range conn.sent {
			var said struct {
				Op      string
				Problem struct {
					Status int
					Detail string
				}
			}
			if err := json.Unmarshal(frame, &said); err != nil || said.Op == "" || bytes.IndexByte(frame, '\n') >= 0 {
				t.Errorf("sent %q: %v", frame, err)
			}
			if said.Problem.Status >= 500 && !ended(said.Problem.Detail) {
				t.Errorf("%q is answered with %s", frames, frame)
			}
		}
	})
}

// ended says whether an error says no more than that the conversation is over.
func ended(detail string) bool { return strings.Contains(detail, "context canceled") }

// ending notes the end.
type ending struct{ ended chan error }

func (e ending) Known(*transports.Dialogue, transports.Identity) {}
func (e ending) Delivers() (func(inbox.Reach), func())           { return nil, func() {} }
func (e ending) Ended(why error)                                 { e.ended <- why }
