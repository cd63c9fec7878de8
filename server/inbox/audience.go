package inbox

// A record is the newest entry of a subject with what lists filter and count by.
type record struct {
	subject   string
	tag       string
	home      *audience // as recorded; nil: nobody's
	left      []Left    // sequences resolved
	data      []byte    // as stored; nil when closed and out of the window
	seq       uint64
	rev       uint64
	told      uint64 // 0: never
	announced uint64 // 0: never
	listed    uint64 // when its place in lists changed last; 0: before the load
	due       int64  // when the worker looks at it again, Unix milliseconds; 0: never
	severity  Severity
	active    bool
	acked     bool
	held      bool // kept from readers until it has been moved; see state.isHeld
}

func (r *record) open() bool { return r.severity != 0 && (r.active || !r.acked) }

// sits says whether the record belongs to the audience's readers.
func (r *record) sits(a *audience) bool {
	return r.home != nil && !r.held && (r.home == a || a.key == starAudience && r.home.routed)
}

// A shown is one entry of the window.
type shown struct {
	seq    uint64
	data   []byte
	body   []byte // within data
	rec    *record
	home   *audience
	former []*audience // those that the entry took its subject away from
	stored int64       // Unix microseconds
	// severity of the alarm as of this entry, 0 of a notice.
	severity Severity
}

// size is what a shown costs in memory, in bytes, near enough.
func (w *shown) size() int { return len(w.data) + 208 }

// A line is one entry in an audience's part of the window; removed is set where
// the entry took the subject away from this audience.
type line struct {
	seq     uint64
	entry   *shown
	removed *Left
}

func lineSeq(l line) uint64 { return l.seq }

// An audience is the state of one Audience: its part of the window, its subjects
// by their last told change, by their announcement and as lists show them, and its
// counters.
type audience struct {
	key     Audience
	routed  bool
	window  []line
	evicted uint64 // highest sequence of a told entry that has left the window
	told    index
	unread  announcements
	open    [Critical + 1]int // open alarms by severity
	raised  uint64            // of a route: its newest new alarm
	raises  []raise           // of a route: its new alarms in the window
	list    order
	wakes   []*bell // of a route: who hears of its entries
}

// count adds the record to the counters; uncount takes it out again and must see
// it as it was counted.
func (a *audience) count(r *record) {
	if r.announced != 0 {
		a.unread.add(r.announced)
	}
	if r.open() {
		a.open[r.severity]++
	}
}

func (a *audience) uncount(r *record) {
	if r.announced != 0 {
		a.unread.remove(r.announced)
	}
	if r.open() {
		a.open[r.severity]--
	}
}

// evict drops the entry, the oldest of the window, from the audience's part.
func (a *audience) evict(w *shown) {
	if len(a.window) > 0 && a.window[0].entry == w {
		a.window[0] = line{}
		a.window = a.window[1:]
		a.evicted = max(a.evicted, w.seq)
	}
	if len(a.raises) > 0 && a.raises[0].seq == w.seq {
		a.raises = a.raises[1:]
	}
}
