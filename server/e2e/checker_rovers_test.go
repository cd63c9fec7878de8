package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"tocsin/server/inbox"
)

// Some devices go from group to group, and so do some readers: these are told of gaps,
// and of alarms that are theirs no more, and must know in the end what is so.

const roamingDevices = 4

var roamingGroups = []string{"roam-a", "roam-b"}

// allGroups are those that a rover may be given.
var allGroups = append([]string{"group-0", "group-1"}, roamingGroups...)

// roams says whether an entry is of a device that goes from group to group.
func roams(e entry) bool { return strings.HasPrefix(e.Alarm.Device, "roaming-") }

// addRovers begins readers whose groups are the directory's.
func (c *check) addRovers(n int) {
	for i := range n {
		h := newHopper(c.front, fmt.Sprint("rover-", i), c.seed+uint64(5000+i), allWays[:4])
		h.bases, h.places = []string{c.front.url()}, true
		h.begin(c.t)
		c.rovers = append(c.rovers, h)
	}
}

// reassign gives a device or a rover other groups, again and again.
func (c *check) reassign(ctx context.Context) {
	rng := rand.New(rand.NewPCG(c.seed, 43)) // the faults have the other
	for ctx.Err() == nil {
		path := fmt.Sprint("/v1/devices/roaming-", rng.IntN(roamingDevices))
		groups := []string{roamingGroups[rng.IntN(2)]}
		switch {
		case rng.IntN(3) == 0:
			path = "/v1/users/" + c.rovers[rng.IntN(len(c.rovers))].user
			groups = nil
			for _, g := range allGroups {
				if rng.IntN(2) == 0 {
					groups = append(groups, g)
				}
			}
		case rng.IntN(4) == 0:
			groups = roamingGroups
		}
		if len(groups) == 0 {
			continue
		}
		for ctx.Err() == nil {
			bound, cancel := context.WithTimeout(ctx, attemptTimeout)
			a, err := request(bound, "PUT", c.front.url()+path, c.front.root(), mustJSON(map[string]any{"groups": groups}))
			cancel()
			if err == nil && a.status == 200 {
				break
			}
			pause(ctx, 50*time.Millisecond)
		}
		pause(ctx, time.Duration(rng.Int64N(int64(time.Second))))
	}
}

// checkRovers compares what each rover knows in the end with the log: what is open and
// his, as it was told last or later, and nothing that is not his.
func (c *check) checkRovers(l *ledger) (wrong []string) {
	for _, h := range c.rovers {
		groups := l.groupsOf(h.user, allGroups)
		h.mu.Lock()
		got, odds := slices.Clone(h.got), slices.Clone(h.odd)
		h.mu.Unlock()
		known, gaps := stateOf(got)
		complain := func(format string, args ...any) {
			wrong = append(wrong, fmt.Sprintf("%s, %v, after %d gaps: ", h.user, groups, gaps)+fmt.Sprintf(format, args...))
		}
		for _, odd := range odds {
			complain("%s", odd)
		}
		for subject, e := range l.newest {
			if !strings.HasPrefix(subject, "alarm.") || !e.Open() || !l.visible(subject, groups) {
				continue
			}
			told, has := known[subject]
			switch {
			case !has:
				complain("does not know of %s, which is open since %d", subject, e.ToldAt())
			case told.Alarm.Rev > e.Rev || told.Alarm.Rev < l.entries[e.ToldAt()].Rev:
				complain("has rev %d of %s, from %d to %d were told", told.Alarm.Rev, subject, l.entries[e.ToldAt()].Rev, e.Rev)
			}
		}
		for subject, e := range known {
			if n := l.newest[subject]; n == nil || !l.visible(subject, groups) && n.Open() {
				complain("knows of %s since %d, which is not his", subject, e.Seq)
			}
		}
	}
	return wrong
}

// settleRovers waits until the rovers know what they should, or the time is up;
// checkRovers says what is wrong.
func (c *check) settleRovers(l *ledger) {
	ctx, cancel := context.WithTimeout(c.t.Context(), patience)
	defer cancel()
	waitFor(ctx, nil, func() bool {
		pause(ctx, 100*time.Millisecond)
		return len(c.checkRovers(l)) == 0
	})
	gaps := 0
	for _, h := range c.rovers {
		h.mu.Lock()
		gaps += len(h.gaps)
		h.mu.Unlock()
	}
	c.t.Logf("those whose groups changed were told of %d gaps", gaps)
}

// stateOf is what a client knows who has taken these entries as the protocol says.
func stateOf(got []entry) (known map[string]entry, gaps int) {
	known = map[string]entry{}
	for _, e := range got {
		subject := inbox.AlarmSubject(e.Alarm.Device, e.Alarm.Type, "")
		switch {
		case e.gap != "":
			if gaps++; e.gap != "compacted" {
				clear(known)
			}
		case e.Type == "alarm.removed":
			delete(known, subject)
		default:
			known[subject] = e
		}
	}
	return known, gaps
}
