package stomp_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/transports/stomp"
)

const (
	toInbox = "destination:/user/queue/inbox"
	point   = "stomp/ada"
)

func TestTheInboxComesAndGoesOnByCursor(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	began := c.done("SUBSCRIBE", "id:in:box", toInbox)
	if began.header["cursor"] == "" || began.header["resumed"] != "false" || began.header["unread"] != "0" {
		t.Errorf("it begins with %+v", began)
	}
	w.raise("a", "b", "c")
	one := c.entry()
	if h := one.frame.header; h["subscription"] != "in:box" || h["unread"] == "" || h["ack"] != "" || one.Type != "alarm.raised" || one.Alarm.Type != "a" {
		t.Errorf("%+v", one.frame)
	}
	ids := c.wantTypes("b", "c")
	c.send("UNSUBSCRIBE", "id:in\\cbox", "receipt:off")
	c.receipt("off")
	w.raise("d")
	// Again in the same session, from an earlier place.
	c.done("SUBSCRIBE", "id:2", toInbox, "cursor:"+ids[0])
	c.wantTypes("c", "d")
	c.Close()

	c = w.enter("ada")
	if f := c.done("SUBSCRIBE", "id:1", toInbox, "cursor:"+one.frame.header["message-id"]); f.header["resumed"] != "true" {
		t.Errorf("it goes on with %+v", f)
	}
	c.wantTypes("b", "c", "d")
	c.Close()

	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "cursor:"+began.header["cursor"])
	c.wantTypes("a", "b", "c", "d")

	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "snapshot:active")
	c.wantTypes("a", "b", "c", "d")
	w.raise("e")
	c.wantTypes("e")
}

func TestAnInboxIsTheUsersOwn(t *testing.T) {
	w := newWorld(t, settings{})
	eve := w.enter("eve")
	eve.done("SUBSCRIBE", "id:1", toInbox, "cursor:earliest")
	ada := w.enter("ada")
	ada.done("SUBSCRIBE", "id:1", toInbox)
	w.raise("a")
	id := ada.wantTypes("a")[0]
	eve.done("UNSUBSCRIBE", "id:1")
	eve.done("SUBSCRIBE", "id:1", toInbox, "cursor:"+id)
	if e := eve.entry(); e.Gap.Reason != "membership" {
		t.Errorf("a foreign cursor gives %+v", e)
	}
}

func TestGapsAreTold(t *testing.T) {
	w := newWorld(t, settings{})
	w.raise("a")
	c := w.enter("ada")
	if f := c.done("SUBSCRIBE", "id:1", toInbox, "cursor:nonsense"); f.header["resumed"] != "false" {
		t.Errorf("%+v", f)
	}
	e := c.entry()
	if e.Type != "gap" || e.Gap.Reason != "epoch" || e.frame.header["message-id"] != "nonsense" ||
		e.frame.header["gap"] != `{"reason":"epoch","from":"nonsense","lost":null,"repair":"snapshot"}` {
		t.Errorf("%+v", e.frame)
	}
	c.wantTypes("a")
	// Within a session: the groups change.
	w.must(w.dir.PutUser(t.Context(), "ada", []string{"crew", "more"}))
	if e := c.entry(); e.Gap.Reason != "membership" || e.frame.header["message-id"] == "" {
		t.Errorf("%+v", e.frame)
	}
	c.wantTypes("a")

	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "cursor:\\n\\c/")
	if e := c.entry(); e.Gap.Reason != "epoch" || e.frame.header["message-id"] != "lost.0." {
		t.Errorf("%+v", e.frame)
	}
}

func TestCountersAloneAreToldToWhoAsks(t *testing.T) {
	w := newWorld(t, settings{})
	plain, asks := w.enter("ada"), w.enter("ada")
	plain.done("SUBSCRIBE", "id:1", toInbox)
	asks.done("SUBSCRIBE", "id:1", toInbox, "counts:true")
	if e := asks.entry(); e.Type != "counts" || !strings.Contains(e.frame.body, `"unread":0,`) {
		t.Errorf("%+v", e.frame)
	}
	w.raise("a")
	plain.wantTypes("a")
	asks.wantTypes("a")
	if e := asks.entry(); e.Type != "counts" || !strings.Contains(e.frame.body, `"unread":1,`) {
		t.Errorf("%+v", e.frame)
	}
	w.view.SetMark("ada", inbox.Mark{Rev: 1, Upto: w.view.Head()})
	e := asks.entry()
	if e.Type != "counts" || e.frame.header["counts"] != "true" || e.frame.header["unread"] != "0" || !strings.Contains(e.frame.body, `"unread":0,"active":{"critical":0,"major":1`) {
		t.Errorf("%+v", e.frame)
	}
	w.raise("b")
	plain.wantTypes("b")
}

