package alarm_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/inbox/inboxtest"
)

const month = 31 * 24 * time.Hour

var monthly = alarm.Options{Retention: alarm.Retention{Age: month, Window: 10 * time.Minute}}

// A past is a log with something of everything.
type past struct {
	*node
	open   []string // ids of what must stay
	closed []string // and of what may go
	away   string   // a cursor of ann's, from before all of it
	mark   aMark    // the chief's
}

func event(device, typ, state string) alarm.Event {
	return alarm.Event{Device: device, Type: typ, Severity: "major", State: state}
}

// newPast fills the log; more alarms stay open besides the special ones.
func newPast(t testing.TB, log inbox.Log, o alarm.Options, more int) *past {
	t.Helper()
	p := &past{node: newNodeWith(t, log, o)}
	p.now = time.Now().UTC().Truncate(time.Millisecond)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	must(p.dir.PutDevice(ctx, "d", []string{"fleet"}))
	must(p.dir.PutDevice(ctx, "gone", []string{"fleet"}))
	must(p.dir.PutUser(ctx, "ann", []string{"fleet"}))
	must(p.dir.PutUser(ctx, "ben", []string{"fleet"}))
	p.away = inboxtest.Drain(t, inboxtest.Open(t, p.view, "ann", inbox.Start{}), 10).Cursor
	must(p.dir.DeleteDevice(ctx, "gone"))
	must(p.dir.DeleteUser(ctx, "ben"))
	stays := func(id string) { p.open = append(p.open, id) }
	for i := range more {
		stays(p.one(event("d", fmt.Sprint("more", i), "raised")).ID)
	}
	stays(p.one(event("d", "active", "raised")).ID)
	acked := p.one(event("d", "acked", "raised")).ID
	p.do(alarm.Command{Op: alarm.Acknowledge, ID: acked, Note: "seen"})
	stays(acked)
	unacked := p.one(event("d", "cleared", "raised")).ID
	p.one(event("d", "cleared", "cleared"))
	stays(unacked)
	over := func(typ string) string {
		id := p.one(event("d", typ, "raised")).ID
		p.do(alarm.Command{Op: alarm.Acknowledge, ID: id})
		p.one(event("d", typ, "cleared"))
		return id
	}
	shelved := over("shelved")
	p.do(alarm.Command{Op: alarm.Shelve, ID: shelved, Until: p.now.Add(29 * 24 * time.Hour)})
	stays(shelved)
	for i := range 30 {
		p.closed = append(p.closed, over(fmt.Sprint("over", i)))
	}
	p.one(event("d", "never", "cleared")) // an orphan
	if _, err := p.engine.Notify(ctx, "boss", alarm.Notice{Users: []string{"ann"}, Title: "old"}); err != nil {
		t.Fatal(err)
	}
	// The newest entry is the one below which a purge goes at most.
	stays(p.one(event("d", "last", "raised")).ID)
	return p
}

// of gives the alarms as they are, by id.
func (p *past) of(ids []string) map[string]alarm.Alarm {
	p.t.Helper()
	all := map[string]alarm.Alarm{}
	for _, id := range ids {
		all[id] = p.get(id)
	}
	return all
}

// wantSameViews compares what the view followed with what one loads now.
func wantSameViews(t testing.TB, p *past) {
	t.Helper()
	loaded, stop := inboxtest.StartView(t, p.log, inbox.ViewOptions{Unassigned: []string{"unassigned"}})
	defer stop()
	loaded.SetMark("chief", p.mark.is)
	b, err := p.log.Bounds(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inboxtest.Reach(t, p.view, b.Last)
	for _, user := range []string{"ann", "ben", "chief"} {
		var groups []string
		if user == "chief" {
			groups = []string{"*"}
		}
		for what, start := range map[string]inbox.Start{"snapshot": {Snapshot: true}, "earliest": {Cursor: inbox.Earliest}, "away": {Cursor: p.away}} {
			list, gaps, counts := texts(t, p.view, user, start, groups...)
			list2, gaps2, counts2 := texts(t, loaded, user, start, groups...)
			counts.Flood, counts2.Flood = inbox.Flood{}, inbox.Flood{} // reach back as far as the window
			if !slices.Equal(list, list2) || !slices.Equal(gaps, gaps2) || counts != counts2 {
				t.Errorf("%s, %s: the view that followed has\n%s %v %+v\none that was loaded\n%s %v %+v", user, what,
					strings.Join(list, "\n"), gaps, counts, strings.Join(list2, "\n"), gaps2, counts2)
			}
		}
		if !slices.Equal(p.view.UserGroups(user), loaded.UserGroups(user)) {
			t.Errorf("%s has the groups %v, loaded %v", user, p.view.UserGroups(user), loaded.UserGroups(user))
		}
	}
	for _, s := range []string{inbox.DeviceSubject("d"), inbox.DeviceSubject("gone"), inbox.MemberSubject("fleet", "ann"),
		inbox.MemberSubject("fleet", "ben"), inbox.RouteSubject("g-fleet")} {
		if p.view.DirectorySeq(s) != loaded.DirectorySeq(s) {
			t.Errorf("%s stands at %d, loaded %d", s, p.view.DirectorySeq(s), loaded.DirectorySeq(s))
		}
	}
}

func (p *past) first() uint64 {
	p.t.Helper()
	b, err := p.log.Bounds(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	return b.First
}

// An aMark keeps one user's read mark.
type aMark struct {
	inbox.Marks
	is inbox.Mark
}

func (m *aMark) Update(_ context.Context, _ string, change func(inbox.Mark) (inbox.Mark, error)) (inbox.Mark, error) {
	now, err := change(m.is)
	if err == nil {
		m.is = now
	}
	return now, err
}
