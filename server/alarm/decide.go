package alarm

import (
	"context"
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
	case cleared && !p.has():
		return e.orphan(p), nil
	case cleared && !a.Active:
		return e.unchanged(p, StatusOrphan, now), nil
	case cleared && t.Before(a.LastRaised):
		return e.unchanged(p, StatusLate, now), nil
	case !cleared && p.has() && !a.Active && a.ClearReason != clearMomentary && a.ClearedAt != nil && t.Before(*a.ClearedAt):
		return e.unchanged(p, StatusLate, now), nil
	}
	groups, to, err := e.home(ctx, ev.Device)
	if err != nil {
		return inbox.Entry{}, err
	}
	next := *a // the maps and pointers within are replaced, never changed
	next.Groups = groups
	next.Rev++
	describe(&next, ev, distrusted, word)
	switch {
	case cleared:
		next.Active, next.ClearedAt, next.ClearReason = false, &t, clearReported
		return e.next(p, &next, to, TypeCleared, StatusCleared, byIngest, now, false), nil
	case a.Active:
		escalated := repeat(&next, severity, t)
		return e.next(p, &next, to, TypeUpdated, StatusRepeated, byIngest, now, escalated), nil
	}
	raise(&next, p, ev, severity, t, now)
	return e.next(p, &next, to, TypeRaised, StatusRaised, byIngest, now, true), nil
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
	a.Acked, a.AckedBy, a.AckedAt, a.AckNote = false, nil, nil, ""
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
		Earlier: former.Earlier,
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
