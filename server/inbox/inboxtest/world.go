// Package inboxtest holds the scenarios that every inbox.Log must pass, with a
// view and readers on top of it.
package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"tocsin/server/inbox"
)

// patience bounds every wait of the scenarios.
const patience = 30 * time.Second

// A Writer appends to a log as a node does: it knows the newest entry of each
// subject and lets entries inherit from it.
type Writer struct {
	T     testing.TB
	Log   inbox.Log
	Epoch string
	Now   time.Time

	newest map[string]inbox.Entry
}

// NewWriter begins an epoch and returns its writer.
func NewWriter(t testing.TB, log inbox.Log) *Writer {
	t.Helper()
	w := &Writer{T: t, Log: log, Now: time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC), newest: map[string]inbox.Entry{}}
	var err error
	if w.Epoch, err = inbox.BeginEpoch(t.Context(), log, w.Now); err != nil {
		t.Fatalf("begin an epoch: %v", err)
	}
	return w
}

// Append stores the entry on top of its subject's newest one.
func (w *Writer) Append(e inbox.Entry, announces bool) uint64 {
	w.T.Helper()
	prev := w.newest[e.Subject]
	w.Now = w.Now.Add(time.Millisecond)
	e.Epoch = w.Epoch
	e.Succeed(&prev, announces, w.Now, 0)
	r := w.Log.Append(w.T.Context(), inbox.Proposal{Subject: e.Subject, Expect: prev.Seq, Data: e.Encode()})[0]
	if r.Err != nil {
		w.T.Fatalf("append to %s: %v", e.Subject, r.Err)
	}
	e.Seq = r.Seq
	for i := range e.Left {
		if e.Left[i].Seq == 0 {
			e.Left[i].Seq = r.Seq
		}
	}
	w.newest[e.Subject] = e
	return r.Seq
}

// Route stores a route of one group and returns its audience.
func (w *Writer) Route(group string) inbox.Audience {
	name := inbox.Route([]string{group})
	w.Append(inbox.Entry{Subject: inbox.RouteSubject(name), Groups: []string{group}, Quiet: true}, false)
	return inbox.RouteAudience(name)
}

// Member stores whether the user belongs to the group.
func (w *Writer) Member(group, user string, is bool) uint64 {
	return w.Append(inbox.Entry{Subject: inbox.MemberSubject(group, user), Active: is, Quiet: true}, false)
}

// Device stores the groups of a device.
func (w *Writer) Device(name string, groups ...string) uint64 {
	return w.Append(inbox.Entry{Subject: inbox.DeviceSubject(name), Groups: groups, Quiet: true}, false)
}

// Alarm stores a change of a device's only alarm; body is found in what readers
// get, severity 0 means that it is over and acknowledged.
func (w *Writer) Alarm(device string, to inbox.Audience, s inbox.Severity, body string) uint64 {
	return w.Append(alarmEntry(device, to, s, body), s != 0)
}

// Quiet stores a change that readers are not shown.
func (w *Writer) Quiet(device string, to inbox.Audience, s inbox.Severity, body string) uint64 {
	e := alarmEntry(device, to, s, body)
	e.Quiet = true
	return w.Append(e, false)
}

func alarmEntry(device string, to inbox.Audience, s inbox.Severity, body string) inbox.Entry {
	e := inbox.Entry{
		Subject: inbox.AlarmSubject(device, "t", ""), Audience: to, Tag: "1.0",
		Severity: s, Active: s != 0, Body: fmt.Appendf(nil, `{"body":%q}`, body),
	}
	if s == 0 {
		e.Severity, e.Acked = inbox.Minor, true
	}
	return e
}

// Notice stores a notice.
func (w *Writer) Notice(to inbox.Audience, id, body string) uint64 {
	return w.Append(inbox.Entry{Subject: inbox.NoticeSubject(to, id), Audience: to, Body: fmt.Appendf(nil, `{"body":%q}`, body)}, true)
}

// Purge notes in the log that everything below is gone, then removes it.
func (w *Writer) Purge(below uint64) {
	w.T.Helper()
	w.Append(inbox.Entry{Subject: inbox.SubjectPurged, Purged: below, Quiet: true}, false)
	if err := w.Log.Purge(w.T.Context(), below); err != nil {
		w.T.Fatalf("purge below %d: %v", below, err)
	}
}

