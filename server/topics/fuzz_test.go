package topics

import (
	"errors"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// An ear keeps what it hears last.
type ear struct{ heard []Message }

func (e *ear) Heard(m Message) { e.heard = append(e.heard, m) }
func (e *ear) Missed()         {}

// A message is heard as it was published, or refused with the field that is wrong.
func FuzzMessage(f *testing.F) {
	f.Add("chat/v1", "ada", "text/plain", "hello")
	f.Add("", "", "", "")
	f.Add("a\x00", "_", "x", "\xff")
	f.Add("日本", "*", strings.Repeat("t", 300), "<&\u2028")
	f.Fuzz(func(t *testing.T, name, from, contentType, content string) {
		log := &inbox.MemoryLog{}
		topics := New(Options{Log: log, Epoch: "e"})
		_, err := topics.Publish(t.Context(), Message{Name: name, From: from, ContentType: contentType, Content: content})
		var field *inbox.FieldError
		if err != nil {
			if !errors.As(err, &field) {
				t.Errorf("an error that names no field: %v", err)
			}
			return
		}
		e := &ear{}
		defer topics.Listen(name, e)()
		err = log.Scan(t.Context(), inbox.Scan{From: 1}, func(m inbox.Message) error {
			entry, err := inbox.Decode(m)
			topics.tell(&entry)
			return err
		})
		if err != nil || len(e.heard) != 1 || e.heard[0].Name != name || e.heard[0].From != from || e.heard[0].Content != content {
			t.Errorf("heard %+v, %v", e.heard, err)
		}
	})
}

// What is stored and is no message of ours is passed over.
func FuzzStoredMessage(f *testing.F) {
	f.Add([]byte(`{"type":"topic","time":"2026-11-21T02:00:00Z","topic":{"name":"a","from":"b","content":"c"}}`))
	f.Add([]byte(`{"type":"later"}`))
	f.Add([]byte(`[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		topics, e := New(Options{Now: time.Now}), &ear{}
		defer topics.Listen("a", e)()
		topics.tell(&inbox.Entry{Subject: inbox.TopicSubject("a"), Body: body})
		if len(e.heard) > 1 {
			t.Errorf("heard %+v", e.heard)
		}
	})
}