// wantPoint waits until the user's resume point is this one.
func (w *world) wantPoint(want string) {
	w.t.Helper()
	for end := time.Now().Add(patience); ; {
		w.places.mu.Lock()
		got := w.places.of[point]
		w.places.mu.Unlock()
		switch {
		case got == want:
			return
		case time.Now().After(end):
			w.t.Fatalf("the resume point is %q, want %q", got, want)
		}
		timer := time.NewTimer(time.Millisecond)
		<-timer.C
	}
}

func TestAcknowledgingAllUpToOne(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	began := c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	w.raise("a", "b", "c", "d")
	ids := c.wantTypes("a", "b", "c", "d")
	w.wantPoint(began.header["cursor"])
	c.done("ACK", "id:"+ids[2])
	w.wantPoint(ids[2])
	c.done("ACK", "id:"+ids[0]) // had already
	c.done("ACK", "id:nonsense")
	c.done("NACK", "id:"+ids[3])
	w.wantPoint(ids[2])
	c.Close()

	// Nothing is acknowledged automatically, and a cursor comes first.
	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	d := c.entry()
	if d.Alarm.Type != "d" || d.frame.header["ack"] != d.frame.header["message-id"] {
		t.Errorf("%+v", d.frame)
	}
	c.done("UNSUBSCRIBE", "id:1")
	c.done("SUBSCRIBE", "id:2", toInbox, "ack:client", "cursor:"+ids[0])
	c.wantTypes("b", "c", "d")
	w.wantPoint(ids[2])
	c.done("ACK", "id:"+ids[1]) // a place before the point moves it nowhere
	w.wantPoint(ids[2])
	c.done("ACK", "id:"+ids[3])
	w.wantPoint(ids[3])
	c.Close()

	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	w.raise("e")
	c.wantTypes("e")
	auto := w.enter("ada")
	auto.done("SUBSCRIBE", "id:1", toInbox)
	w.raise("f")
	auto.wantTypes("f")
}

func TestAcknowledgingOneByOne(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	began := c.done("SUBSCRIBE", "id:1", toInbox, "ack:client-individual")
	w.raise("a", "b", "c", "d")
	ids := c.wantTypes("a", "b", "c", "d")
	c.done("ACK", "id:"+ids[2])
	c.done("ACK", "id:"+ids[1])
	c.done("ACK", "id:"+ids[1])
	w.wantPoint(began.header["cursor"]) // below the first, which is not acknowledged
	c.done("ACK", "id:"+ids[0])
	w.wantPoint(ids[2])
	c.Close()
	c = w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client-individual")
	c.wantTypes("d")
}

// Who has never acknowledged anything loses nothing either.
func TestWhatIsNotAcknowledgedComesAgain(t *testing.T) {
	w := newWorld(t, settings{})
	for range 3 {
		c := w.enter("ada")
		c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
		c.done("DISCONNECT")
		c.wantClose(stomp.CodeNormal)
		wait(t, "the end", w.ended)
	}
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	w.raise("a", "b")
	c.wantTypes("a", "b")
	for range 2 {
		c.Close()
		c = w.enter("ada")
		c.done("SUBSCRIBE", "id:1", toInbox, "ack:client-individual")
		c.wantTypes("a", "b")
	}
}

