package e2e

import (
	"io"
	"net"
	"sync"
	"testing"
)

// A wire carries one server's connections to another, until it is cut: then
// nothing passes and nobody is told, as when a cable is pulled. What was under way
// arrives when the wire is mended.
type wire struct {
	address string // where it is picked up
	to      string

	mu     sync.Mutex
	mended *sync.Cond // of cut and closed
	cut    bool
	closed bool
	ends   map[net.Conn]bool
}

// newWire lays a wire to an address, until the test ends.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{address: l.Addr().String(), to: to, ends: map[net.Conn]bool{}}
	w.mended = sync.NewCond(&w.mu)
	var all sync.WaitGroup
	all.Go(func() { // ends with the listener
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { w.carry(c) }) // ends with the connection
		}
	})
	t.Cleanup(func() {
		l.Close()
		w.close()
		all.Wait()
	})
	return w
}

// carry connects a connection through.
func (w *wire) carry(from net.Conn) {
	defer from.Close()
	if !w.passable() {
		return
	}
	to, err := net.Dial("tcp", w.to)
	if err != nil {
		return
	}
	defer to.Close()
	if !w.hold(from, to) {
		return
	}
	defer w.let(from, to)
	var back sync.WaitGroup
	back.Go(func() { w.copy(from, to) }) // ends with either connection
	w.copy(to, from)
	back.Wait()
}

// copy ends with either connection, and ends the other.
func (w *wire) copy(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !w.passable() {
			return
		}
		if _, wrong := to.Write(buffer[:n]); err != nil || wrong != nil {
			return
		}
	}
}

// passable waits while the wire is cut; false when it is there no more.
func (w *wire) passable() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.cut && !w.closed {
		w.mended.Wait()
	}
	return !w.closed
}

func (w *wire) hold(ends ...net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range ends {
		w.ends[c] = true
	}
	return !w.closed
}

func (w *wire) let(ends ...net.Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range ends {
		delete(w.ends, c)
	}
}

// set cuts the wire, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	w.mended.Broadcast()
}

func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.mended.Broadcast()
	for c := range w.ends {
		c.Close()
	}
}

// A net of wires leads from each of some servers to each other.
type wires map[[2]int]*wire

// layWires connects the addresses with each other.
func layWires(t *testing.T, addresses []string) wires {
	t.Helper()
	all := wires{}
	for i := range addresses {
		for j, to := range addresses {
			if i != j {
				all[[2]int{i, j}] = newWire(t, to)
			}
		}
	}
	return all
}

// seenFrom are the addresses as one of the servers is to dial them; its own is what
// it listens at.
func (all wires) seenFrom(i int, addresses []string) (peers []string) {
	for j, own := range addresses {
		if i != j {
			own = all[[2]int{i, j}].address
		}
		peers = append(peers, own)
	}
	return peers
}

// isolate cuts one server off from the others, or mends that.
func (all wires) isolate(i int, cut bool) {
	for way, w := range all {
		if way[0] == i || way[1] == i {
			w.set(cut)
		}
	}
}

// A cut wire keeps what was under way, and gives it when it is mended.
func TestACutWireIsSilentAndForgetsNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	w := newWire(t, l.Addr().String())
	from, err := net.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	read := make(chan string)
	go func() { // ends with the two readings
		for range 2 {
			b := make([]byte, 3)
			_, _ = io.ReadFull(to, b)
			read <- string(b)
		}
	}()
	write := func(text string) {
		if _, err := io.WriteString(from, text); err != nil {
			t.Error(err)
		}
	}
	write("one")
	if got := <-read; got != "one" {
		t.Errorf("before the cut: %q", got)
	}
	w.set(true)
	write("two")
	select {
	case got := <-read:
		t.Errorf("through a cut wire: %q", got)
	default:
	}
	w.set(false)
	if got := <-read; got != "two" {
		t.Errorf("after the cut: %q", got)
	}
}
