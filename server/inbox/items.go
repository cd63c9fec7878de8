package inbox

import (
	"maps"
	"slices"
	"strings"
)

func isItem(subject string) bool {
	return strings.HasPrefix(subject, prefixAlarm) || strings.HasPrefix(subject, prefixNotice)
}

// applyItem takes an alarm or a notice: first its record, then the window.
func (s *state) applyItem(e *Entry, data []byte) {
	resolve(e)
	r := s.records[e.Subject]
	if r == nil {
		r = &record{subject: e.Subject}
		s.records[e.Subject] = r
	}
	held := s.isHeld(e)
	if r.seq < e.Seq {
		s.replace(r, e, held)
		r.data = nil
		if r.open() || !e.Quiet {
			r.data = data
		}
	}
	if !e.Quiet && !held && len(e.Body) >= 2 {
		s.show(e, r, data)
	}
}

// resolve puts the entry's own sequence where its former audiences say "this
// one".
func resolve(e *Entry) {
	for i := range e.Left {
		if e.Left[i].Seq == 0 {
			e.Left[i].Seq = e.Seq
		}
	}
}

// isHeld says whether an open alarm's route differs from its device's although
// the entry came after the device's: its writer did not know of that. Readers do
// not see it until it has been moved. What is over is not moved, and stays where
// it was.
func (s *state) isHeld(e *Entry) bool {
	name, routed := e.Audience.Route()
	if !routed || !e.Open() {
		return false
	}
	d, ok := alarmDevice(e.Subject)
	if !ok {
		return false
	}
	dev, known := s.devices[d]
	return known && dev.seq < e.Seq && dev.route != name
}

// fill makes the entry the record's newest, without touching any index.
func (s *state) fill(r *record, e *Entry) {
	r.tag, r.seq, r.rev = e.Tag, e.Seq, e.Rev
	r.told, r.announced = e.ToldAt(), e.AnnouncedAt()
	r.severity, r.active, r.acked = e.Severity, e.Active, e.Acked
	r.home, r.left = s.audience(e.Audience), e.Left
	s.due.set(r, dueAt(e))
}

// sites are the audiences that index and count the record.
func (s *state) sites(r *record) (list [2]*audience, n int) {
	if r.home == nil || r.held {
		return list, 0
	}
	list[0] = r.home
	if !r.home.routed {
		return list, 1
	}
	list[1] = s.all
	return list, 2
}

// replace makes the entry the record's newest, in every index and counter.
func (s *state) replace(r *record, e *Entry, held bool) {
	old := *r
	before, n := s.sites(&old)
	for _, a := range before[:n] {
		a.uncount(&old)
	}
	s.fill(r, e)
	r.held = held
	after, m := s.sites(r)
	for _, a := range after[:m] {
		a.count(r)
		if r.told != 0 && (r.told != old.told || !old.sits(a)) {
			a.told.add(told{seq: r.told, rec: r})
		}
	}
	for _, a := range before[:n] {
		if old.told != 0 && (r.told != old.told || !r.sits(a)) {
			a.told.dropped(a)
		}
	}
	s.replaceLeft(r, old.left)
	s.reorder(r, &old, e.Seq)
	s.track(r, old.open())
}

// replaceLeft brings the tombstones of the former audiences up to date.
func (s *state) replaceLeft(r *record, old []Left) {
	for _, l := range r.left {
		if !slices.Contains(old, l) {
			s.audience(l.Audience).told.add(told{seq: l.Seq, rec: r, removed: true})
		}
	}
	for _, l := range old {
		if !slices.Contains(r.left, l) {
			a := s.audience(l.Audience)
			a.told.dropped(a)
		}
	}
}

// track keeps the open alarms by device, and those that wait to be moved.
func (s *state) track(r *record, wasOpen bool) {
	d, ok := alarmDevice(r.subject)
	if !ok {
		return
	}
	switch {
	case r.open() && !wasOpen:
		s.openOf[d] = append(s.openOf[d], r)
	case !r.open() && wasOpen:
		list := s.openOf[d]
		if i := slices.Index(list, r); i >= 0 {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
		}
		if s.openOf[d] = list; len(list) == 0 {
			delete(s.openOf, d)
		}
	}
	s.checkRoute(r, d)
}

