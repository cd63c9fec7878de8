package native_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"tocsin/server/auth"
	"tocsin/server/inbox"
	"tocsin/transports"
)

func TestResume(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada", "")
	c.want("hello")
	w.raise("d1", "one")
	cursor := c.wantTypes("one")
	c.Close()
	w.raise("d1", "two")
	w.raise("elsewhere", "not-hers")
	w.raise("d1", "three")
	c = w.enter("ada", `,"cursor":"`+cursor+`","snapshot":"active"`)
	if f := c.want("hello"); !f.Resumed || f.Cursor != cursor {
		t.Errorf("the hello %s", f.text)
	}
	cursor = c.wantTypes("two", "three")

	// With nothing new, the same cursor is good for ever.
	c = w.enter("ada", `,"cursor":"`+cursor+`"`)
	if f := c.want("hello"); !f.Resumed || *f.Unread != 3 {
		t.Errorf("the hello %s", f.text)
	}
	w.raise("d1", "four")
	c.wantTypes("four")
}

func TestGapsAndSnapshots(t *testing.T) {
	w := newWorld(t, settings{view: inbox.ViewOptions{Window: 1}})
	w.raise("d1", "one")
	c := w.enter("ada", `,"snapshot":"active"`)
	if f := c.want("hello"); f.Resumed {
		t.Errorf("the hello %s", f.text)
	}
	cursor := c.wantTypes("one")
	two := w.raise("d1", "two")
	_, err := w.o.Commands.Do(t.Context(), transports.Client{User: "ada"}, transports.Command{Op: "ack", Alarm: two.ID})
	w.must(err)
	w.raise("d1", "three")

	c = w.enter("ada", `,"cursor":"`+cursor+`"`)
	if f := c.want("hello"); f.Resumed {
		t.Errorf("the hello %s", f.text)
	}
	if f := c.want("gap"); f.Gap.Reason != "compacted" || f.Gap.From != cursor || f.Gap.Repair != "newest" {
		t.Errorf("the gap %s", f.text)
	}
	c.wantTypes("two", "three")

	for name, bad := range map[string]string{"bad": "not.a.cursor", "unprintable": `\"\u0000`, "long": strings.Repeat("x", 1000), "foreign": "abc.1.def"} {
		c = w.enter("ada", `,"cursor":"`+bad+`"`)
		c.want("hello")
		if f := c.want("gap"); f.Gap.Repair != "snapshot" || strings.ContainsAny(f.Gap.From, `"`) {
			t.Errorf("%s: the gap %s", name, f.text)
		}
		c.wantTypes("one", "two", "three")
	}

	// A gap that nothing follows ends with a cursor all the same.
	c = w.enter("eve", `,"cursor":"`+cursor+`"`)
	c.want("hello")
	c.want("gap")
	if f := c.want("entries"); len(f.Entries) > 0 || f.Cursor == "" || f.Cursor == cursor {
		t.Errorf("after the gap %s", f.text)
	}
}

func TestMembershipChangesWhileOpen(t *testing.T) {
	w := newWorld(t, settings{})
	w.raise("d1", "one")
	c := w.enter("eve", "")
	c.want("hello")
	w.must(w.dir.PutUser(t.Context(), "eve", []string{"crew"}))
	if f := c.want("gap"); f.Gap.Reason != "membership" {
		t.Errorf("the gap %s", f.text)
	}
	c.wantTypes("one")
	w.must(w.dir.PutUser(t.Context(), "eve", nil))
	c.want("gap")
	if f := c.want("entries"); len(f.Entries) > 0 || f.Active["major"] != 0 {
		t.Errorf("after leaving %s", f.text)
	}
}

