package inbox

import "strings"

// Keeps says whether the message at the sequence is its subject's newest and must
// live on when the log is purged beyond it: an open alarm, one that something is
// still due of, what the directory says of a device, a member or a route. What is
// over, and what the directory says of something no more, need not. The answer is
// of the head's moment. The entries of the system are not looked at.
func (v *View) Keeps(subject string, seq uint64) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	s := v.s
	if isItem(subject) {
		r := s.records[subject]
		return r != nil && r.seq == seq && (r.open() || r.due != 0)
	}
	return s.dirSeqs[subject] == seq && s.directoryHas(subject)
}

// directoryHas says whether the newest entry of a dir subject says that there is
// something.
func (s *state) directoryHas(subject string) bool {
	switch {
	case strings.HasPrefix(subject, prefixRoute):
		return true
	case strings.HasPrefix(subject, prefixDevice):
		if t, ok := tokens(subject, prefixDevice, 1); ok {
			_, known := s.devices[t[0]]
			return known
		}
	case strings.HasPrefix(subject, prefixMember):
		if t, ok := tokens(subject, prefixMember, 2); ok {
			_, is := s.members[t[1]][t[0]]
			return is
		}
	}
	return false
}
