package explain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/presence"
)

// ErrOff: no evidence of deliveries is kept here.
var ErrOff = errors.New("no evidence of deliveries is kept")

// Options are what an Explainer looks at. Evidence may be nil: none is kept.
type Options struct {
	View     *inbox.View
	Log      inbox.Source
	Cluster  *presence.Cluster
	Evidence *presence.Evidence
	// Unassigned are the groups of a device that the directory does not know.
	Unassigned []string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// An Explainer explains.
type Explainer struct{ o Options }

// New returns an Explainer.
func New(o Options) *Explainer {
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Explainer{o: o}
}

// A Question asks why a user gets, or does not get, an alarm or the alarms of a
// device.
type Question struct {
	// Alarm is an alarm's id; else Device is the device's name.
	Alarm, Device string
	User          string
	// Groups are those of the user's token, where he asks himself.
	Groups []string
	// Self: he may ask about nobody else; what he may not see does not exist then.
	Self bool
}

// A Verdict is the answer in one word.
type Verdict string

// The verdicts.
const (
	Delivered    Verdict = "delivered"     // it has reached him
	Behind       Verdict = "behind"        // he is connected and will get it
	BeganLater   Verdict = "began-later"   // he is connected, but began after it without a snapshot
	NotConnected Verdict = "not-connected" // it waits in his inbox
	NotTold      Verdict = "not-told"      // quiet until now
	Held         Verdict = "held"          // kept back until it has moved to its route
	NoGroup      Verdict = "no-group"      // it is not his
	Visible      Verdict = "visible"       // his; of a device, or where no evidence is kept
)

// A Step is one thing that was looked at.
type Step struct {
	What string `json:"what"`
	Says string `json:"says"`
	// OK: from here it goes on to the user.
	OK bool `json:"ok"`
}

// A Report is the answer.
type Report struct {
	Alarm   string  `json:"alarm,omitempty"`
	Device  string  `json:"device"`
	User    string  `json:"user"`
	Verdict Verdict `json:"verdict"`
	Steps   []Step  `json:"steps"`
}

func (r *Report) step(ok bool, what, format string, args ...any) {
	r.Steps = append(r.Steps, Step{what, fmt.Sprintf(format, args...), ok})
}

// An inquiry is a question while it is looked into.
type inquiry struct {
	*Explainer
	Question
	Report
	entry   inbox.Entry // of an alarm
	present bool        // it is the alarm's newest
	alarm   alarm.Alarm
	groups  []string // that read it
	seen    []presence.Sighting
	his     []string // groups of the user
}

// Explain answers. Errors: alarm.ErrNotFound, a FieldError, those of the log.
func (x *Explainer) Explain(ctx context.Context, q Question) (Report, error) {
	if q.User == "" || (q.Alarm == "") == (q.Device == "") {
		return Report{}, inbox.Fieldf("user", "want a user, and either an alarm or a device")
	}
	x.o.View.CatchUp(ctx)
	i := &inquiry{Explainer: x, Question: q}
	i.Report.Alarm, i.Report.Device, i.Report.User = q.Alarm, q.Device, q.User
	if q.Alarm != "" {
		if err := i.find(ctx); err != nil {
			return Report{}, err
		}
	}
	if x.o.Evidence != nil {
		var err error
		if i.seen, err = x.o.Evidence.Seen(ctx, q.User); err != nil {
			return Report{}, err
		}
	}
	visible := i.device()
	if q.Self && !visible {
		return Report{}, alarm.ErrNotFound
	}
	i.sessions(ctx)
	switch {
	case !visible:
		return i.Report, nil
	case q.Alarm == "":
		i.Verdict = Visible
		return i.Report, nil
	}
	i.state()
	return i.Report, i.delivery(ctx)
}

// find looks the alarm up.
func (i *inquiry) find(ctx context.Context) (err error) {
	if i.entry, i.present, err = i.newest(ctx, i.Question.Alarm); err != nil {
		return err
	}
	if i.alarm, err = alarmOf(&i.entry); err != nil {
		return err
	}
	i.Report.Device = i.alarm.Device
	return nil
}

// newest is the newest entry of the occurrence with this id, and whether it is
// the subject's too. An earlier occurrence is looked for in the history.
func (x *Explainer) newest(ctx context.Context, id string) (e inbox.Entry, present bool, err error) {
	subject, tag, ok := inbox.ParseID(id)
	if _, _, _, is := inbox.ParseAlarmSubject(subject); !ok || !is {
		return e, false, alarm.ErrNotFound
	}
	e, ok, err = x.o.View.Newest(ctx, subject)
	switch {
	case err != nil:
		return e, false, err
	case !ok:
		return e, false, alarm.ErrNotFound
	case e.Tag == tag && len(e.Body) > 0:
		return e, true, nil
	}
	e = inbox.Entry{}
	err = x.o.Log.Scan(ctx, inbox.Scan{Subject: subject}, func(m inbox.Message) error {
		n, err := inbox.Decode(m)
		if err == nil && n.Tag == tag && len(n.Body) > 0 {
			e = n
		}
		return err
	})
	if err == nil && e.Seq == 0 {
		err = alarm.ErrNotFound
	}
	return e, false, err
}

func alarmOf(e *inbox.Entry) (a alarm.Alarm, err error) {
	if err := json.Unmarshal(alarm.Text(e.Body), &a); err != nil {
		return a, fmt.Errorf("read the alarm of entry %d: %w", e.Seq, err)
	}
	return a, nil
}

// device goes from the device to the user, and says whether they meet.
func (i *inquiry) device() (visible bool) {
	view := i.o.View
	groups, known := view.Device(i.Report.Device)
	if known {
		i.step(true, "device", "the directory has %s in %s", i.Report.Device, list(groups))
	} else {
		groups = inbox.SortGroups(i.o.Unassigned)
		i.step(true, "device", "the directory does not know %s: its alarms go to the unassigned groups, %s", i.Report.Device, list(groups))
	}
	route := inbox.Route(groups)
	i.step(true, "route", "that is the route %s", route)
	i.groups = groups
	if i.Question.Alarm != "" {
		if !i.audience(route) {
			return false
		}
	}
	return i.meet()
}

// audience looks at whose the alarm is.
func (i *inquiry) audience(route string) bool {
	name, _ := i.entry.Audience.Route()
	i.groups = i.o.View.RouteGroups(name)
	switch {
	case !i.present:
		i.step(true, "audience", "this occurrence is over; it was last recorded for %s", list(i.groups))
	case i.o.View.Held(i.entry.Subject):
		i.step(false, "audience", "the alarm is recorded for the route %s, which is not its device's: nobody sees it until it has been moved", name)
		i.Verdict = Held
		return false
	case name != route:
		i.step(true, "audience", "the alarm is recorded for the route %s still, and will be moved to its device's", name)
	default:
		i.step(true, "audience", "the alarm is recorded for that route")
	}
	return true
}

// meet looks for groups that the user and the alarm have in common.
func (i *inquiry) meet() bool {
	i.his = i.o.View.UserGroups(i.Question.User)
	says := "the directory gives " + i.Question.User + " " + list(i.his)
	added := i.Groups
	switch {
	case i.Self:
		says += "; the token adds " + list(added)
	default:
		for _, s := range i.seen {
			added = append(added, s.Groups...)
		}
		added = slices.DeleteFunc(inbox.SortGroups(added), func(g string) bool { return slices.Contains(i.his, g) })
		if len(added) > 0 {
			says += "; tokens with which he was connected lately add " + list(added)
		} else {
			says += "; what a token may add is only known while he is connected"
		}
	}
	i.his = inbox.SortGroups(append(i.his, added...))
	i.step(len(i.his) > 0, "user", "%s", says)
	var common []string
	for _, g := range i.his {
		if g == inbox.AllGroups || slices.Contains(i.groups, g) {
			common = append(common, g)
		}
	}
	if len(common) == 0 {
		i.step(false, "visible", "they have no group in common: it does not exist for him")
		i.Verdict = NoGroup
		return false
	}
	i.step(true, "visible", "they have %s in common: it is in his inbox", list(common))
	return true
}

// sessions tells where the user is connected.
func (i *inquiry) sessions(ctx context.Context) {
	var now []string
	if i.o.Evidence == nil {
		for _, c := range i.o.Cluster.Clients(ctx, i.Question.User) {
			upto := ""
			if c.Placed {
				upto = fmt.Sprintf(", up to entry %d", c.Position)
			}
			now = append(now, fmt.Sprintf("%s at %s since %s%s", c.Transport, c.Node, clock(c.Since), upto))
		}
	}
	for _, s := range i.seen {
		if !s.Ended {
			now = append(now, fmt.Sprintf("%s at %s since %s, up to entry %d", s.Transport, s.Node, clock(s.Since), s.Position))
		}
	}
	if len(now) == 0 {
		i.step(false, "sessions", "he is not connected now")
		return
	}
	i.step(true, "sessions", "he is connected by %s", strings.Join(now, "; by "))
}

func list(groups []string) string {
	if len(groups) == 0 {
		return "no groups"
	}
	return "[" + strings.Join(groups, ", ") + "]"
}

func clock(t time.Time) string { return t.UTC().Format(inbox.TimeFormat) }
