package presence

import (
	"errors"
	"time"
)

// What a message between nodes says.
const (
	kindChanges  byte = iota + 1 // what has changed at a node since its last ones
	kindBeat                     // that it lives, and how many changes it has told
	kindSnapshot                 // a part of all that is there
	kindWant                     // a snapshot is wanted
	kindLeave                    // the node goes
	kindKick                     // end what a user has open
	kindKicked                   // how much that was
	kindAsk                      // where are a user's connections
	kindPlaces                   // there
)

const (
	digestVersion = 1
	// maxDigest is how many connections are in one message. A name has up to a few
	// hundred bytes, so it is well below what a bus carries.
	maxDigest = 1000
)

var errDigest = errors.New("not a message between nodes")

// A digest is one message between nodes. Which fields it has depends on its kind.
type digest struct {
	kind      byte
	run, node string // of the sender
	// seq counts the sender's changes: of those, which these are; of the others, how
	// many came before.
	seq uint64

	// Of changes and snapshots.
	came    []arrival
	went    []uint64
	touched []touch
	part    uint64 // of a snapshot, from 0
	last    bool   // the last part, or the last of an answer's

	// to is the run that is meant: of what is wanted, empty for all; of answers, who
	// asked. ask names the question among those of one who asks.
	to     string
	ask    uint64
	user   string // of kicks and questions; empty for all
	count  uint64 // of kindKicked
	places []place
}

// An arrival says all that other nodes know of a connection. Times are told as how
// long ago they were, so that clocks that differ do no harm.
type arrival struct {
	id              uint64
	user, transport string
	since           time.Time
	poll            bool // a poller, who is no stream
	touch           touch
}

// A touch is when a poller was heard of.
type touch struct {
	id   uint64
	away bool // no poll is under way since seen
	seen time.Time
}

// A place is how far a connection's inbox has been delivered.
type place struct {
	id         uint64
	subscribed bool
	at         uint64
}

// A writer appends the fields of digests.
type writer struct {
	packer
	now   time.Time
	words map[string]uint64 // those that come often, by their place
}

func (w *writer) bool(v bool) {
	w.plain = append(w.plain, 0)
	if v {
		w.plain[len(w.plain)-1] = 1
	}
}

// word writes a string that comes often: in full only the first time.
func (w *writer) word(s string) {
	at, known := w.words[s]
	if !known {
		at = uint64(len(w.words))
		w.words[s] = at
	}
	if w.uint(at); !known {
		w.string(s)
	}
}

// time writes how many milliseconds ago something was.
func (w *writer) time(t time.Time) { w.uint(uint64(max(0, w.now.Sub(t).Milliseconds()))) }

func (w *writer) touch(t *touch) {
	w.bool(t.away)
	if t.away {
		w.time(t.seen)
	}
}

// append writes a digest behind b, as of now.
func (d *digest) append(b []byte, now time.Time) []byte {
	w := &writer{packer: packer{plain: append(b, digestVersion, d.kind)}, now: now, words: map[string]uint64{}}
	w.string(d.run)
	w.string(d.node)
	w.uint(d.seq)
	switch d.kind {
	case kindChanges, kindSnapshot:
		d.appendChanges(w)
	case kindWant:
		w.string(d.to)
	case kindKick, kindAsk:
		w.uint(d.ask)
		w.string(d.user)
	case kindKicked:
		w.string(d.to)
		w.uint(d.ask)
		w.uint(d.count)
	case kindPlaces:
		w.string(d.to)
		w.uint(d.ask)
		w.bool(d.last)
		w.uint(uint64(len(d.places)))
		for _, p := range d.places {
			w.uint(p.id)
			w.bool(p.subscribed)
			w.uint(p.at)
		}
	}
	return w.plain
}

func (d *digest) appendChanges(w *writer) {
	w.uint(d.part)
	w.bool(d.last)
	w.uint(uint64(len(d.came)))
	for i := range d.came {
		a := &d.came[i]
		w.uint(a.id)
		w.string(a.user)
		w.word(a.transport)
		w.time(a.since)
		w.bool(a.poll)
		if a.poll {
			w.touch(&a.touch)
		}
	}
	w.uint(uint64(len(d.went)))
	for _, id := range d.went {
		w.uint(id)
	}
	w.uint(uint64(len(d.touched)))
	for i := range d.touched {
		w.uint(d.touched[i].id)
		w.touch(&d.touched[i])
	}
}

// A reader takes digests apart. After a fault everything it gives is zero.
type reader struct {
	unpacker
	now   time.Time
	words []string
}

func (r *reader) fail() { r.bad, r.rest = true, nil }

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	v := r.rest[0]
	r.rest = r.rest[1:]
	return v
}

func (r *reader) bool() bool { return r.byte() == 1 }

func (r *reader) word() string {
	at := r.uint()
	switch n := uint64(len(r.words)); {
	case at < n:
		return r.words[at]
	case at > n:
		r.fail()
		return ""
	}
	s := r.string()
	r.words = append(r.words, s)
	return s
}

// longest bounds how long ago something may have been, so that no sum overflows.
const longest = 100 * 365 * 24 * time.Hour

func (r *reader) time() time.Time {
	ms := min(r.uint(), uint64(longest/time.Millisecond))
	return r.now.Add(-time.Duration(ms) * time.Millisecond)
}

func (r *reader) touch(id uint64) touch {
	t := touch{id: id, away: r.bool()}
	if t.away {
		t.seen = r.time()
	}
	return t
}

// parseDigest reads what append wrote; now is when it came.
func parseDigest(b []byte, now time.Time) (*digest, error) {
	r := &reader{unpacker: unpacker{rest: b}, now: now}
	if r.byte() != digestVersion {
		return nil, errDigest
	}
	d := &digest{kind: r.byte(), run: r.string(), node: r.string(), seq: r.uint()}
	switch d.kind {
	case kindChanges, kindSnapshot:
		d.parseChanges(r)
	case kindBeat, kindLeave:
	case kindWant:
		d.to = r.string()
	case kindKick, kindAsk:
		d.ask, d.user = r.uint(), r.string()
	case kindKicked:
		d.to, d.ask, d.count = r.string(), r.uint(), r.uint()
	case kindPlaces:
		d.to, d.ask, d.last = r.string(), r.uint(), r.bool()
		for range r.count() {
			d.places = append(d.places, place{r.uint(), r.bool(), r.uint()})
		}
	default:
		return nil, errDigest
	}
	if r.bad || d.run == "" {
		return nil, errDigest
	}
	return d, nil
}

func (d *digest) parseChanges(r *reader) {
	d.part, d.last = r.uint(), r.bool()
	for range r.count() {
		a := arrival{id: r.uint(), user: r.string(), transport: r.word(), since: r.time(), poll: r.bool()}
		if a.poll {
			a.touch = r.touch(a.id)
		}
		d.came = append(d.came, a)
	}
	for range r.count() {
		d.went = append(d.went, r.uint())
	}
	for range r.count() {
		d.touched = append(d.touched, r.touch(r.uint()))
	}
}
