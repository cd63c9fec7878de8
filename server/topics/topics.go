package topics

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"tocsin/server/inbox"
)

// Limits of a message.
const (
	MaxNameChars = 160
	MaxTypeBytes = 128
	MaxBytes     = 16 << 10 // of the content
)

// A Message is one that was published to a topic.
type Message struct {
	Seq  uint64 // in the log; 0 before it is published
	Name string // of the topic: words, with slashes between them
	// From is who published it, or in whose name.
	From        string
	ContentType string // empty is text/plain
	Content     string // UTF-8
	Time        time.Time
}

// A Listener hears of a topic. Its methods are called by one goroutine for all
// listeners, and must neither wait nor call [Topics.Listen] or what it returned.
type Listener interface {
	// Heard hears each message, in the log's order.
	Heard(m Message)
	// Missed hears that there may have been messages which were not told.
	Missed()
}

// Options are what Topics are made of. Log and Epoch are required.
type Options struct {
	Log   inbox.Log
	Epoch string           // of this start of the node
	Now   func() time.Time // nil is time.Now
}

// Topics publish messages, and tell listeners of this node what all nodes publish.
type Topics struct {
	o    Options
	work chan struct{} // a slot: there is something to tell

	mu     sync.Mutex // guards what the view has told
	heard  []inbox.Entry
	missed bool

	telling   sync.Mutex // held while a message is told
	listeners map[string][]*listening
}

// maxHeard is how many messages may wait to be told. What is more is missed: a
// message costs each listener a moment, and the view must not wait for them.
const maxHeard = 8192

type listening struct{ Listener }

// New returns Topics that tell nobody until Run.
func New(o Options) *Topics {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Topics{o: o, work: make(chan struct{}, 1), listeners: map[string][]*listening{}}
}

// CheckName says whether a topic may have this name; the error is a FieldError.
func CheckName(name string) error {
	if err := inbox.CheckText("topic", name, 1, MaxNameChars); err != nil {
		return err
	}
	for _, r := range name {
		if unicode.IsControl(r) {
			return inbox.Fieldf("topic", "no control characters")
		}
	}
	return nil
}

// check says whether the message is within bounds; the error is a FieldError.
func (m *Message) check() error {
	if err := CheckName(m.Name); err != nil {
		return err
	}
	switch {
	case len(m.Content) > MaxBytes:
		return inbox.Fieldf("content", "at most %d bytes, not %d", MaxBytes, len(m.Content))
	case !utf8.ValidString(m.Content):
		return inbox.Fieldf("content", "want UTF-8")
	case len(m.ContentType) > MaxTypeBytes:
		return inbox.Fieldf("content_type", "at most %d bytes, not %d", MaxTypeBytes, len(m.ContentType))
	}
	return inbox.CheckText("from", m.From, 1, inbox.MaxUserChars)
}

// An envelope is a message as it is stored.
type envelope struct {
	Type  string    `json:"type"`
	Time  time.Time `json:"time"`
	Topic stored    `json:"topic"`
}

type stored struct {
	Name        string `json:"name"`
	From        string `json:"from"`
	ContentType string `json:"content_type,omitempty"`
	Content     string `json:"content"`
}

// typeTopic is the type of an entry of a topic.
const typeTopic = "topic"

// Publish stores a message and returns its sequence. Seq and Time are not looked
// at. The error is a FieldError or one of the log.
func (t *Topics) Publish(ctx context.Context, m Message) (seq uint64, err error) {
	if err := m.check(); err != nil {
		return 0, err
	}
	now := t.o.Now().UTC().Truncate(time.Millisecond)
	body, err := json.Marshal(envelope{typeTopic, now, stored{m.Name, m.From, m.ContentType, m.Content}})
	if err != nil {
		return 0, fmt.Errorf("encode a message: %w", err)
	}
	e := inbox.Entry{Subject: inbox.TopicSubject(m.Name), Epoch: t.o.Epoch, At: now, Body: body}
	// The id lets the log repeat an append that was not answered.
	r := t.o.Log.Append(ctx, inbox.Proposal{Subject: e.Subject, Any: true, ID: "topic/" + rand.Text(), Data: e.Encode()})[0]
	if r.Err != nil {
		return 0, fmt.Errorf("store a message: %w", r.Err)
	}
	return r.Seq, nil
}

// Listen has a listener told what is published from now on. Nothing is told after
// leave has returned, which a second time does nothing.
func (t *Topics) Listen(name string, l Listener) (leave func()) {
	one := &listening{l}
	t.telling.Lock()
	defer t.telling.Unlock()
	t.listeners[name] = append(t.listeners[name], one)
	return func() {
		t.telling.Lock()
		defer t.telling.Unlock()
		list := slices.DeleteFunc(t.listeners[name], func(other *listening) bool { return other == one })
		if t.listeners[name] = list; len(list) == 0 {
			delete(t.listeners, name)
		}
	}
}

// Heard takes an entry of a topic from the view.
func (t *Topics) Heard(e inbox.Entry) {
	t.mu.Lock()
	if len(t.heard) < maxHeard {
		t.heard = append(t.heard, e)
	} else {
		t.missed = true
	}
	t.mu.Unlock()
	t.call()
}

// Missed takes from the view that entries may have been passed over.
func (t *Topics) Missed() {
	t.mu.Lock()
	t.missed = true
	t.mu.Unlock()
	t.call()
}

func (t *Topics) call() {
	select {
	case t.work <- struct{}{}:
	default:
	}
}

// Run tells the listeners until the context ends.
func (t *Topics) Run(ctx context.Context) {
	for {
		select {
		case <-t.work:
		case <-ctx.Done():
			return
		}
		t.mu.Lock()
		heard, missed := t.heard, t.missed
		t.heard, t.missed = nil, false
		t.mu.Unlock()
		for i := range heard {
			t.tell(&heard[i])
		}
		if missed {
			t.tellMissed()
		}
	}
}

// tell tells those who listen to its topic of one entry. One that cannot be read
// is of a later version.
func (t *Topics) tell(e *inbox.Entry) {
	name, ok := inbox.ParseTopicSubject(e.Subject)
	if !ok {
		return
	}
	t.telling.Lock()
	defer t.telling.Unlock()
	list := t.listeners[name]
	if len(list) == 0 {
		return
	}
	var v envelope
	if json.Unmarshal(e.Body, &v) != nil || v.Type != typeTopic {
		return
	}
	m := Message{Seq: e.Seq, Name: name, From: v.Topic.From, ContentType: v.Topic.ContentType, Content: v.Topic.Content, Time: v.Time}
	for _, one := range list {
		one.Heard(m)
	}
}

func (t *Topics) tellMissed() {
	t.telling.Lock()
	defer t.telling.Unlock()
	for _, list := range t.listeners {
		for _, one := range list {
			one.Missed()
		}
	}
}
