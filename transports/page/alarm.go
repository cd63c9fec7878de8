package page

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"tocsin/transports"
)

// An alarmPage is what the template of a single alarm gets.
type alarmPage struct {
	Title   string
	User    string
	Now     stamp
	Back    string // to the list
	Later   string // the URL of the changes that follow; empty for none
	First   string // the URL of the first changes; empty if they are shown
	Row     shownRow
	Changes []change
	// Superseded: a newer occurrence has taken the place of this one.
	Superseded bool
	*frame
}

// A change is a line of the history.
type change struct {
	severity
	At    stamp
	What  string
	By    string
	Note  string
	Count uint64
	Quiet bool
}

// ServeAlarm answers GET /inbox/alarm: one alarm, what can be done about it, and
// what happened to it. Errors: a transports.ParamError, those of Options.Look.
func ServeAlarm(ctx context.Context, w http.ResponseWriter, r *http.Request, v Visitor, o Options) error {
	o = o.withDefaults()
	p := placeOf(r)
	if p.alarm == "" || o.Look == nil {
		return &transports.ParamError{Param: "id", Detail: "want the id of an alarm"}
	}
	text, history, err := o.Look(ctx, v.Client, p.alarm, p.after)
	if err != nil {
		return err
	}
	var a alarm
	var told struct {
		Entries []entry `json:"entries"`
		Next    string  `json:"next"`
	}
	if err := json.Unmarshal(text, &a); err != nil {
		return fmt.Errorf("read an alarm: %w", err)
	}
	if err := json.Unmarshal(history, &told); err != nil {
		return fmt.Errorf("read a history: %w", err)
	}
	now := o.Now().UTC()
	pg := &alarmPage{
		Title: clean(a.Type) + " on " + clean(a.Device) + " · Tocsin", User: clean(v.User), Now: stampOf(now, now),
		Back: place{cursor: p.cursor, paused: p.paused}.url(), Superseded: a.Superseded, frame: o.frame(v, p, p.cursor),
	}
	if a.Superseded { // nothing can be done about it any more
		pg.MayAck, pg.MayAct = false, false
	}
	pg.Row = o.showRow(&row{entry: entry{Alarm: &a}}, now, pg.frame)
	if p.after != "" {
		pg.First = place{cursor: p.cursor, paused: p.paused, alarm: p.alarm}.url()
	}
	if told.Next != "" {
		p.after = told.Next
		pg.Later = p.url()
	}
	for i := range told.Entries {
		pg.Changes = append(pg.Changes, changeOf(&told.Entries[i], now))
	}
	return write(w, http.StatusOK, "alarm", pg)
}

// happened tells a status in words; one that is not known speaks for itself.
var happened = map[string]string{
	"repeated":  "raised again",
	"orphan":    "reported clear, which it was: nothing changed",
	"late":      "a late report: nothing changed",
	"acked":     "acknowledged",
	"unacked":   "acknowledgement taken back",
	"unshelved": "taken from the shelf",
	"folded":    "what was folded, told together",
	"expired":   "cleared for want of reports",
}

func changeOf(e *entry, now time.Time) change {
	c := change{At: stampOf(e.Time, now), What: happened[e.Status], By: clean(e.By), Note: clean(e.Note), Quiet: e.Quiet}
	if c.What == "" {
		c.What = clean(e.Status)
	}
	if e.Alarm == nil {
		return c
	}
	c.severity, c.Count = severityOf(e.Alarm.Severity), e.Alarm.Count
	switch {
	case e.Status == "shelved" && e.Alarm.ShelvedUntil != nil:
		c.What += " until " + stampOf(*e.Alarm.ShelvedUntil, now).Brief
	case e.Status == "moved":
		c.What += " to " + clean(strings.Join(e.Alarm.Groups, ", "))
	case e.Type == "" && e.Status == "acked":
		c.What = "acknowledged a second time: nothing changed"
	}
	return c
}