// After a gap that starts over what came before is not waited for; the point is
// where the new beginning has been acknowledged to.
func TestAGapStartsAcknowledgementsOver(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client-individual")
	w.raise("a", "b")
	c.wantTypes("a", "b")
	w.must(w.dir.PutUser(t.Context(), "ada", []string{"crew", "more"}))
	gap := c.entry()
	if gap.Gap.Reason != "membership" || gap.frame.header["ack"] != "gap" {
		t.Fatalf("%+v", gap.frame)
	}
	ids := c.wantTypes("a", "b")
	c.done("ACK", "id:gap")
	c.done("ACK", "id:"+ids[0])
	c.done("ACK", "id:"+ids[1])
	w.wantPoint(ids[1])
}

// One whose client acknowledges everything stands where others' entries have
// brought him when he leaves.
func TestWhoHasAcknowledgedAllRestsWhereHeStands(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	w.raise("a")
	c.done("ACK", "id:"+c.wantTypes("a")[0])
	w.must(w.dir.PutDevice(t.Context(), "d2", []string{"others"}))
	c.done("UNSUBSCRIBE", "id:1")
	c.done("SUBSCRIBE", "id:2", toInbox, "ack:client")
	w.raise("b")
	b := c.wantTypes("b")[0]
	c.done("ACK", "id:"+b)
	c.done("DISCONNECT")
	wait(t, "the end", w.ended)
	w.wantPoint(b)
}

func TestResumePointsThatCannotBeStored(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada")
	c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
	w.raise("a")
	id := c.wantTypes("a")[0]
	w.places.fail(fmt.Errorf("store: %w", inbox.ErrUnavailable))
	c.send("ACK", "id:"+id, "receipt:never")
	f := c.wantError("The storage does not answer", stomp.CodeRotate)
	if f.header["receipt-id"] != "never" || f.header["retry-after"] != "1" {
		t.Errorf("%+v", f)
	}
	c = w.enter("ada")
	c.send("SUBSCRIBE", "id:1", toInbox, "ack:client")
	c.wantError("The storage does not answer", stomp.CodeRotate)
	w.places.fail(nil)
	w.wantPoint(id) // it was tried again
}

// Acknowledging in a rush costs a few writes, and memory only for what is not
// acknowledged.
func TestAFloodIsAcknowledged(t *testing.T) {
	w := newWorld(t, settings{})
	const n = 3000
	for _, mode := range []string{"client", "client-individual"} {
		c := w.enter("ada")
		c.done("SUBSCRIBE", "id:1", toInbox, "ack:"+mode)
		go func() { // ends when all are written
			wr := inboxtest.NewWriter(t, w.log)
			for i := range n {
				wr.Alarm(fmt.Sprint(mode, i), inbox.UserAudience("ada"), inbox.Major, fmt.Sprint(i))
			}
		}()
		var last string
		for range n {
			last = c.entry().frame.header["message-id"]
			c.send("ACK", "id:"+last)
		}
		c.done("ACK", "id:"+last)
		w.wantPoint(last)
		c.Close()
		wait(t, "the end", w.ended)
	}
	w.places.mu.Lock()
	defer w.places.mu.Unlock()
	if w.places.writes > 2*n {
		t.Errorf("%d writes", w.places.writes)
	}
}

// In 1.0 and 1.1 ACK names the message-id.
func TestAcknowledgingInOlderVersions(t *testing.T) {
	for _, v := range []string{"1.0", "1.1"} {
		w := newWorld(t, settings{})
		c := w.dial(nil)
		c.say("CONNECT\naccept-version:" + v + "\npasscode:" + w.token(auth.Issue{User: "ada"}) + "\n\n\x00")
		c.want("CONNECTED")
		c.done("SUBSCRIBE", "id:1", toInbox, "ack:client")
		w.raise("a")
		a := c.entry().frame
		if _, has := a.header["ack"]; has || a.header["subscription"] != "1" {
			t.Errorf("%s: %+v", v, a)
		}
		c.done("ACK", "subscription:1", "message-id:"+a.header["message-id"])
		w.wantPoint(a.header["message-id"])
		if v == "1.1" {
			continue
		}
		// In 1.0 a subscription needs no id.
		c.done("UNSUBSCRIBE", "id:1")
		c.done("SUBSCRIBE", toInbox)
		w.raise("b")
		b := c.entry().frame
		if _, has := b.header["subscription"]; has {
			t.Errorf("%+v", b)
		}
		c.done("UNSUBSCRIBE", toInbox)
	}
}
