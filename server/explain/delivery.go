package explain

import (
	"context"
	"errors"
	"time"

	"tocsin/server/alarm"
	"tocsin/server/inbox"
	"tocsin/server/presence"
)

// state tells what keeps an alarm that is his from making a noise.
func (i *inquiry) state() {
	a := &i.alarm
	switch {
	case a.Chattering:
		i.step(true, "folding", "it chatters: its changes are told together, at intervals")
	case i.entry.Quiet:
		i.step(true, "folding", "its newest change, entry %d, is quiet: it is folded into what was told as entry %d, or changed nothing", i.entry.Seq, i.entry.ToldAt())
	}
	if a.ShelvedUntil != nil {
		i.step(true, "shelved", "%s has shelved it until %s", a.ShelvedBy, clock(*a.ShelvedUntil))
	}
	severity, _ := inbox.ParseSeverity(a.Severity)
	if f := i.o.View.CountsOf(i.Question.User, i.his).Flood; f.Since != 0 && (severity == inbox.Minor || severity == inbox.Warning) {
		i.step(true, "flood", "since %s he gets more alarms than one can deal with: a %s one makes no sound", clock(time.UnixMilli(f.Since)), a.Severity)
	}
	if a.Acked && a.AckedBy != nil && a.AckedAt != nil {
		i.step(true, "acknowledged", "by %s at %s", *a.AckedBy, clock(*a.AckedAt))
	}
}

// delivery tells whether the alarm's last announcement has reached the user, or
// why not.
func (i *inquiry) delivery(ctx context.Context) error {
	e := i.o.Evidence
	if e == nil {
		i.step(true, "delivered", "%s, so it is not known", ErrOff)
		i.Verdict = Visible
		return nil
	}
	entry, err := i.announcement(ctx, &i.entry)
	if err != nil {
		return err
	}
	d, report, err := e.Delivery(ctx, entry, i.Question.User)
	if err != nil {
		return err
	}
	switch {
	case report.Told == 0:
		i.step(false, "delivered", "no reader has been told of it yet: it is quiet")
		i.Verdict = NotTold
	case d.Delivered:
		i.step(true, "delivered", "entry %d reached him over %s at %s by %s", report.Told, d.Transport, d.Node, clock(d.At))
		i.Verdict = Delivered
	default:
		i.pending(&report, entry.Stored)
	}
	return nil
}

// pending says why an entry has not reached the user.
func (i *inquiry) pending(r *presence.Report, announced time.Time) {
	for _, s := range i.seen {
		switch {
		case s.Ended:
		case s.Position < r.Told:
			i.step(false, "delivered", "entry %d is on its way: his session over %s at %s stands at %d", r.Told, s.Transport, s.Node, s.Position)
			i.Verdict = Behind
			return
		case s.From < r.Told:
			// It has only not been recorded yet.
			i.step(true, "delivered", "entry %d has just reached him over %s at %s", r.Told, s.Transport, s.Node)
			i.Verdict = Delivered
			return
		default:
			i.step(false, "delivered", "entry %d came before his session over %s at %s began, which asked for no snapshot", r.Told, s.Transport, s.Node)
			i.Verdict = BeganLater
			return
		}
	}
	i.Verdict = NotConnected
	if r.Since.IsZero() || r.Since.After(announced) {
		since := "now"
		if !r.Since.IsZero() {
			since = clock(r.Since)
		}
		i.step(false, "delivered", "entry %d is from %s, the evidence begins %s: since then it has not reached him", r.Told, clock(announced), since)
		return
	}
	i.step(false, "delivered", "entry %d waits in his inbox: he has not been connected since %s", r.Told, clock(announced))
}

// announcement is the entry of the last announcement as of an entry.
func (x *Explainer) announcement(ctx context.Context, e *inbox.Entry) (inbox.Entry, error) {
	switch seq := e.AnnouncedAt(); seq {
	case e.Seq, 0:
		return x.at(ctx, e.Seq)
	default:
		return x.at(ctx, seq)
	}
}

// at reads a stored entry.
func (x *Explainer) at(ctx context.Context, seq uint64) (inbox.Entry, error) {
	m, err := x.o.Log.At(ctx, seq)
	if errors.Is(err, inbox.ErrNotFound) {
		return inbox.Entry{}, alarm.ErrNotFound
	}
	if err != nil {
		return inbox.Entry{}, err
	}
	return inbox.Decode(m)
}

// Deliveries says whom an entry of an alarm has reached.
type Deliveries struct {
	Alarm string `json:"alarm"`
	// Entry is the one asked about, Told the one that readers were told by, null if
	// there is none yet.
	Entry      uint64     `json:"entry"`
	Told       *uint64    `json:"told"`
	Deliveries []Delivery `json:"deliveries"`
	// Since is how far back the evidence goes, null if there is none; Until how far
	// it was looked at, null to its end.
	Since *string `json:"evidence_since"`
	Until *string `json:"evidence_until"`
}

// A Delivery is one user's.
type Delivery struct {
	User      string  `json:"user"`
	Delivered bool    `json:"delivered"`
	At        *string `json:"at"`
	Transport *string `json:"transport"`
	Node      *string `json:"node"`
	Session   *string `json:"session"`
	// Read: his read marks cover what the alarm announced last.
	Read bool `json:"read"`
	// Acked: he is who acknowledged the alarm.
	Acked   bool    `json:"acked"`
	AckedAt *string `json:"acked_at"`
}

// Deliveries says whom the alarm's last announcement has reached, or, unless seq is
// 0, this entry of it. Errors: ErrOff, alarm.ErrNotFound, those of the log.
func (x *Explainer) Deliveries(ctx context.Context, id string, seq uint64) (Deliveries, error) {
	if x.o.Evidence == nil {
		return Deliveries{}, ErrOff
	}
	x.o.View.CatchUp(ctx)
	newest, _, err := x.newest(ctx, id)
	if err != nil {
		return Deliveries{}, err
	}
	a, err := alarmOf(&newest)
	if err != nil {
		return Deliveries{}, err
	}
	entry := newest
	if seq == 0 {
		entry, err = x.announcement(ctx, &newest)
	} else if entry, err = x.at(ctx, seq); err == nil && (entry.Subject != newest.Subject || entry.Tag != newest.Tag) {
		err = alarm.ErrNotFound
	}
	if err != nil {
		return Deliveries{}, err
	}
	report, err := x.o.Evidence.Deliveries(ctx, entry)
	if err != nil {
		return Deliveries{}, err
	}
	d := Deliveries{Alarm: id, Entry: entry.Seq, Deliveries: make([]Delivery, len(report.Deliveries)),
		Since: known(report.Since), Until: known(report.Until)}
	if report.Told != 0 {
		d.Told = &report.Told
	}
	for i, one := range report.Deliveries {
		line := Delivery{User: one.User, Delivered: one.Delivered, Read: x.o.View.HasRead(one.User, newest.Subject)}
		if one.Delivered {
			line.At, line.Transport, line.Node, line.Session = known(one.At), &one.Transport, &one.Node, &one.Session
		}
		if a.AckedBy != nil && *a.AckedBy == one.User {
			if line.Acked = true; a.AckedAt != nil {
				line.AckedAt = known(*a.AckedAt)
			}
		}
		d.Deliveries[i] = line
	}
	return d, nil
}

// known is a time as text, nil for none.
func known(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	text := clock(t)
	return &text
}
