package inbox

import "sync"

// A bell wakes the readers that wait for one group, one user or everyone. It
// outlives reloads of the view.
type bell struct {
	name    string
	mu      sync.Mutex
	waiting []*waiter
}

// A waiter is what a reader hangs on its bells. Its ring is called under a
// bell's lock, by many goroutines at once: it must not wait, nor touch a bell.
type waiter struct {
	ring func()
	hung []hook
}

// A hook is where a waiter hangs.
type hook struct {
	bell *bell
	at   int // in the bell's list; the bell's lock guards it
}

func (b *bell) ring() {
	b.mu.Lock()
	for _, w := range b.waiting {
		w.ring()
	}
	b.mu.Unlock()
}

func (b *bell) hang(w *waiter, i int) {
	b.mu.Lock()
	w.hung[i].at = len(b.waiting)
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
}

// unhang takes the waiter off, whose place the last one takes; idle says that
// nobody is left.
func (b *bell) unhang(w *waiter, i int) (idle bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last := len(b.waiting) - 1
	at := w.hung[i].at
	if at != last {
		moved := b.waiting[last]
		b.waiting[at] = moved
		for j := range moved.hung {
			if moved.hung[j].bell == b {
				moved.hung[j].at = at
			}
		}
	}
	b.waiting[last] = nil
	b.waiting = b.waiting[:last]
	if last == 0 || cap(b.waiting) > 64 && last < cap(b.waiting)/4 {
		b.waiting = append(make([]*waiter, 0, last), b.waiting...)
	}
	return last == 0
}

// bells holds every bell by its name.
type bells struct {
	mu     sync.Mutex
	byName map[string]*bell
}

func groupBell(group string) string { return "g." + group }
func userBell(user string) string   { return "u." + user }

const everyoneBell = "all"

func (b *bells) get(name string) *bell {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.getLocked(name)
}

func (b *bells) getLocked(name string) *bell {
	one := b.byName[name]
	if one == nil {
		if b.byName == nil {
			b.byName = make(map[string]*bell)
		}
		one = &bell{name: name}
		b.byName[name] = one
	}
	return one
}

// ring wakes those who wait on the name, if any ever did.
func (b *bells) ring(name string) {
	b.mu.Lock()
	one := b.byName[name]
	b.mu.Unlock()
	if one != nil {
		one.ring()
	}
}

// ringAll wakes every reader.
func (b *bells) ringAll() { b.ring(everyoneBell) }

// join hangs the waiter on the bells of these names, and on no others.
func (b *bells) join(names []string, w *waiter) {
	b.leave(w)
	b.mu.Lock()
	defer b.mu.Unlock()
	w.hung = make([]hook, len(names))
	for i, name := range names {
		w.hung[i].bell = b.getLocked(name)
	}
	for i := range w.hung {
		w.hung[i].bell.hang(w, i)
	}
}

// leave takes the waiter off its bells. Those of users nobody waits on go, so
// that a million visitors leave nothing behind; a group's stays, since routes
// point at it.
func (b *bells) leave(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range w.hung {
		if one := w.hung[i].bell; one.unhang(w, i) && one.name[0] == 'u' {
			delete(b.byName, one.name)
		}
	}
	w.hung = nil
}

// OnRing has ring called whenever there may be something new since the last
// Look; it comes before the first Look and goes together with no Next. ring is
// called by many goroutines at once and under locks: it must not wait, nor use
// the reader.
func (r *Reader) OnRing(ring func()) { r.w.ring = ring }

// joinBells hangs the reader on the bells of his groups.
func (r *Reader) joinBells() {
	if r.w.ring == nil {
		r.rung = make(chan struct{}, 1)
		r.w.ring = func() {
			select {
			case r.rung <- struct{}{}:
			default: // a ring while one is pending is the same ring
			}
		}
	}
	if r.m == nil {
		r.v.mu.RLock()
		r.refresh(r.v.s)
		r.v.mu.RUnlock()
	}
	if r.joined != r.m.hash {
		r.joined = r.m.hash
		r.v.bells.join(r.m.bellNames(), &r.w)
	}
}

func (r *Reader) leaveBells() {
	if r.joined != "" {
		r.joined = ""
		r.v.bells.leave(&r.w)
	}
}

// followBells hangs a reader on the bells of the groups that a look found him in,
// if they are others. What rang there until now nobody heard, so he looks again.
func (r *Reader) followBells() {
	if r.joined != "" && r.joined != r.m.hash {
		r.joinBells()
		r.w.ring()
	}
}
