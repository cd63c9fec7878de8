package inbox

import "sync/atomic"

// GapReasons are all reasons of a gap.
var GapReasons = [...]GapReason{GapExpired, GapEpoch, GapMembership, GapCompacted}

// gapCounts counts gaps by their place in GapReasons.
type gapCounts [len(GapReasons)]atomic.Uint64

// note counts the gap of a batch that a reader gets, if it has one.
func (c *gapCounts) note(g *Gap) {
	if g == nil {
		return
	}
	for i := range GapReasons {
		if GapReasons[i] == g.Reason {
			c[i].Add(1)
		}
	}
}

// Figures are what an operator asks a view for.
type Figures struct {
	// Head is the sequence up to which readers are served.
	Head uint64
	// Subjects are the alarms and notices in memory, Open the alarms of everybody
	// that are active or unacknowledged, by Severity.
	Subjects int
	Open     [Critical + 1]int
	// Devices and Members are those that the directory knows, Routes the sets of
	// groups that alarms were given.
	Devices, Members, Routes int
	// Window is how many entries are in the window, WindowBytes what they take.
	Window, WindowBytes int
	// Reloads is how often the log was loaded again.
	Reloads uint64
	// Gaps are those that readers were told, in the order of GapReasons.
	Gaps [len(GapReasons)]uint64
}

// Figures returns the view's figures. It takes no longer for a larger view.
func (v *View) Figures() Figures {
	v.mu.RLock()
	s := v.s
	f := Figures{
		Head: s.head, Subjects: len(s.records), Open: s.all.open,
		Devices: len(s.devices), Members: len(s.members), Routes: len(s.routes),
		Window: len(s.window), WindowBytes: s.windowSize, Reloads: max(v.gen, 1) - 1,
	}
	v.mu.RUnlock()
	for i := range f.Gaps {
		f.Gaps[i] = v.gaps[i].Load()
	}
	return f
}
