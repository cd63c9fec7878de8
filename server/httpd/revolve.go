package httpd

import (
	"net"
	"sync"
	"time"

	"tocsin/transports"
)

// A revolver is a listener that gives a server the connections that come in, and
// those that come back for their next request after an answer that was waited
// for, which net/http had no part in.
type revolver struct {
	net.Listener
	accepted chan accepted
	over     chan struct{} // closed with the listener

	mu      sync.Mutex
	closed  bool
	waiting map[net.Conn]struct{} // for their next request
}

type accepted struct {
	conn net.Conn
	err  error
}

func newRevolver(l net.Listener) *revolver {
	v := &revolver{Listener: l, accepted: make(chan accepted), over: make(chan struct{}), waiting: map[net.Conn]struct{}{}}
	// Ends when the listener fails or is closed.
	go v.listen()
	return v
}

func (v *revolver) listen() {
	for {
		conn, err := v.Listener.Accept()
		select {
		case v.accepted <- accepted{conn, err}:
		case <-v.over:
			if conn != nil {
				_ = conn.Close()
			}
		}
		if err != nil {
			return
		}
	}
}

// Accept implements net.Listener.
func (v *revolver) Accept() (net.Conn, error) {
	select {
	case a := <-v.accepted:
		return a.conn, a.err
	case <-v.over:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener: it also closes the connections that wait for
// their next request.
func (v *revolver) Close() error {
	v.mu.Lock()
	if !v.closed {
		v.closed = true
		close(v.over)
		for conn := range v.waiting {
			_ = conn.Close()
		}
	}
	v.mu.Unlock()
	return v.Listener.Close()
}

// next waits for the connection's next request, of which this was read already,
// and then gives it to the server. It returns when that is done, or when the
// connection is over.
func (v *revolver) next(conn net.Conn, read []byte, idle time.Duration) {
	if len(read) == 0 {
		read = v.await(conn, idle)
	}
	if len(read) == 0 || conn.SetReadDeadline(time.Time{}) != nil {
		_ = conn.Close()
		return
	}
	select {
	case v.accepted <- accepted{conn: transports.Resume(conn, read)}:
	case <-v.over:
		_ = conn.Close()
	}
}

// await waits for the first byte of a request.
func (v *revolver) await(conn net.Conn, idle time.Duration) []byte {
	if !v.enter(conn) {
		return nil
	}
	defer v.leave(conn)
	if conn.SetReadDeadline(time.Now().Add(idle)) != nil {
		return nil
	}
	b := make([]byte, 1)
	n, _ := conn.Read(b) // an error comes again with the next one
	return b[:n]
}

func (v *revolver) enter(conn net.Conn) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.closed {
		v.waiting[conn] = struct{}{}
	}
	return !v.closed
}

func (v *revolver) leave(conn net.Conn) {
	v.mu.Lock()
	defer v.mu.Unlock()
	delete(v.waiting, conn)
}
