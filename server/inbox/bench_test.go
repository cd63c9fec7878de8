package inbox

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// The hot paths, each with its allocations: what a tail does once an entry, and
// what a reader does once a call. They work on a state that is filled directly;
// bench/ measures the same through a log and a server.

// benchGroups is how many groups share the alarms of a benchmark.
const benchGroups = 100

// A benchNode is a view with alarms that were applied to it one by one.
type benchNode struct {
	v     *View
	homes [benchGroups]Audience
	seq   uint64
}

// newBenchNode returns a node that holds this many open alarms.
func newBenchNode(b testing.TB, alarms int) *benchNode {
	b.Helper()
	n := &benchNode{v: NewView(&MemoryLog{}, ViewOptions{Window: 1 << 30})}
	for i := range n.homes {
		group := fmt.Sprint("g", i)
		name := Route([]string{group})
		n.homes[i] = RouteAudience(name)
		n.apply(&Entry{Subject: RouteSubject(name), Groups: []string{group}, Quiet: true}, nil)
	}
	for i := range alarms {
		e := n.alarm(i)
		n.apply(&e, e.Encode())
	}
	return n
}

// alarm is the first entry of the i-th alarm, which belongs to the group i modulo
// benchGroups; about 350 bytes.
func (n *benchNode) alarm(i int) Entry {
	return Entry{
		Subject: AlarmSubject(fmt.Sprint("device-", i), "overspeed", ""), Audience: n.homes[i%benchGroups],
		Tag: AlarmTag(1, time.UnixMilli(1_790_000_000_000)), Rev: 1, Status: "raised", Severity: Major, Active: true,
		Body: fmt.Appendf(nil, `{"type":"alarm.raised","time":"2026-11-21T02:00:00.250Z","by":"ingest","alarm":{"id":"%d","message":%q}}`,
			i, strings.Repeat("92 km/h in an 80 km/h zone, ", 6)),
	}
}

func (n *benchNode) apply(e *Entry, data []byte) {
	n.seq++
	e.Seq = n.seq
	n.v.advance(n.v.s, e, data)
}

// reader opens a reader of somebody in the groups.
func (n *benchNode) reader(b testing.TB, start Start, groups ...string) *Reader {
	b.Helper()
	r, err := n.v.Open("anna", groups, start)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(r.Close)
	return r
}

// cursor is the place from which anna has this many of the newest entries before
// her.
func (n *benchNode) cursor(b testing.TB, behind uint64, groups ...string) Cursor {
	b.Helper()
	r := n.reader(b, Start{}, groups...)
	if _, err := r.Read(b.Context(), 1); err != nil {
		b.Fatal(err)
	}
	c := r.pos
	c.Seq = n.seq - behind
	return c
}

// BenchmarkRead is a connection's reading: one reader, set back to where it was.
func BenchmarkRead(b *testing.B) {
	n := newBenchNode(b, 100_000)
	var fifty []string
	for i := range 50 {
		fifty = append(fifty, fmt.Sprint("g", benchGroups-1-i))
	}
	for _, c := range []struct {
		name   string
		groups []string
		behind uint64
		limit  int
		want   int
	}{
		{"nothing/1 group", []string{"g99"}, 0, 100, 0},
		{"nothing/50 groups", fifty, 0, 100, 0},
		{"1 entry/1 group", []string{"g99"}, 1, 100, 1},
		{"1 entry/50 groups", fifty, 1, 100, 1},
		{"500 entries/1 group", []string{"g99"}, 500 * benchGroups, 500, 500},
		{"500 entries/50 groups", fifty, 1000, 500, 500},
		{"500 entries/all groups", []string{AllGroups}, 500, 500, 500},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := n.reader(b, Start{}, c.groups...)
			from := n.cursor(b, c.behind, c.groups...)
			r.begun = true
			b.ReportAllocs()
			for b.Loop() {
				r.pos, r.seen, r.given = from, 0, ""
				batch, err := r.Read(b.Context(), c.limit)
				if err != nil || len(batch.Items) != c.want {
					b.Fatalf("%d items of %d, %v", len(batch.Items), c.want, err)
				}
			}
		})
	}
}

// BenchmarkShortPoll is a poll that finds nothing: a reader for one read.
func BenchmarkShortPoll(b *testing.B) {
	n := newBenchNode(b, 100_000)
	cursor := n.cursor(b, 0, "g99").String()
	b.ReportAllocs()
	for b.Loop() {
		r, err := n.v.Open("anna", []string{"g99"}, Start{Cursor: cursor})
		if err != nil {
			b.Fatal(err)
		}
		if batch, err := r.Read(b.Context(), 100); err != nil || len(batch.Items) != 0 || batch.Gap != nil {
			b.Fatalf("%+v, %v", batch, err)
		}
		r.Close()
	}
}