func TestCommands(t *testing.T) {
	w := newWorld(t, settings{})
	one := w.raise("d1", "one")
	hidden := w.raise("elsewhere", "hidden")
	c := w.dial("")
	c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "ada", Scope: "inbox publish"}) + `"}`)
	cursor := c.want("hello").Cursor
	reader := w.enter("bob", "")
	reader.want("hello")
	tests := []struct {
		name, say string
		check     func(frame) bool
	}{
		{"ack of another revision", `{"op":"ack","alarm":"` + one.ID + `","rev":7,"ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 412 }},
		{"ack", `{"op":"ack","alarm":"` + one.ID + `","rev":1,"note":"on it","ref":"?"}`,
			func(f frame) bool { return f.Alarm.Acked && f.Alarm.Rev == 2 && f.Alarm.ID == one.ID }},
		{"ack of what is not hers", `{"op":"ack","alarm":"` + hidden.ID + `","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 404 }},
		{"ack of nothing", `{"op":"ack","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "alarm" }},
		{"ack with a long note", `{"op":"ack","alarm":"` + one.ID + `","note":"` + strings.Repeat("x", 2000) + `","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 422 && f.Problem.Field == "note" }},
		{"ack of many", `{"op":"ack","alarms":["` + one.ID + `","` + hidden.ID + `"],"ref":"?"}`,
			func(f frame) bool {
				return len(f.Results) == 2 && f.Results[0].Alarm.Acked && f.Results[1].Problem.Status == 404 && f.Results[1].ID == hidden.ID
			}},
		{"ack of many and one", `{"op":"ack","alarm":"` + one.ID + `","alarms":["` + one.ID + `"],"ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "alarms" }},
		{"comment on many", `{"op":"comment","alarms":["` + one.ID + `"],"note":"x","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "alarms" }},
		{"unack", `{"op":"unack","alarm":"` + one.ID + `","rev":2,"ref":"?"}`,
			func(f frame) bool { return !f.Alarm.Acked && f.Alarm.Rev == 3 }},
		{"comment", `{"op":"comment","alarm":"` + one.ID + `","note":"hm","ref":"?"}`,
			func(f frame) bool { return f.Alarm.Rev == 4 && f.Alarm.Comments == 1 }},
		{"comment without words", `{"op":"comment","alarm":"` + one.ID + `","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 422 && f.Problem.Field == "note" }},
		{"shelve", `{"op":"shelve","alarm":"` + one.ID + `","until":"` + time.Now().Add(time.Minute).Format(time.RFC3339) + `","ref":"?"}`,
			func(f frame) bool { return f.Alarm.Rev == 5 && f.Alarm.ShelvedUntil != nil }},
		{"shelve until some time", `{"op":"shelve","alarm":"` + one.ID + `","until":"tomorrow","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "until" }},
		{"unshelve", `{"op":"unshelve","alarm":"` + one.ID + `","ref":"?"}`,
			func(f frame) bool { return f.Alarm.Rev == 6 && f.Alarm.ShelvedUntil == nil }},
		{"ack again", `{"op":"ack","alarm":"` + one.ID + `","ref":"?"}`,
			func(f frame) bool { return f.Alarm.Acked && f.Alarm.Rev == 7 }},
		{"read by id", `{"op":"read","ids":["` + one.ID + `"],"ref":"?"}`,
			func(f frame) bool { return *f.Unread == 0 && f.Active["major"] == 1 }},
		{"read up to a cursor", `{"op":"read","upto":"` + cursor + `","ref":"?"}`,
			func(f frame) bool { return *f.Unread == 0 }},
		{"read of nothing", `{"op":"read","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 }},
		{"read of the wrong type", `{"op":"read","ids":"all","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "ids" }},
		{"publish", `{"op":"publish","ref":"?","alarms":[{"device":"d1","type":"two","severity":"minor"},{"device":"d1"},{"device":"d1","type":"two","state":"cleared"}]}`,
			func(f frame) bool {
				return len(f.Results) == 3 && f.Results[0].Status == "raised" && f.Results[1].Problem.Status == 422 && f.Results[2].Status == "cleared"
			}},
		{"publish of one", `{"op":"publish","ref":"?","alarms":{}}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "alarms" }},
		{"an unknown op", `{"op":"dance","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "op" }},
		{"a pong", `{"op":"pong","ref":"?","later":{}}`,
			func(f frame) bool { return f.Op == "ok" }},
		{"a bad snapshot", `{"op":"auth","snapshot":"all","ref":"?"}`,
			func(f frame) bool { return f.Problem.Status == 400 && f.Problem.Field == "snapshot" }},
	}
	for i, test := range tests {
		ref := fmt.Sprint("r", i)
		c.say(strings.Replace(test.say, `"?"`, `"`+ref+`"`, 1))
		f := c.answer(ref)
		if (f.Op == "error") != (f.Problem != nil) || !test.check(f) {
			t.Errorf("%s: %s", test.name, f.text)
		}
	}
	// What one does, the others get.
	f := reader.want("entries")
	if e := f.Entries[0]; e.Type != "alarm.acked" || e.By != "ada" || e.Alarm.Rev != 2 {
		t.Errorf("bob got %s", f.text)
	}
	reader.say(`{"op":"publish","ref":1,"alarms":[{"device":"d1","type":"x","severity":"minor"}]}`)
	for f := reader.next(); ; f = reader.next() {
		if f.Ref == 1.0 {
			if f.Op != "error" || f.Problem.Status != 403 {
				t.Errorf("publishing without the scope: %s", f.text)
			}
			break
		}
	}
}

func TestReadReachesTheUsersOtherConnections(t *testing.T) {
	w := newWorld(t, settings{})
	w.raise("d1", "one")
	a, b, bob := w.enter("ada", ""), w.enter("ada", ""), w.enter("bob", "")
	for _, c := range []*client{a, b, bob} {
		if f := c.want("hello"); *f.Unread != 1 {
			t.Errorf("the hello %s", f.text)
		}
	}
	a.say(`{"op":"read","upto":"latest"}`)
	if f := b.want("counts"); *f.Unread != 0 || f.Active["major"] != 1 {
		t.Errorf("the counts %s", f.text)
	}
	w.raise("d1", "two")
	if f := bob.want("entries"); *f.Unread != 2 {
		t.Errorf("bob has %s", f.text)
	}
}

func TestMistakes(t *testing.T) {
	w := newWorld(t, settings{})
	garbage := []string{``, `x`, `null`, `[]`, `{}`, `"auth"`, `{"op":7}`, `{"op":""}`, `{"op":"pong","ref":{}}`, `{"op":"pong","ref":"` + strings.Repeat("x", 200) + `"}`}
	for _, begin := range []func(*client){
		func(*client) {},
		func(c *client) {
			c.say(`{"op":"auth","token":"` + w.token(auth.Issue{User: "ada"}) + `"}`)
			c.want("hello")
		},
	} {
		c := w.dial("")
		begin(c)
		for i, text := range garbage[:9] {
			c.say(text)
			if f := c.want("error"); f.Problem.Status != 400 || f.Ref != nil {
				t.Errorf("%d %q: %s", i, text, f.text)
			}
		}
		// One good frame makes up for it; what a later version may say is none.
		c.say(`{"op":"pong"}`, `{"op":"later","rev":"x"}`, `{"op":"pong","ref":null}`)
		for range 9 {
			c.say(`x`)
			c.want("error")
		}
		c.say(`x`)
		c.wantClose(4429)
	}
	c := w.dial("")
	c.say(garbage...)
	if frames := c.wantClose(4429); len(frames) != len(garbage) {
		t.Errorf("%d answers", len(frames))
	}
}

func TestReasons(t *testing.T) {
	for reason, code := range map[transports.Reason]int{
		transports.Drain: 1001, transports.Revoked: 4401, transports.Superseded: 4409,
		transports.Rotate: 4011, transports.Stale: 4011,
	} {
		w := newWorld(t, settings{limits: transports.Limits{Retry: time.Second}})
		open, waiting := w.enter("ada", ""), w.dial("")
		open.want("hello")
		w.end(reason)
		for _, c := range []*client{open, waiting} {
			c.wantBye(string(reason), code)
			if err := wait(t, "the end", w.ended); !errors.Is(err, reason) {
				t.Errorf("%s: it ended with %v", reason, err)
			}
		}
	}
}

func TestClientThatGoes(t *testing.T) {
	w := newWorld(t, settings{})
	c := w.enter("ada", "")
	c.want("hello")
	_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	c.wantClose(1000)
	if err := wait(t, "the end", w.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	c = w.dial("")
	c.Close()
	if err := wait(t, "the end", w.ended); !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

func TestStreamRotates(t *testing.T) {
	w := newWorld(t, settings{limits: transports.Limits{Rotate: 100 * time.Millisecond}})
	c := w.enter("ada", "")
	c.wantBye("rotate", 4011)
}

func TestPingMovesTheCursor(t *testing.T) {
	w := newWorld(t, settings{limits: transports.Limits{Ping: 30 * time.Millisecond}})
	c := w.enter("ada", "")
	c.want("hello")
	first := c.want("ping").Cursor
	w.raise("elsewhere", "not-hers")
	for c.want("ping").Cursor == first {
	}
	c.say(`{"op":"pong"}`)
	c.want("ping")
}

func TestBatchIsOneFrame(t *testing.T) {
	w := newWorld(t, settings{})
	start := w.enter("ada", "").want("hello").Cursor
	for i := range 250 {
		w.raise("d1", fmt.Sprint("t", i))
	}
	c := w.enter("ada", `,"cursor":"`+start+`"`)
	c.want("hello")
	total, cursors := 0, []string{start}
	for total < 250 {
		f := c.want("entries")
		if len(f.Entries) > 100 || len(f.text) > 80<<10 || len(f.Entries) < 50 {
			t.Errorf("a frame of %d entries and %d bytes", len(f.Entries), len(f.text))
		}
		for _, e := range f.Entries {
			if e.Alarm.Type != fmt.Sprint("t", total) {
				t.Fatalf("%s came as number %d", e.Alarm.Type, total)
			}
			total++
		}
		cursors = append(cursors, f.Cursor)
	}
	// Every cursor on the way is good.
	for _, cursor := range cursors[:len(cursors)-1] {
		if f := w.enter("ada", `,"cursor":"`+cursor+`"`).want("hello"); !f.Resumed {
			t.Errorf("the cursor %s: %s", cursor, f.text)
		}
	}
}
