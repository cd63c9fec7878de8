package stomp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/topics"
	"tocsin/transports/stomp"
)

func TestWhatIsSentReachesWhoHasSubscribed(t *testing.T) {
	w := newWorld(t, settings{})
	ada, bob := w.enter("ada"), w.enter("bob")
	ada.done("SUBSCRIBE", "id:1", "destination:/topic/news")
	ada.done("SUBSCRIBE", "id:2", "destination:/chat/v1", "ack:client")
	bob.done("SUBSCRIBE", "id:b", "destination:/topic/chat/v1")
	for _, to := range []struct{ destination, heard string }{
		{"/topic/news", "/topic/news"}, {"/app/say", "/topic/news"}, {"/app/v1/chat", "/chat/v1"}, {"/chat/v1", "/chat/v1"}, {"/topic/chat/v1", "/chat/v1"},
	} {
		bob.say("SEND\ndestination:" + to.destination + "\ncontent-type:a/b;c=d\nx-own:y\n\n{\"é\": 1}\x00")
		f := ada.want("MESSAGE")
		h := f.header
		if h["destination"] != to.heard || h["from"] != "bob" || h["content-type"] != "a/b;c=d" || f.body != `{"é": 1}` || !strings.HasPrefix(h["message-id"], "topic-") || h["timestamp"] == "" {
			t.Errorf("%s: %+v", to.destination, f)
		}
		if id := map[string]string{"/topic/news": "1", "/chat/v1": "2"}[to.heard]; h["subscription"] != id || (h["ack"] != "") != (id == "2") {
			t.Errorf("%s: %+v", to.destination, f)
		}
		if to.heard == "/chat/v1" {
			if f := bob.want("MESSAGE"); f.header["subscription"] != "b" || f.header["destination"] != "/chat/v1" {
				t.Errorf("its sender gets %+v", f)
			}
		}
	}
	ada.done("UNSUBSCRIBE", "id:2")
	bob.say("SEND\ndestination:/chat/v1\n\nnobody but bob\x00SEND\ndestination:/topic/news\n\nlast\x00")
	if f := ada.want("MESSAGE"); f.body != "last" || f.header["content-type"] != "text/plain" {
		t.Errorf("%+v", f)
	}
}

func TestASingleChatIsTheUsersOwn(t *testing.T) {
	w := newWorld(t, settings{})
	bob := w.enter("bob")
	bob.done("SUBSCRIBE", "id:1", "destination:/chat/single/bob")
	w.enter("ada").say("SEND\ndestination:/chat/single/bob\n\nhi\x00")
	if f := bob.want("MESSAGE"); f.body != "hi" || f.header["from"] != "ada" || f.header["destination"] != "/chat/single/bob" {
		t.Errorf("%+v", f)
	}
	odd := w.enter("o:d/d")
	odd.done("SUBSCRIBE", "id:1", `destination:/chat/single/o\cd/d`)
	bob.say("SEND\ndestination:/chat/single/o\\cd/d\n\nhi\x00")
	if f := odd.want("MESSAGE"); f.header["destination"] != "/chat/single/o:d/d" {
		t.Errorf("%+v", f)
	}
}

