package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/natslog"
)

// A ledger is the whole log as it is stored, quiet entries and all.
type ledger struct {
	entries map[uint64]*inbox.Entry
	order   []*inbox.Entry
	newest  map[string]*inbox.Entry // by subject
	groups  map[string][]string     // of newest alarms, by subject
}

// readLedger has a backup made by a running server, restores it where nobody serves
// and reads all of it.
func readLedger(t *testing.T, s *server) *ledger {
	t.Helper()
	to := prepareServer(t)
	to.restore(s.backup())
	log := openLog(t, natslog.Options{Dir: to.data(), Reserve: -1})
	l := &ledger{entries: map[uint64]*inbox.Entry{}, newest: map[string]*inbox.Entry{}, groups: map[string][]string{}}
	err := log.Scan(t.Context(), inbox.Scan{}, func(m inbox.Message) error {
		e, err := inbox.Decode(m)
		if err != nil {
			return err
		}
		l.entries[e.Seq], l.newest[e.Subject] = &e, &e
		l.order = append(l.order, &e)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for subject, e := range l.newest {
		var a alarm.Alarm
		if strings.HasPrefix(subject, "alarm.") && len(e.Body) > 0 {
			if err := json.Unmarshal(alarm.Text(e.Body), &a); err != nil {
				t.Fatalf("entry %d: %v", e.Seq, err)
			}
			l.groups[subject] = a.Groups
		}
	}
	return l
}

// ofEvents are the statuses of entries that an event has made; nobody here clears
// by hand.
var ofEvents = []string{alarm.StatusRaised, alarm.StatusRepeated, alarm.StatusCleared, alarm.StatusOrphan, alarm.StatusLate}

// checkReceipts finds each acknowledged event once, where and as it was said to be,
// and nothing besides.
func (l *ledger) checkReceipts(feeders []*feeder) (wrong []string) {
	takenBy := map[uint64]string{}
	for _, f := range feeders {
		for _, r := range f.receipts {
			e := l.entries[r.Seq]
			subject := inbox.AlarmSubject(r.Device, r.Type, "")
			switch {
			case e == nil:
				wrong = append(wrong, fmt.Sprintf("%s was acknowledged at %d, where nothing is", r.event.ID, r.Seq))
			case takenBy[r.Seq] != "":
				wrong = append(wrong, fmt.Sprintf("%s and %s were both acknowledged at %d", r.event.ID, takenBy[r.Seq], r.Seq))
			case e.Subject != subject || e.Status != r.Status || e.Rev != r.Rev:
				wrong = append(wrong, fmt.Sprintf("%s was acknowledged as %s of %s, rev %d, at %d, where %s of %s, rev %d, is",
					r.event.ID, r.Status, subject, r.Rev, r.Seq, e.Status, e.Subject, e.Rev))
			case r.Status != alarm.StatusOrphan && r.Status != alarm.StatusLate && !strings.Contains(string(e.Body), `"`+r.event.ID+`"`):
				wrong = append(wrong, fmt.Sprintf("%s was acknowledged at %d, where another event is: %s", r.event.ID, r.Seq, e.Body))
			}
			takenBy[r.Seq] = r.event.ID
		}
	}
	for _, e := range l.order {
		if strings.HasPrefix(e.Subject, "alarm.") && slices.Contains(ofEvents, e.Status) && takenBy[e.Seq] == "" {
			wrong = append(wrong, fmt.Sprintf("entry %d, %s of %s, rev %d, is of no acknowledged event, or of one twice: %s", e.Seq, e.Status, e.Subject, e.Rev, e.Body))
		}
	}
	return wrong
}

// checkChain follows each alarm's revisions, and the sequences of the log.
func (l *ledger) checkChain() (wrong []string) {
	rev, last := map[string]uint64{}, uint64(0)
	for _, e := range l.order {
		if e.Seq != last+1 {
			wrong = append(wrong, fmt.Sprintf("entry %d follows %d", e.Seq, last))
		}
		last = e.Seq
		if !strings.HasPrefix(e.Subject, "alarm.") {
			continue
		}
		want := rev[e.Subject]
		switch e.Status {
		case alarm.StatusOrphan, alarm.StatusLate, alarm.StatusRenewed, alarm.StatusWatched:
		default:
			want++
		}
		if e.Rev != want {
			wrong = append(wrong, fmt.Sprintf("entry %d, %s of %s, has rev %d, want %d", e.Seq, e.Status, e.Subject, e.Rev, want))
		}
		rev[e.Subject] = e.Rev
	}
	return wrong
}

// checkRoutes looks whether every open alarm is where its device's groups are.
func (l *ledger) checkRoutes() (wrong []string) {
	for subject, e := range l.newest {
		device, _, _, ok := inbox.ParseAlarmSubject(subject)
		if d := l.newest[inbox.DeviceSubject(device)]; ok && d != nil && e.Open() && !slices.Equal(d.Groups, l.groups[subject]) {
			wrong = append(wrong, fmt.Sprintf("%s is open in %v, its device is in %v", subject, l.groups[subject], d.Groups))
		}
	}
	return wrong
}

// told are the sequences of what is told of devices that stay where they are.
func (l *ledger) told() (seqs []uint64) {
	for _, e := range l.order {
		if strings.HasPrefix(e.Subject, "alarm.") && !strings.HasPrefix(e.Subject, "alarm.roaming-") && !e.Quiet {
			seqs = append(seqs, e.Seq)
		}
	}
	return seqs
}

// visible says whether users with these groups see the alarm.
func (l *ledger) visible(subject string, groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return g == "*" || slices.Contains(l.groups[subject], g) })
}

// groupsOf are those that the directory gives a user.
func (l *ledger) groupsOf(user string, of []string) (groups []string) {
	for _, g := range of {
		if e := l.newest[inbox.MemberSubject(g, user)]; e != nil && e.Active {
			groups = append(groups, g)
		}
	}
	return groups
}

// counters as they stand beside the entries.
type counters struct {
	Unread int
	Active map[string]int
}

// recount counts from the newest entries what a user with these groups and this
// read mark has.
func (l *ledger) recount(groups []string, mark uint64) counters {
	c := counters{Active: map[string]int{}}
	for _, severity := range inbox.Severities {
		c.Active[severity.String()] = 0
	}
	for subject, e := range l.newest {
		if e.Severity == 0 || !strings.HasPrefix(subject, "alarm.") {
			continue
		}
		if !l.visible(subject, groups) {
			continue
		}
		if e.AnnouncedAt() > mark {
			c.Unread++
		}
		if e.Open() {
			c.Active[e.Severity.String()]++
		}
	}
	return c
}