// StartView runs a view of the source until the test ends or stop is called.
func StartView(t testing.TB, source inbox.Source, o inbox.ViewOptions) (v *inbox.View, stop func()) {
	t.Helper()
	v = inbox.NewView(source, o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { // ends with stop
		defer close(done)
		v.Run(ctx)
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	select {
	case <-v.Ready():
	case <-time.After(patience):
		t.Fatal("the view did not become ready")
	}
	return v, stop
}

// Reach waits until the view has applied the sequence.
func Reach(t testing.TB, v *inbox.View, seq uint64) {
	t.Helper()
	if err := v.Wait(t.Context(), seq); err != nil {
		t.Fatalf("wait for the head %d: %v", seq, err)
	}
}

// Open opens a reader and fails the test on an error.
func Open(t testing.TB, v *inbox.View, user string, start inbox.Start, groups ...string) *inbox.Reader {
	t.Helper()
	r, err := v.Open(user, groups, start)
	if err != nil {
		t.Fatalf("open %s at %+v: %v", user, start, err)
	}
	t.Cleanup(r.Close)
	return r
}

// Got is what a client made of the batches he got.
type Got struct {
	Bodies  []string // of the entries, or "removed:<id>"
	Gaps    []inbox.GapReason
	Cursor  string
	Counts  inbox.Counts
	Batches int
}

// Add takes a batch, and wants its cursors to rise unless a gap starts over.
func (g *Got) Add(t testing.TB, b inbox.Batch) {
	t.Helper()
	if b.Gap != nil {
		g.Gaps = append(g.Gaps, b.Gap.Reason)
	}
	last := uint64(0)
	for i := range b.Items {
		item := &b.Items[i]
		if item.At <= last {
			t.Fatalf("cursor %d came after %d", item.At, last)
		}
		last = item.At
		g.Bodies = append(g.Bodies, bodyOf(string(item.AppendJSON(nil))))
		if _, err := inbox.ParseCursor(b.CursorAt(i)); err != nil {
			t.Fatalf("cursor %q: %v", b.CursorAt(i), err)
		}
	}
	g.Cursor, g.Counts = b.Cursor, b.Counts
	g.Batches++
}

func bodyOf(entry string) string {
	if _, after, ok := strings.Cut(entry, `"alarm.removed"`); ok {
		_, id, _ := strings.Cut(after, `"id":"`)
		id, _, _ = strings.Cut(id, `"`)
		return "removed:" + id
	}
	_, after, _ := strings.Cut(entry, `"body":"`)
	body, _, _ := strings.Cut(after, `"`)
	return body
}

// Drain reads with one reader until nothing is left.
func Drain(t testing.TB, r *inbox.Reader, limit int) *Got {
	t.Helper()
	g := &Got{}
	for {
		b, err := r.Read(t.Context(), limit)
		if err != nil {
			t.Fatalf("read: %v", err)
		}
		g.Add(t, b)
		if !b.More {
			return g
		}
		if g.Batches > 100_000 {
			t.Fatal("the reader does not come to an end")
		}
	}
}

// Poll reads as a client without a connection does: a new reader each time, from
// the cursor of the answer before.
func Poll(t testing.TB, v *inbox.View, user string, start inbox.Start, limit int, groups ...string) *Got {
	t.Helper()
	g := &Got{}
	for {
		r, err := v.Open(user, groups, start)
		if err != nil {
			t.Fatalf("open at %q: %v", start.Cursor, err)
		}
		b, err := r.Read(t.Context(), limit)
		r.Close()
		if err != nil {
			t.Fatalf("read at %q: %v", start.Cursor, err)
		}
		g.Add(t, b)
		start = inbox.Start{Cursor: b.Cursor}
		if !b.More {
			return g
		}
		if g.Batches > 100_000 {
			t.Fatal("the poller does not come to an end")
		}
	}
}

// next waits for a batch.
func next(t testing.TB, r *inbox.Reader, limit int) (inbox.Batch, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b, err := r.Next(ctx, limit)
	if errors.Is(err, context.DeadlineExceeded) {
		return b, fmt.Errorf("nothing came in %v: %w", patience, err)
	}
	return b, err
}
