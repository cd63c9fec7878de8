package alarm

import (
	"encoding/binary"
	"time"

	"tocsin/server/inbox"
)

// A timing is what decisions and the worker need to know of an alarm besides its
// state. It is kept in inbox.Entry.Private, so that it survives restarts and
// goes with the alarm to whichever node decides next. All are Unix milliseconds,
// 0 for none.
//
// There are two clocks. Events are ordered by one: the server's, or the device's
// where that is trusted. Deadlines are by the server's, since only that one goes
// on when nothing comes.
type timing struct {
	// By the clock of events.
	told   int64    // when readers were last told of an event
	last   int64    // the latest raise or clear
	raises [2]int64 // the two latest raises that began an occurrence

	// By the server's clock.
	fold   int64 // when what was folded is told
	calm   int64 // when a chattering alarm has been quiet for long enough
	expire int64 // when the alarm clears for want of reports
	watch  int64 // when it is looked at whether a critical one reached somebody
}

// numbers are the fields in their stored order, which is only ever added to.
func (t *timing) numbers() [8]*int64 {
	return [8]*int64{&t.told, &t.last, &t.raises[0], &t.raises[1], &t.fold, &t.calm, &t.expire, &t.watch}
}

func (t timing) encode() []byte {
	numbers := t.numbers()
	n := len(numbers)
	for n > 0 && *numbers[n-1] == 0 {
		n--
	}
	b := make([]byte, 0, 7*n)
	for _, p := range numbers[:n] {
		b = binary.AppendVarint(b, *p)
	}
	return b
}

func decodeTiming(b []byte) (t timing) {
	for _, p := range t.numbers() {
		v, w := binary.Varint(b)
		if w <= 0 {
			break
		}
		*p, b = v, b[w:]
	}
	return t
}

// due is when the worker must look at the alarm, zero for never. A chattering
// alarm with folded changes becomes calm when those are told, at the earliest.
func (t *timing) due(a *Alarm) time.Time {
	first := int64(0)
	at := func(ms int64) {
		if ms != 0 && (first == 0 || ms < first) {
			first = ms
		}
	}
	if t.fold != 0 {
		at(t.fold)
	} else {
		at(t.calm)
	}
	at(t.expire)
	at(t.watch)
	if a.ShelvedUntil != nil {
		at(a.ShelvedUntil.UnixMilli())
	}
	if first == 0 {
		return time.Time{}
	}
	return time.UnixMilli(first).UTC()
}

// A moment is one event's time by both clocks.
type moment struct {
	event, server int64
}

func (e *Engine) moment(t, now time.Time) moment {
	m := moment{event: now.UnixMilli(), server: now.UnixMilli()}
	if e.o.TrustDeviceTime {
		m.event = t.UnixMilli()
	}
	return m
}

// An occasion is what an event did to its alarm, as far as telling goes.
type occasion struct {
	begins    bool // a new occurrence
	clears    bool
	escalates bool // got worse, also from one occurrence to the next
	moves     bool // to other readers: those that it leaves must hear of it
}

// tell decides whether readers are told of an event at once (alarm model, rule
// 5): else its entry is quiet, and the worker tells them when the time is over.
func (e *Engine) tell(a *Alarm, t *timing, m moment, o occasion) (quiet bool) {
	fold := e.o.Fold.Milliseconds()
	if fold <= 0 {
		a.Chattering, t.fold, t.calm = false, 0, 0
		return false
	}
	was := a.Chattering && m.event-t.last < fold
	a.Chattering = was
	if o.begins {
		third := t.raises[1] != 0 && m.event-t.raises[1] < fold
		t.raises = [2]int64{m.event, t.raises[0]}
		a.Chattering = was || third // whose first entry says so
	}
	if o.begins || o.clears {
		t.last = max(t.last, m.event)
	}
	if t.calm = 0; a.Chattering {
		t.calm = m.server + fold - clamp(m.event-t.last, 0, fold)
	}
	repeats := !o.begins && !o.clears
	if o.escalates || o.moves || !was && !(repeats && m.event-t.told < fold) {
		t.told, t.fold = m.event, 0
		return false
	}
	if t.fold == 0 {
		t.fold = m.server + clamp(t.told+fold-m.event, 0, fold)
	}
	return true
}

func clamp(v, least, most int64) int64 { return min(max(v, least), most) }

// stir sets the deadlines that an event moves: when the alarm expires, and when
// it is looked at whether somebody got it.
func (e *Engine) stir(a *Alarm, t *timing, now time.Time, announces bool) {
	t.expire = 0
	if after := e.o.AutoClear[a.Type]; after > 0 && a.Active {
		t.expire = now.Add(after).UnixMilli()
	}
	switch {
	case a.Acked:
		t.watch = 0
	case announces && e.o.Reached != nil && a.Severity == inbox.Critical.String():
		t.watch = now.Add(e.o.UndeliveredAfter).UnixMilli()
	}
}
