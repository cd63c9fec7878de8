package alarm_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/directory"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
	"tocsin/server/natslog"
)

// A node is an engine with what it works on, by default on a log in memory.
type node struct {
	t      testing.TB
	log    inbox.Log
	view   *inbox.View
	dir    *directory.Directory
	engine *alarm.Engine
	now    time.Time // the test's to set, while nothing runs
}

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func newNode(t testing.TB, log inbox.Log, trust bool) *node {
	t.Helper()
	return newNodeWith(t, log, alarm.Options{TrustDeviceTime: trust})
}

// newNodeWith starts a node; its clock stands at noon unless o has one.
func newNodeWith(t testing.TB, log inbox.Log, o alarm.Options) *node {
	t.Helper()
	epoch, err := inbox.BeginEpoch(t.Context(), log, noon)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, log: log, now: noon}
	// Nobody loses touch here, and months pass in some tests.
	n.view, _ = inboxtest.StartView(t, log, inbox.ViewOptions{Unassigned: []string{"unassigned"}, TouchCheck: time.Hour})
	n.dir = directory.New(directory.Options{Log: log, View: n.view, Epoch: epoch})
	o.Log, o.View, o.Router, o.Epoch, o.Unassigned = log, n.view, n.dir, epoch, []string{"unassigned"}
	if o.Now == nil {
		o.Now = func() time.Time { return n.now }
	}
	n.engine = alarm.New(o)
	return n
}

// logs are the kinds of log that the worker's tests run on.
var logs = map[string]func(t *testing.T) inbox.Log{
	"memory": func(*testing.T) inbox.Log { return &inbox.MemoryLog{} },
	"jetstream": func(t *testing.T) inbox.Log {
		l, err := natslog.Open(t.Context(), natslog.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(context.Background()) }) // the context of a test ends before its cleanup
		return l
	},
}

func (n *node) publish(events ...alarm.Event) []alarm.Result {
	n.t.Helper()
	results := n.engine.Publish(n.t.Context(), "tests", events)
	var last uint64
	for _, r := range results {
		last = max(last, r.Seq)
	}
	inboxtest.Reach(n.t, n.view, last)
	return results
}

func (n *node) one(e alarm.Event) alarm.Result {
	n.t.Helper()
	return n.publish(e)[0]
}

// get reads an alarm as one who sees everything.
func (n *node) get(id string) alarm.Alarm {
	n.t.Helper()
	a, err := n.engine.Get(n.t.Context(), "chief", []string{"*"}, id)
	if err != nil {
		n.t.Fatalf("get %q: %v", id, err)
	}
	return a
}

// do gives a command as one who sees everything.
func (n *node) do(c alarm.Command) alarm.Alarm {
	n.t.Helper()
	if c.User == "" {
		c.User = "chief"
	}
	c.Groups = []string{"*"}
	a, err := n.engine.Do(n.t.Context(), c)
	if err != nil {
		n.t.Fatalf("%s %s: %v", c.Op, c.ID, err)
	}
	return a
}

// pass lets time go by, and the worker do what is due then.
func (n *node) pass(d time.Duration) {
	n.t.Helper()
	n.now = n.now.Add(d)
	n.tick()
}

func (n *node) tick() {
	n.t.Helper()
	if err := n.engine.Tick(n.t.Context()); err != nil {
		n.t.Fatal(err)
	}
}

// entries are all of the alarms' in the log, in its order.
func entries(t testing.TB, log inbox.Source) (list []inbox.Entry) {
	t.Helper()
	err := log.Scan(t.Context(), inbox.Scan{}, func(m inbox.Message) error {
		if _, _, _, is := inbox.ParseAlarmSubject(m.Subject); !is {
			return nil
		}
		e, err := inbox.Decode(m)
		list = append(list, e)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// alarmOf is the alarm that an entry carries.
func alarmOf(t testing.TB, e inbox.Entry) (a alarm.Alarm) {
	t.Helper()
	if err := json.Unmarshal(alarm.Text(e.Body), &a); err != nil {
		t.Fatalf("entry %d: %v", e.Seq, err)
	}
	return a
}

// told are the entries that readers are shown when they come.
func told(t testing.TB, log inbox.Source) (list []inbox.Entry) {
	t.Helper()
	for _, e := range entries(t, log) {
		if !e.Quiet {
			list = append(list, e)
		}
	}
	return list
}

// texts are the entries of a batch after batch, from the start to the end.
func texts(t testing.TB, v *inbox.View, user string, start inbox.Start, groups ...string) (list []string, gaps []inbox.GapReason, counts inbox.Counts) {
	t.Helper()
	r := inboxtest.Open(t, v, user, start, groups...)
	for {
		b, err := r.Read(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if b.Gap != nil {
			gaps = append(gaps, b.Gap.Reason)
		}
		for i := range b.Items {
			list = append(list, string(b.Items[i].AppendJSON(nil)))
		}
		if !b.More {
			return list, gaps, b.Counts
		}
	}
}
