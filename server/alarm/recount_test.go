package alarm_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

// A recount counts a user's inbox from the log and his marks alone, by the words of
// the alarm model: it reads what entries say to readers, and nothing that the view
// makes of them.
type recount struct {
	next   uint64                 // of the log
	alarms map[string]countedItem // by subject
	groups map[string]bool        // the user's
	homes  map[string]inbox.Entry // of the devices
	upto   uint64                 // all announced so far is read
	read   map[string]uint64      // by subject: what was announced when it was read
}

type countedItem struct {
	alarm     alarm.Alarm
	announced uint64
	// held: reported for groups that are no longer its device's, and not yet moved.
	held bool
}

func (r *recount) follow(t *testing.T, log inbox.Source, user string) {
	t.Helper()
	err := log.Scan(t.Context(), inbox.Scan{From: r.next}, func(m inbox.Message) error {
		r.next = m.Seq + 1
		e, err := inbox.Decode(m)
		if err != nil {
			return err
		}
		_, _, _, is := inbox.ParseAlarmSubject(m.Subject)
		switch {
		case is && len(e.Body) > 0:
			now := countedItem{alarm: alarmOf(t, e), announced: r.alarms[m.Subject].announced}
			was := r.alarms[m.Subject].alarm
			newer := now.alarm.Occurrence > was.Occurrence
			if newer || rank(now.alarm.Severity) > rank(was.Severity) {
				now.announced = m.Seq
			}
			home := r.homes[inbox.DeviceSubject(now.alarm.Device)]
			now.held = (now.alarm.Active || !now.alarm.Acked) && len(home.Groups) > 0 && !slices.Equal(home.Groups, now.alarm.Groups)
			r.alarms[m.Subject] = now
		case strings.HasPrefix(m.Subject, "dir.d."):
			r.homes[m.Subject] = e
		case strings.HasPrefix(m.Subject, "dir.m.") && strings.HasSuffix(m.Subject, "."+user):
			r.groups[strings.Split(m.Subject, ".")[2]] = e.Active
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func rank(severity string) int {
	return slices.Index([]string{"", "indeterminate", "warning", "minor", "major", "critical"}, severity)
}

func (r *recount) counts() (c inbox.Counts) {
	for subject, i := range r.alarms {
		a := &i.alarm
		if i.held || !slices.ContainsFunc(a.Groups, func(g string) bool { return r.groups[g] }) {
			continue
		}
		if a.Active || !a.Acked {
			c.Active[rank(a.Severity)]++
		}
		if i.announced > r.upto && i.announced > r.read[subject] {
			c.Unread++
		}
	}
	return c
}

// A walk makes random changes as one node, for one user of three devices.
type walk struct {
	*node
	rng   *rand.Rand
	mark  aMark
	count recount
	ids   []string // of occurrences there were
	did   map[string]int
}

var walkGroups = []string{"a", "b", "c"}

func (w *walk) event(state string) alarm.Event {
	return alarm.Event{Device: fmt.Sprint("d", w.rng.IntN(3)), Type: fmt.Sprint("t", w.rng.IntN(3)), State: state,
		Severity: []string{"critical", "major", "minor", "warning", "indeterminate"}[w.rng.IntN(5)],
		Kind:     []string{"", "", "", "", alarm.KindMomentary}[w.rng.IntN(5)]}
}

func (w *walk) id() string {
	if len(w.ids) == 0 {
		return "none"
	}
	return w.ids[max(len(w.ids)-1-w.rng.IntN(12), 0)]
}

// steps are the changes, each as often as it stands there.
var steps = []struct {
	name string
	n    int
	do   func(w *walk)
}{
	{"raise", 10, func(w *walk) {
		if r := w.one(w.event("raised")); r.Status == alarm.StatusRaised {
			w.ids = append(w.ids, r.ID)
		} else if r.Status != alarm.StatusRepeated {
			w.t.Fatalf("a raise: %+v", r)
		}
	}},
	{"clear", 6, func(w *walk) { w.one(w.event("cleared")) }},
	{"command", 10, func(w *walk) {
		op := alarm.Ops[w.rng.IntN(len(alarm.Ops))]
		c := alarm.Command{Op: op, ID: w.id(), User: "chief", Groups: []string{"*"}, Note: "why"}
		if op == alarm.Shelve {
			c.Until = w.now.Add(time.Duration(1+w.rng.IntN(90)) * time.Second)
		}
		_, _ = w.engine.Do(w.t.Context(), c) // of a former occurrence it is refused
	}},
	{"read upto", 1, func(w *walk) {
		upto := inbox.Latest
		seq := w.view.Head()
		if w.rng.IntN(2) == 0 { // a place on the way
			seq = max(1, seq-min(seq, uint64(w.rng.IntN(20))))
			upto = inbox.Cursor{Epoch: w.view.Epoch(seq), Seq: seq, Groups: "x"}.String()
		}
		w.reads(upto, nil)
		w.count.upto = max(w.count.upto, seq)
	}},
	{"read ids", 4, func(w *walk) {
		id := w.id()
		w.reads("", []string{id})
		for subject, i := range w.count.alarms {
			visible := slices.ContainsFunc(i.alarm.Groups, func(g string) bool { return w.count.groups[g] })
			if i.alarm.ID == id && visible && !i.held {
				w.count.read[subject] = max(w.count.read[subject], i.announced)
			}
		}
	}},
	{"device", 2, func(w *walk) {
		device := fmt.Sprint("d", w.rng.IntN(3))
		var err error
		if n := w.rng.IntN(4); n < 3 {
			err = w.dir.PutDevice(w.t.Context(), device, walkGroups[n:min(n+1+w.rng.IntN(2), 3)])
		} else {
			err = w.dir.DeleteDevice(w.t.Context(), device)
		}
		w.must(err)
	}},
	{"user", 1, func(w *walk) {
		var groups []string
		for _, g := range append([]string{"unassigned"}, walkGroups...) {
			if w.rng.IntN(3) > 0 {
				groups = append(groups, g)
			}
		}
		w.must(w.dir.PutUser(w.t.Context(), "ann", groups))
	}},
	{"time", 4, func(w *walk) { w.pass(time.Duration(w.rng.IntN(40_000)) * time.Millisecond) }},
}

func (w *walk) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) reads(upto string, ids []string) {
	w.t.Helper()
	_, err := w.view.MarkRead(w.t.Context(), &w.mark, "ann", nil, upto, ids)
	w.must(err)
}

func (w *walk) step() string {
	total := 0
	for _, s := range steps {
		total += s.n
	}
	n := w.rng.IntN(total)
	for _, s := range steps {
		if n -= s.n; n < 0 {
			s.do(w)
			w.did[s.name]++
			return s.name
		}
	}
	panic("no step")
}

func TestRule9CountersEqualARecountAfterEachChange(t *testing.T) {
	for name, changes := range map[string]int{"memory": 10_000, "jetstream": 500} {
		t.Run(name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			t.Logf("seed %d", seed)
			w := &walk{node: newNodeWith(t, logs[name](t), alarm.Options{Fold: time.Minute, AutoClear: map[string]time.Duration{"t1": 3 * time.Minute}}),
				rng: rand.New(rand.NewPCG(seed, 9)), did: map[string]int{},
				count: recount{next: 1, alarms: map[string]countedItem{}, homes: map[string]inbox.Entry{}, groups: map[string]bool{}, read: map[string]uint64{}}}
			w.must(w.dir.PutUser(t.Context(), "ann", walkGroups))
			most := inbox.Counts{}
			for i := range changes {
				what := w.step()
				b, err := w.log.Bounds(t.Context())
				w.must(err)
				inboxtest.Reach(t, w.view, b.Last)
				w.count.follow(t, w.log, "ann")
				r := inboxtest.Open(t, w.view, "ann", inbox.Start{})
				got, err := r.Read(t.Context(), 1)
				w.must(err)
				r.Close()
				want := w.count.counts()
				got.Counts.Flood = inbox.Flood{} // has tests of its own
				if got.Counts != want {
					t.Fatalf("change %d, %s: the view counts %+v, a recount %+v of\n%+v", i, what, got.Counts, want, w.count)
				}
				most.Unread = max(most.Unread, want.Unread)
			}
			if t.Logf("%v, at most %d unread", w.did, most.Unread); len(w.did) != len(steps) || most.Unread < 5 {
				t.Errorf("the walk did not get around")
			}
			loaded, _ := inboxtest.StartView(t, w.log, inbox.ViewOptions{Unassigned: []string{"unassigned"}})
			loaded.SetMark("ann", w.mark.is)
			_, _, counts := texts(t, loaded, "ann", inbox.Start{})
			if counts.Flood = (inbox.Flood{}); counts != w.count.counts() {
				t.Errorf("a view that was loaded counts %+v, a recount %+v", counts, w.count.counts())
			}
		})
	}
}