func TestTopicsAndTheInboxShareAConnection(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:i", toInbox)
	c.done("SUBSCRIBE", "id:t", "destination:/topic/t")
	const n = 200
	go func() { // ends when all are published
		for i := range n {
			if _, err := w.topics.Publish(t.Context(), topics.Message{Name: "t", From: "x", Content: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}
	}()
	go func() { // ends likewise
		for i := range n {
			w.raise(fmt.Sprint("t", i))
		}
	}()
	alarms, casts := 0, 0
	for range 2 * n {
		f := c.want("MESSAGE")
		switch f.header["subscription"] {
		case "i":
			if !strings.Contains(f.body, fmt.Sprintf(`"type":"t%d"`, alarms)) {
				t.Fatalf("the alarm %d is %s", alarms, f.body)
			}
			alarms++
		case "t":
			if f.body != fmt.Sprint(casts) {
				t.Fatalf("the message %d is %s", casts, f.body)
			}
			casts++
		}
	}
}

func TestWhoMaySend(t *testing.T) {
	w := newWorld(t, settings{change: func(o *stomp.Options) { o.PublishersOnly = true }})
	c := w.enter("ada")
	c.say("SEND\ndestination:/topic/a\nreceipt:1\n\nx\x00")
	if f := c.wantError("Not allowed", stomp.CodeForbidden); f.header["receipt-id"] != "1" {
		t.Errorf("%+v", f)
	}
	c = w.dial(nil)
	c.say("CONNECT\naccept-version:1.2\npasscode:" + w.token(auth.Issue{User: "ada", Scope: "inbox publish"}) + "\n\n\x00")
	c.want("CONNECTED")
	c.say("SEND\ndestination:/topic/a\nreceipt:1\n\nx\x00")
	c.receipt("1")
}

func TestWhatCannotBeSentIsTold(t *testing.T) {
	w := newWorld(t, settings{})
	for _, frame := range []string{
		"SEND\ndestination:/app/unknown\n\nx\x00",
		"SEND\ndestination:/topic/" + strings.Repeat("x", 161) + "\n\nx\x00",
		"SEND\ndestination:/topic/a\n\n" + strings.Repeat("x", 16<<10+1) + "\x00",
	} {
		c := w.enter("ada")
		c.say(frame)
		c.wantError("A value is out of bounds", stomp.CodeProtocol)
	}
	c := w.enter("ada")
	if err := c.WriteMessage(2, []byte("SEND\ndestination:/topic/a\n\n\xff\x00")); err != nil {
		t.Fatal(err)
	}
	c.wantError("A value is out of bounds", stomp.CodeProtocol)
}

// Who sends too much is held up, and then sent away; others are not.
func TestSendingTooMuch(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	began := time.Now()
	c.say(strings.Repeat("SEND\ndestination:/topic/a\n\nx\x00", 110) + "SEND\ndestination:/topic/a\nreceipt:1\n\nx\x00")
	c.receipt("1")
	if took := time.Since(began); took < 400*time.Millisecond {
		t.Errorf("111 messages were sent in %v", took)
	}
	bob := w.enter("bob")
	began = time.Now()
	for i := range 50 {
		bob.say(fmt.Sprintf("SEND\ndestination:/topic/a\nreceipt:%d\n\nx\x00", i))
		bob.receipt(fmt.Sprint(i))
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("50 messages of another user took %v", took)
	}
	c.say(strings.Repeat("SEND\ndestination:/topic/a\n\nx\x00", 1000))
	c.wantError("slow down", stomp.CodeSlowDown)
}

// A client that does not take what topics bring costs a bounded amount of memory,
// and is told.
func TestASlowClientOfATopicIsSentAway(t *testing.T) {
	w := newWorld(t, settings{})
	slow, quick := w.enter("ada"), w.enter("bob")
	slow.done("SUBSCRIBE", "id:1", "destination:/topic/t")
	quick.done("SUBSCRIBE", "id:1", "destination:/topic/t")
	text := strings.Repeat("x", 16<<10)
	for i := 0; len(w.ended) == 0; i++ {
		if i > 5000 {
			t.Fatal("80 MB wait for one who does not read")
		}
		if _, err := w.topics.Publish(t.Context(), topics.Message{Name: "t", From: "x", Content: text}); err != nil {
			t.Fatal(err)
		}
		quick.want("MESSAGE")
		if slow.over(w) {
			break
		}
	}
	slow.wantError("too slow", stomp.CodeSlowDown)
}

// over says whether a conversation has ended.
func (c *client) over(w *world) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, talk := range w.talks {
		if talk.Over() {
			return true
		}
	}
	return false
}

func TestWhatMayHaveBeenMissedIsTold(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", "destination:/topic/t")
	w.topics.Missed()
	c.wantError("may have been missed", stomp.CodeRotate)
}

func TestTheHostHearsOfSubscriptions(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", "destination:/chat/a")
	w.event("ada + /chat/a")
	c.done("SUBSCRIBE", "id:2", toInbox)
	w.event("ada + inbox")
	c.done("UNSUBSCRIBE", "id:1")
	w.event("ada - /chat/a")
	c.done("UNSUBSCRIBE", "id:2")
	w.event("ada - inbox")
	c.done("SUBSCRIBE", "id:1", "destination:/topic/b")
	w.event("ada + /topic/b")
	c.done("SUBSCRIBE", "id:2", toInbox)
	w.event("ada + inbox")
	c.Close()
	got := map[string]bool{}
	for range 2 {
		got[wait(t, "an event", w.events)] = true
	}
	if !got["ada - /topic/b"] || !got["ada - inbox"] {
		t.Errorf("%v", got)
	}
	w.event("ada gone")
}
