package inboxtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tocsin/server/inbox"
)

// listAgain shows what becomes of pages that no longer fit together.
func listAgain(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	v, stop := StartView(t, log, inbox.ViewOptions{Trail: 8})
	var last uint64
	for i := range 20 {
		last = w.Alarm(fmt.Sprint("d", i), a, inbox.Major, fmt.Sprint(i))
	}
	Reach(t, v, last)
	q := inbox.Query{Limit: 5}
	page := func(v *inbox.View, want error) string {
		t.Helper()
		l, err := v.List(t.Context(), "ann", nil, q)
		if !errors.Is(err, want) {
			t.Errorf("page after %q: %v, want %v", q.After, err, want)
		}
		return l.Next
	}
	q.After = page(v, nil)
	for i := range 8 {
		last = w.Alarm(fmt.Sprint("d", i), a, inbox.Critical, "worse")
	}
	Reach(t, v, last)
	page(v, nil) // eight changes are remembered
	Reach(t, v, w.Alarm("d9", a, inbox.Critical, "worse"))
	page(v, inbox.ErrListing)

	q.After = ""
	q.After = page(v, nil)
	Reach(t, v, w.Member("b", "ann", true))
	page(v, inbox.ErrListing)

	q.After = ""
	q.After = page(v, nil)
	stop()
	Reach(t, v, v.Head())
	w.Alarm("d9", a, inbox.Minor, "while it was away")
	again, _ := StartView(t, log, inbox.ViewOptions{})
	page(again, inbox.ErrListing)

	var field *inbox.FieldError
	for _, bad := range []inbox.Query{
		{After: "x"}, {After: strings.Replace(q.After, "1~", "2~", 1)}, {After: q.After + "~", Limit: 5},
		{After: q.After, State: inbox.ListAll}, {State: "open"}, {Limit: -1}, {Limit: inbox.MaxList + 1},
		{SeverityMin: inbox.Critical + 1}, {Text: strings.Repeat("x", inbox.MaxListText+1)},
	} {
		if _, err := again.List(t.Context(), "ann", nil, bad); !errors.As(err, &field) {
			t.Errorf("%+v: %v, want a FieldError", bad, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := again.List(ctx, "ann", nil, inbox.Query{}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// listText finds texts that stand escaped in the stored bodies, and those of closed
// alarms, which are in the log only.
func listText(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	v, _ := StartView(t, log, small)
	w.Member("a", "ann", true)
	put := func(device, typ, qualifier, message, attr string, acked bool) uint64 {
		b := inbox.AppendString([]byte(`{"type":"alarm.raised","alarm":{"message":`), message)
		b = append(inbox.AppendString(append(b, `,"attrs":{"key":`...), attr), `}}}`...)
		return w.Append(inbox.Entry{
			Subject: inbox.AlarmSubject(device, typ, qualifier), Audience: a, Tag: "1.0",
			Severity: inbox.Major, Active: !acked, Acked: acked, Body: b,
		}, true)
	}
	put("truck 1", "fuel.low", "tank/A", `5 < 10 & "dry" `+"\u2028", "Köln", false)
	put("truck 2", "door", "", "ÖFFNET", `C:\temp`, true)
	for i := range 50 {
		put(fmt.Sprint("filler", i), "t", "", "nothing", "", true)
	}
	Reach(t, v, put("truck 3", "t", "", "message", "alarm.raised", true))
	for text, want := range map[string]int{
		"TRUCK": 3, "fuel.LOW": 1, "tank/a": 1, `5 < 10 & "DRY"`: 1, "\u2028": 1, "kÖLN": 1, "öffnet": 1, `c:\T`: 1,
		"message": 1, "key": 0, "alarm.raised": 1, `u003c`: 0, `\\`: 0, "nothing": 50, "": 53,
	} {
		if got := listPages(t, v, "ann", inbox.Query{State: inbox.ListAll, Text: text, Limit: 7}, nil); len(got) != want {
			t.Errorf("%q finds %d: %v, want %d", text, len(got), got, want)
		}
	}
}

// listBudget shows that a page ends, and says so, before it has read too much.
func listBudget(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	v, _ := StartView(t, log, small)
	closed := func(device, message string) uint64 {
		e := alarmEntry(device, a, inbox.Major, "")
		e.Active, e.Acked = false, true
		e.Body = fmt.Appendf(nil, `{"alarm":{"message":%q}}`, message)
		return w.Append(e, true)
	}
	closed("oldest", "the needle")
	for i := range 1600 {
		closed(fmt.Sprint("d", i), "hay")
	}
	Reach(t, v, closed("newest", "another needle"))
	q := inbox.Query{State: inbox.ListAll, Text: "needle"}
	first, err := v.List(t.Context(), "ann", nil, q)
	if err != nil || len(first.Bodies) != 1 || first.Next == "" {
		t.Fatalf("the first page has %d, next %q, %v", len(first.Bodies), first.Next, err)
	}
	if got := listPages(t, v, "ann", q, nil); len(got) != 2 {
		t.Errorf("all pages: %v", got)
	}
}

// A moving log runs a hook before it reads a message.
type moving struct {
	inbox.Log
	hook *func()
}

func (m moving) At(ctx context.Context, seq uint64) (inbox.Message, error) {
	if hook := *m.hook; hook != nil {
		*m.hook = nil
		hook()
	}
	return m.Log.At(ctx, seq)
}

// listPurged lists alarms that are purged, and one that is renewed, between the look
// and the reading.
func listPurged(t *testing.T, log inbox.Log) {
	w := NewWriter(t, log)
	a := w.Route("a")
	w.Member("a", "ann", true)
	var hook func()
	v, _ := StartView(t, moving{log, &hook}, small)
	for _, device := range []string{"d1", "d2", "d3"} {
		w.Alarm(device, a, 0, "before")
	}
	for i := range 100 {
		w.Alarm("filler", "u.nobody", inbox.Minor, fmt.Sprint(i))
	}
	last := w.Alarm("filler", "u.nobody", inbox.Minor, "last")
	Reach(t, v, last)
	hook = func() {
		w.Quiet("d2", a, inbox.Minor, "reopened")
		e := alarmEntry("d3", a, 0, "renewed")
		e.Quiet = true
		w.Append(e, false)
		w.Member("a", "ann", true)
		w.Append(w.newest[inbox.RouteSubject(inbox.Route([]string{"a"}))], false)
		w.Purge(last)
		Reach(t, v, w.newest[inbox.SubjectPurged].Seq)
	}
	got := listPages(t, v, "ann", inbox.Query{State: inbox.ListAll}, nil)
	slices.Sort(got)
	if want := []string{`{"body":"renewed"}`, `{"body":"reopened"}`}; !slices.Equal(got, want) {
		t.Errorf("listed while it was purged: %v, want %v", got, want)
	}
}