// BenchmarkSnapshot reads the first 1,000 of what is open; in one case 9 of 10
// alarms are closed and stand between them.
func BenchmarkSnapshot(b *testing.B) {
	for _, closed := range []int{0, 90} {
		b.Run(fmt.Sprint(closed, " % closed"), func(b *testing.B) {
			n := newBenchNode(b, 100_000)
			for i := range 100_000 {
				if i%100 < closed {
					e := n.alarm(i)
					e.Active, e.Acked, e.Announced = false, true, Never
					n.apply(&e, e.Encode())
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				r := n.reader(b, Start{Snapshot: true}, AllGroups)
				if batch, err := r.Read(b.Context(), 1000); err != nil || len(batch.Items) != 1000 {
					b.Fatalf("%d items, %v", len(batch.Items), err)
				}
			}
		})
	}
}

// BenchmarkCounts counts for a user whose mark is in the middle.
func BenchmarkCounts(b *testing.B) {
	n := newBenchNode(b, 100_000)
	for _, groups := range [][]string{{"g99"}, {AllGroups}} {
		b.Run(groups[0], func(b *testing.B) {
			m, mark := n.v.s.membership("anna", groups), Mark{Upto: n.seq / 2, Rev: 1}
			b.ReportAllocs()
			for b.Loop() {
				if c := n.v.s.counts(m, mark); c.Unread == 0 {
					b.Fatal("nothing is unread")
				}
			}
		})
	}
}

// BenchmarkApply is the tail's work for an entry: of an alarm that is new, and
// of one that changes.
func BenchmarkApply(b *testing.B) {
	b.Run("new", func(b *testing.B) {
		n := newBenchNode(b, 0)
		messages := make([]Message, b.N)
		for i := range messages {
			e := n.alarm(i)
			messages[i] = Message{Seq: n.seq + 1 + uint64(i), Subject: e.Subject, Data: e.Encode()}
		}
		benchApply(b, n, messages)
	})
	b.Run("change", func(b *testing.B) {
		const alarms = 10_000
		n := newBenchNode(b, alarms)
		messages := make([]Message, b.N)
		for i := range messages {
			e := n.alarm(i % alarms)
			e.Rev += uint64(i/alarms) + 1
			e.Announced = uint64(benchGroups + 1 + i%alarms)
			messages[i] = Message{Seq: n.seq + 1 + uint64(i), Subject: e.Subject, Data: e.Encode()}
		}
		benchApply(b, n, messages)
	})
	// Every entry moves its alarm in lists of 100,000.
	b.Run("change of place", func(b *testing.B) {
		const alarms = 100_000
		n := newBenchNode(b, alarms)
		messages := make([]Message, b.N)
		for i := range messages {
			e := n.alarm(i * 7919 % alarms)
			e.Rev += uint64(i/alarms) + 1
			e.Announced = uint64(benchGroups + 1 + i*7919%alarms)
			e.Active = i/alarms%2 == 1
			messages[i] = Message{Seq: n.seq + 1 + uint64(i), Subject: e.Subject, Data: e.Encode()}
		}
		benchApply(b, n, messages)
	})
}

func benchApply(b *testing.B, n *benchNode, messages []Message) {
	b.ReportAllocs()
	b.ResetTimer()
	for _, m := range messages {
		e, err := Decode(m)
		if err != nil {
			b.Fatal(err)
		}
		n.v.advance(n.v.s, &e, m.Data)
	}
}

// BenchmarkList lists 100,000 open alarms of one group.
func BenchmarkList(b *testing.B) {
	n := newBenchNode(b, 0)
	for i := range 100_000 {
		e := n.alarm(i)
		e.Audience = n.homes[0]
		e.Severity = Severities[i%len(Severities)]
		n.apply(&e, e.Encode())
	}
	page := func(b *testing.B, q Query) Listing {
		b.Helper()
		l, err := n.v.List(b.Context(), "anna", []string{"g0"}, q)
		if err != nil {
			b.Fatal(err)
		}
		return l
	}
	tenth := Query{}
	for range 9 {
		tenth.After = page(b, tenth).Next
	}
	for _, c := range []struct {
		name string
		q    Query
		want int
	}{
		{"first page", Query{}, 100},
		{"tenth page", tenth, 100},
		{"first page of 1,000", Query{Limit: MaxList}, MaxList},
		{"severity", Query{SeverityMin: Critical}, 100},
		{"device", Query{Device: "device-77777"}, 1},
		{"text, everywhere", Query{Text: "80 KM/H"}, 100},
		{"type, nowhere", Query{Type: "fuel"}, 0},
		{"text, nowhere", Query{Text: "fuel"}, 0},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if l := page(b, c.q); len(l.Bodies) != c.want {
					b.Fatalf("%d alarms, want %d", len(l.Bodies), c.want)
				}
			}
		})
	}
	// The tenth page of a list since whose first page every alarm has changed.
	b.Run("tenth page, 100,000 changes later", func(b *testing.B) {
		for i := range 100_000 {
			e := n.alarm(i)
			e.Audience, e.Severity, e.Announced = n.homes[0], Severities[(i+1)%len(Severities)], Never
			n.apply(&e, e.Encode())
		}
		b.ReportAllocs()
		for b.Loop() {
			if l := page(b, tenth); len(l.Bodies) != 100 {
				b.Fatalf("%d alarms", len(l.Bodies))
			}
		}
	})
}
