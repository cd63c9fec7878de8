package inbox

import "sync"

// A bell wakes the readers that wait for one group, one user or everyone. It
// outlives reloads of the view.
type bell struct {
	mu      sync.Mutex
	waiting map[*waiter]struct{}
}

// A waiter is a reader's one-slot channel: a ring while one is pending is the
// same ring.
type waiter struct{ rung chan struct{} }

func (w *waiter) ring() {
	select {
	case w.rung <- struct{}{}:
	default:
	}
}

func (b *bell) ring() {
	b.mu.Lock()
	for w := range b.waiting {
		w.ring()
	}
	b.mu.Unlock()
}

func (b *bell) join(w *waiter) {
	b.mu.Lock()
	if b.waiting == nil {
		b.waiting = make(map[*waiter]struct{})
	}
	b.waiting[w] = struct{}{}
	b.mu.Unlock()
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
		one = &bell{}
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

// leave takes the waiter off the bell. Bells of users nobody waits on go, so
// that a million visitors leave nothing behind; a group's stays, since routes
// point at it.
func (b *bells) leave(name string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	one := b.byName[name]
	if one == nil {
		return
	}
	one.mu.Lock()
	delete(one.waiting, w)
	idle := len(one.waiting) == 0
	one.mu.Unlock()
	if idle && name[0] == 'u' {
		delete(b.byName, name)
	}
}

func (b *bells) join(name string, w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.getLocked(name).join(w)
}