// checkRoute notes whether the alarm waits to be moved.
func (s *state) checkRoute(r *record, device string) {
	want := s.unassigned
	if d, known := s.devices[device]; known {
		want = d.route
	}
	if r.open() && r.home != nil && (r.held || r.home.key != RouteAudience(want)) {
		s.misrouted[r] = struct{}{}
	} else {
		delete(s.misrouted, r)
	}
}

// show puts the entry into the window and into its audiences' parts of it.
func (s *state) show(e *Entry, r *record, data []byte) {
	w := &shown{seq: e.Seq, data: data, body: e.Body, rec: r, home: s.audience(e.Audience),
		stored: e.Stored.UnixMicro(), severity: min(e.Severity, Critical)}
	if w.home != nil {
		l := line{seq: e.Seq, entry: w}
		w.home.window = append(w.home.window, l)
		if w.home.routed {
			s.all.window = append(s.all.window, l)
			if r, yes := e.raised(); yes {
				w.home.remember(r)
				s.all.remember(r)
			}
		}
	}
	for i := range e.Left {
		if l := &e.Left[i]; l.Seq == e.Seq {
			a := s.audience(l.Audience)
			w.former = append(w.former, a)
			a.window = append(a.window, line{seq: e.Seq, entry: w, removed: l})
		}
	}
	if w.home == nil && w.former == nil {
		return
	}
	s.window = append(s.window, w)
	s.windowSize += w.size()
	for s.windowSize > s.windowMax && len(s.window) > 1 {
		s.evict()
	}
}

// evict drops the oldest entry of the window.
func (s *state) evict() {
	w := s.window[0]
	s.window[0] = nil
	s.window = s.window[1:]
	s.windowSize -= w.size()
	if w.home != nil {
		w.home.evict(w)
		if w.home.routed {
			s.all.evict(w)
		}
	}
	for _, a := range w.former {
		a.evict(w)
	}
	if w.rec.seq == w.seq && !w.rec.open() {
		w.rec.data = nil
	}
}

// purge drops what stands below the sequence, as the entry at seq says. Whoever
// purges has seen to it that what must live on stands above it (View.Keeps).
func (s *state) purge(below, seq uint64) {
	if below <= s.purged {
		return
	}
	s.purged = below
	for len(s.window) > 0 && s.window[0].seq < below {
		s.evict()
	}
	for subject, r := range s.records {
		if r.seq >= below {
			continue
		}
		gone := *r
		sites, n := s.sites(r)
		for _, a := range sites[:n] {
			a.uncount(r)
		}
		r.home, r.left, r.told = nil, nil, 0
		for _, a := range sites[:n] {
			if gone.told != 0 {
				a.told.dropped(a)
			}
		}
		s.replaceLeft(r, gone.left)
		r.severity = 0
		s.reorder(r, &gone, seq)
		s.due.set(r, 0)
		s.track(r, gone.open())
		delete(s.records, subject)
	}
	s.forget()
}

// forget drops what is known of entries that have been purged, besides items.
func (s *state) forget() {
	// Who has been away since before the epoch that follows is told that his
	// cursor has expired; the epochs that lie wholly below are of no more use.
	for len(s.epochs) > 1 && s.epochs[1].First < s.purged {
		s.epochs = s.epochs[1:]
	}
	// What is left of the directory below said that something is no more. The
	// next one to say something of it finds no entry of it in the log.
	maps.DeleteFunc(s.dirSeqs, func(_ string, seq uint64) bool { return seq < s.purged })
}

// wake rings for whoever may read the entry; everyone where routes or
// memberships changed.
func (s *state) wake(e *Entry) {
	switch {
	case isItem(e.Subject):
		s.wakeAudience(e.Audience)
		for _, l := range e.Left {
			s.wakeAudience(l.Audience)
		}
	case strings.HasPrefix(e.Subject, prefixMember):
		if t, ok := tokens(e.Subject, prefixMember, 2); ok {
			s.bells.ring(userBell(t[1]))
		}
	case e.Subject == SubjectPurged:
		s.bells.ringAll()
	}
}

func (s *state) wakeAudience(key Audience) {
	if user, ok := key.User(); ok {
		s.bells.ring(userBell(user))
		return
	}
	if key == Everyone {
		s.bells.ringAll()
		return
	}
	if a := s.audiences[key]; a != nil {
		for _, b := range a.wakes {
			b.ring()
		}
	}
}
