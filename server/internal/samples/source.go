package samples

import (
	"math/rand/v2"
	"time"

	"tocsin/server/alarm"
)

// MaxActive is the most alarms that are active at a time.
const MaxActive = 40

// calm is how many active alarms the source comes back to in the long run.
const calm = 16

// A Sample is one event, and how long after the one before it happens.
type Sample struct {
	After time.Duration
	Event alarm.Event
}

// A Source makes up events, without end.
type Source struct {
	r      *rand.Rand
	idle   []*trouble // may break
	active []*trouble // have broken
}

// A trouble is a fault of a device.
type trouble struct {
	*fault
	device string
	level  int
}

// New returns a source; the same seed gives the same samples.
func New(seed uint64) *Source {
	s := &Source{r: rand.New(rand.NewPCG(seed, 0x746f6373696e))}
	for _, d := range plant() {
		for i := range d.faults {
			s.idle = append(s.idle, &trouble{fault: &d.faults[i], device: d.name})
		}
	}
	return s
}

// Next is the next event. It has neither an ID nor a time, so the server gives
// it the time of its arrival.
func (s *Source) Next() Sample {
	after := time.Second + time.Duration(s.r.IntN(2001))*time.Millisecond
	n := len(s.active)
	switch dice := s.r.IntN(100); {
	case n == MaxActive, dice < 45*n/calm:
		return Sample{after, s.clear()}
	case n > 0 && dice >= 75:
		return Sample{after, s.repeat()}
	}
	return Sample{after, s.raise()}
}

// raise breaks something that is whole.
func (s *Source) raise() alarm.Event {
	total := 0
	for _, t := range s.idle {
		total += t.chance
	}
	dice := s.r.IntN(total)
	i := 0
	for dice >= s.idle[i].chance {
		dice -= s.idle[i].chance
		i++
	}
	t := s.idle[i]
	t.level = 0
	if !t.momentary {
		s.idle = without(s.idle, i)
		s.active = append(s.active, t)
	}
	return t.event(s.r)
}

// repeat reports something once more, often as worse.
func (s *Source) repeat() alarm.Event {
	t := s.active[s.r.IntN(len(s.active))]
	if t.level+1 < len(t.severities) && s.r.IntN(3) > 0 {
		t.level++
	}
	return t.event(s.r)
}

// clear repairs something; what broke first tends to be repaired first.
func (s *Source) clear() alarm.Event {
	i := min(s.r.IntN(len(s.active)), s.r.IntN(len(s.active)))
	t := s.active[i]
	s.active = without(s.active, i)
	s.idle = append(s.idle, t)
	return alarm.Event{Device: t.device, Type: t.typ, Qualifier: t.qualifier, State: alarm.StateCleared}
}

func (t *trouble) event(r *rand.Rand) alarm.Event {
	message, attrs := t.tell(r, t.level)
	e := alarm.Event{Device: t.device, Type: t.typ, Qualifier: t.qualifier, State: alarm.StateRaised,
		Severity: t.severities[t.level].String(), Message: message, Attrs: attrs}
	if t.momentary {
		e.Kind = alarm.KindMomentary
	}
	return e
}

// without takes the i-th out and keeps the order of the others.
func without(list []*trouble, i int) []*trouble { return append(list[:i:i], list[i+1:]...) }
