package hooks

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// Whatever is in a queue is sent, tried again or dropped; nothing of it gets into
// the headers but an id that can stand there.
func FuzzJob(f *testing.F) {
	good, err := json.Marshal(envelope{ID: "acked_e_7", Body: []byte(`{"type":"alarm.acked"}`)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"id":"a\r\nX-Evil: 1","body":"e30="}`))
	f.Add([]byte(`{"id":7}`))
	f.Add([]byte(`null`))
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Evil") != "" || r.Header.Get("Webhook-Signature") == "" {
			f.Errorf("the receiver got %v", r.Header)
		}
	}))
	f.Cleanup(receiver.Close)
	h, err := New(Options{Receivers: []Receiver{{URL: receiver.URL}}, Secret: []byte("a secret of these tests, long enough")})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(h.senders[0].close)
	f.Fuzz(func(t *testing.T, data []byte) {
		var e envelope
		err := h.senders[0].attempt(t.Context(), Job{Data: data, Attempt: 1, At: time.Now()})
		if json.Unmarshal(data, &e) == nil && !strings.ContainsFunc(e.ID, func(c rune) bool { return c < ' ' || c == 0x7f }) && err != nil {
			t.Errorf("%q: %v", data, err)
		}
	})
}

// A secret has as many bytes as it must have.
func FuzzSecret(f *testing.F) {
	f.Add("whsec_" + strings.Repeat("QUJD", 9))
	f.Add(strings.Repeat("x", 24) + "\n")
	f.Add("whsec_%")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		if secret, err := ParseSecret(text); err == nil && (len(secret) < minSecret || len(secret) > maxSecret) {
			t.Errorf("%q is a secret of %d bytes", text, len(secret))
		}
	})
}
