package topics_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/topics"
)

const patience = 20 * time.Second

// A node tells what its view hears.
type node struct {
	*topics.Topics
	view *inbox.View
	stop func() // the view
}

func newNode(t *testing.T, log inbox.Log, epoch string) *node {
	t.Helper()
	n := &node{Topics: topics.New(topics.Options{Log: log, Epoch: epoch})}
	n.view, n.stop = inboxtest.StartView(t, log, inbox.ViewOptions{Topic: n.Heard, Reloaded: n.Missed, Retry: time.Millisecond})
	go n.Run(t.Context()) // ends with the test
	return n
}

func beginEpoch(t *testing.T, log inbox.Log) string {
	t.Helper()
	epoch, err := inbox.BeginEpoch(t.Context(), log, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return epoch
}

// An ear keeps what it hears.
type ear struct {
	heard  chan topics.Message
	missed chan struct{}
}

func newEar() *ear { return &ear{make(chan topics.Message, 1000), make(chan struct{}, 10)} }

func (e *ear) Heard(m topics.Message) { e.heard <- m }
func (e *ear) Missed()                { e.missed <- struct{}{} }

func wait[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

func TestEveryNodeHearsInOneOrderWhatIsPublished(t *testing.T) {
	log := &inbox.MemoryLog{}
	epoch := beginEpoch(t, log)
	one, two := newNode(t, log, epoch), newNode(t, log, epoch)
	here, there, elsewhere := newEar(), newEar(), newEar()
	one.Listen("news/of day", here)
	two.Listen("news/of day", there)
	two.Listen("news", elsewhere)
	const each = 100
	var all sync.WaitGroup
	for _, n := range []*node{one, two} {
		for range 2 {
			all.Go(func() {
				for i := range each {
					if _, err := n.Publish(t.Context(), topics.Message{Name: "news/of day", From: "ada", ContentType: "text/x", Content: fmt.Sprint("é\x00\"", i)}); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	all.Wait()
	var last uint64
	for range 4 * each {
		a, b := wait(t, here.heard), wait(t, there.heard)
		if a != b || a.Seq <= last || a.Name != "news/of day" || a.From != "ada" || a.ContentType != "text/x" || !strings.HasPrefix(a.Content, "é\x00\"") || a.Time.IsZero() {
			t.Fatalf("heard %+v and %+v after %d", a, b, last)
		}
		last = a.Seq
	}
	if len(elsewhere.heard) > 0 {
		t.Errorf("another topic's listener heard %+v", <-elsewhere.heard)
	}
}

func TestNothingIsHeardBeforeOrAfter(t *testing.T) {
	log := &inbox.MemoryLog{}
	n := newNode(t, log, beginEpoch(t, log))
	publish := func(content string) {
		t.Helper()
		seq, err := n.Publish(t.Context(), topics.Message{Name: "t", From: "ada", Content: content})
		if err != nil {
			t.Fatal(err)
		}
		inboxtest.Reach(t, n.view, seq)
	}
	witness := newEar()
	n.Listen("t", witness)
	publish("before")
	wait(t, witness.heard)
	late := newEar()
	leave := n.Listen("t", late)
	publish("while")
	if m := wait(t, late.heard); m.Content != "while" {
		t.Errorf("heard %q", m.Content)
	}
	leave()
	leave()
	publish("after")
	wait(t, witness.heard)
	wait(t, witness.heard)
	if len(late.heard) > 0 {
		t.Errorf("heard %+v after leaving", <-late.heard)
	}
}

// Topics are nobody's inbox: no list, counter or cursor of a reader moves.
func TestAnInboxKnowsNothingOfTopics(t *testing.T) {
	log := &inbox.MemoryLog{}
	n := newNode(t, log, beginEpoch(t, log))
	r, err := n.view.Open("ada", []string{"*"}, inbox.Start{Cursor: inbox.Earliest})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	seq, err := n.Publish(t.Context(), topics.Message{Name: "t", From: "ada", Content: "x"})
	if err != nil {
		t.Fatal(err)
	}
	inboxtest.Reach(t, n.view, seq)
	b, err := r.Read(t.Context(), 100)
	if err != nil || len(b.Items) > 0 || b.Gap != nil || b.Counts != (inbox.Counts{}) {
		t.Errorf("the inbox has %+v, %v", b, err)
	}
	subject := inbox.TopicSubject("t")
	if n.view.Keeps(subject, seq) {
		t.Error("retention would keep it for ever")
	}
}

func TestAViewThatLoadsAgainIsTold(t *testing.T) {
	log := &inbox.MemoryLog{}
	epoch := beginEpoch(t, log)
	n := newNode(t, log, epoch)
	e := newEar()
	n.Listen("t", e)
	// An entry of an epoch that nobody has heard of has the view load again.
	foreign := inbox.Entry{Subject: inbox.TopicSubject("t"), Epoch: "zzzzzzzzzzzz", Body: []byte(`{}`)}
	if r := log.Append(t.Context(), inbox.Proposal{Subject: foreign.Subject, Any: true, Data: foreign.Encode()})[0]; r.Err != nil {
		t.Fatal(r.Err)
	}
	wait(t, e.missed)
	if _, err := n.Publish(t.Context(), topics.Message{Name: "t", From: "ada", Content: "again"}); err != nil {
		t.Fatal(err)
	}
	if m := wait(t, e.heard); m.Content != "again" {
		t.Errorf("heard %+v", m)
	}
}

// A listener that takes its time costs a bounded amount of memory, and is told
// that it has missed something.
func TestWhatCannotBeToldIsMissed(t *testing.T) {
	n := topics.New(topics.Options{Log: &inbox.MemoryLog{}, Epoch: "e"})
	e := newEar()
	n.Listen("t", e)
	entry := inbox.Entry{Subject: inbox.TopicSubject("other"), Body: []byte(`{}`)}
	for range 10_000 { // nobody runs
		n.Heard(entry)
	}
	go n.Run(t.Context()) // ends with the test
	wait(t, e.missed)
}

func TestWhatIsOutOfBoundsIsRefused(t *testing.T) {
	log := &inbox.MemoryLog{}
	n := topics.New(topics.Options{Log: log, Epoch: beginEpoch(t, log)})
	good := topics.Message{Name: "t", From: "ada", Content: "x"}
	for field, change := range map[string]func(*topics.Message){
		"topic":        func(m *topics.Message) { m.Name = strings.Repeat("x", 161) },
		"topic ":       func(m *topics.Message) { m.Name = "" },
		"topic\n":      func(m *topics.Message) { m.Name = "a\nb" },
		"content":      func(m *topics.Message) { m.Content = strings.Repeat("x", 16<<10+1) },
		"content ":     func(m *topics.Message) { m.Content = "\xff" },
		"content_type": func(m *topics.Message) { m.ContentType = strings.Repeat("x", 129) },
		"from":         func(m *topics.Message) { m.From = "" },
	} {
		m := good
		change(&m)
		var wrong *inbox.FieldError
		if _, err := n.Publish(t.Context(), m); !errors.As(err, &wrong) || wrong.Field != strings.TrimSpace(field) {
			t.Errorf("%q: %v", field, err)
		}
	}
	if _, err := n.Publish(t.Context(), good); err != nil {
		t.Error(err)
	}
}
