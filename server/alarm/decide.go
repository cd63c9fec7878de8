package alarm

import (
	"context"
	"errors"
	"maps"
	"time"
	"unicode/utf8"

	"tocsin/server/inbox"
)

// How far a device's clock may be off before the server's is taken instead.
const (
	maxAhead  = 5 * time.Minute
	maxBehind = 7 * 24 * time.Hour
)

// byIngest is the author of entries that events make.
const byIngest = "ingest"

// clear reasons.
const (
	clearReported  = "reported"
	clearMomentary = "momentary"
	clearExpired   = "expired"
	clearForced    = "forced"
)

// when is the event's time for ordering. A time that is not believed is returned
// as distrusted, to be kept in the attributes.
func (e *Engine) when(ev *Event, now time.Time) (t time.Time, distrusted string) {
	if ev.Time.IsZero() {
		return now, ""
	}
	t = ev.Time.UTC().Truncate(time.Millisecond)
	if !e.o.TrustDeviceTime && (t.Sub(now) > maxAhead || now.Sub(t) > maxBehind) {
		return now, ev.Time.UTC().Format(time.RFC3339Nano)
	}
	return t, ""
}

// decide makes the entry of one event on the present state of its alarm
// (alarm model, rules 1 to 3).
func (e *Engine) decide(ctx context.Context, p *present, ev *Event) (inbox.Entry, error) {
	now := e.now()
	t, distrusted := e.when(ev, now)
	severity, cleared, word := ev.severity()
	a := &p.body.Alarm
	switch {
	case cleared && ev.Level && !a.Active:
		return inbox.Entry{}, errAsKnown
	case cleared && !p.has():
		return e.orphan(p), nil
	case cleared && !a.Active:
		return e.unchanged(p, StatusOrphan, now), nil
	case cleared && t.Before(a.LastRaised):
		return e.unchanged(p, StatusLate, now), nil
	case !cleared && p.has() && !a.Active && a.ClearReason != clearMomentary && a.ClearedAt != nil && t.Before(*a.ClearedAt):
		return e.unchanged(p, StatusLate, now), nil
	}
	if ev.Level && p.has() && a.Active != cleared && (cleared || a.Severity == severity.String()) {
		return inbox.Entry{}, errAsKnown
	}
	c := e.change(p, "", "", byIngest)
	c.now, c.at = now, t
	var err error
	if c.alarm.Groups, c.to, err = e.home(ctx, ev.Device); err != nil {
		return inbox.Entry{}, err
	}
	// The maps and pointers within the alarm are replaced, never changed.
	c.alarm.Rev++
	describe(&c.alarm, ev, distrusted, word)
	o := occasion{moves: p.has() && c.to != p.entry.Audience}
	switch {
	case cleared:
		c.typ, c.status, o.clears = TypeCleared, StatusCleared, true
		c.alarm.Active, c.alarm.ClearedAt, c.alarm.ClearReason = false, &t, clearReported
	case a.Active:
		c.typ, c.status = TypeUpdated, StatusRepeated
		o.escalates = repeat(&c.alarm, severity, t)
		c.announces = o.escalates
	default:
		c.typ, c.status, c.announces, o.begins = TypeRaised, StatusRaised, true, true
		o.escalates = p.has() && worse(severity, a.Severity)
		raise(&c.alarm, p, ev, severity, t, now)
	}
	c.quiet = e.tell(&c.alarm, &c.timing, e.moment(t, now), o)
	e.stir(&c.alarm, &c.timing, now, c.announces)
	return e.next(p, &c), nil
}

// errAsKnown: a report of a level says what is known already.
var errAsKnown = errors.New("nothing has changed")

func worse(s inbox.Severity, than string) bool {
	former, _ := inbox.ParseSeverity(than)
	return s > former
}

// orphan is a clear of what was never raised: occurrence 0, in nobody's inbox.
func (e *Engine) orphan(p *present) inbox.Entry {
	return inbox.Entry{Subject: p.entry.Subject, Epoch: e.o.Epoch, Status: StatusOrphan, Quiet: true, Announced: inbox.Never}
}

// describe takes over what the event says about the alarm. A report without a
// message or attributes leaves the former ones.
func describe(a *Alarm, ev *Event, distrusted, word string) {
	if ev.Message != "" {
		a.Message = cut(ev.Message, MaxMessageBytes)
	}
	if ev.Attrs != nil {
		a.Attrs = ev.Attrs
	}
	for _, kept := range [...]struct{ name, value string }{{"device_time", distrusted}, {"severity", word}} {
		if kept.value != "" {
			a.Attrs = with(a.Attrs, kept.name, cut(kept.value, MaxMessageBytes))
		}
	}
}

// with returns a copy that has one more attribute; a device's own of the same
// name stays.
func with(attrs map[string]string, name, value string) map[string]string {
	if _, taken := attrs[name]; taken {
		return attrs
	}
	attrs = maps.Clone(attrs)
	if attrs == nil {
		attrs = map[string]string{}
	}
	attrs[name] = value
	return attrs
}

// cut shortens s to at most n bytes, at a rune.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// repeat folds a raise into the active occurrence, and says whether it got
// worse, which takes the acknowledgement away.
func repeat(a *Alarm, severity inbox.Severity, t time.Time) (escalated bool) {
	a.Count++
	if t.After(a.LastRaised) {
		a.LastRaised = t
	}
	former, _ := inbox.ParseSeverity(a.Severity)
	worst, _ := inbox.ParseSeverity(a.SeverityMax)
	a.Severity = severity.String()
	a.SeverityMax = max(worst, severity).String()
	if severity <= former {
		return false
	}
	a.unack()
	return true
}

// raise begins a new occurrence on top of what is left of the former one.
func raise(a *Alarm, p *present, ev *Event, severity inbox.Severity, t, now time.Time) {
	former := &p.body.Alarm
	*a = Alarm{
		Rev: a.Rev, Groups: a.Groups, Device: ev.Device, Type: ev.Type, Qualifier: ev.Qualifier,
		Occurrence: former.Occurrence + 1,
		Severity:   severity.String(), SeverityMax: severity.String(),
		Kind: KindStateful, Active: true, Count: 1,
		RaisedAt: t, LastRaised: t, ReceivedAt: now,
		Earlier:      former.Earlier,
		Chattering:   former.Chattering,
		ShelvedUntil: former.ShelvedUntil, ShelvedBy: former.ShelvedBy, // until its time is over
		Message: cut(ev.Message, MaxMessageBytes), Attrs: a.Attrs,
	}
	if ev.Attrs == nil && p.has() {
		a.Attrs = nil // the former occurrence's
	}
	if p.has() && !former.Acked {
		a.Earlier++
	}
	if ev.Kind == KindMomentary {
		a.Kind, a.Active, a.ClearedAt, a.ClearReason = KindMomentary, false, &t, clearMomentary
	}
	a.ID = occurrenceID(p.entry.Subject, a)
}

func occurrenceID(subject string, a *Alarm) string {
	e := inbox.Entry{Subject: subject, Tag: inbox.AlarmTag(a.Occurrence, a.ReceivedAt)}
	return e.ID()
}
