package limit

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// doors are the connections that are open.
type doors struct {
	mu   sync.Mutex
	open int
	of   map[netip.Addr]int // by address, those without limits left out
	// reserve is how many requests that publish are served beyond the limits.
	reserve atomic.Int64

	waiting room // for a whole request
	idle    room // for the next one
}

// A Conn is a client's connection, which is counted until it is closed.
type Conn struct {
	*net.TCPConn
	l      *Limiter
	closed atomic.Bool

	waits, rests guest // in the rooms of the doors

	mu      sync.Mutex
	proxied bool       // a trusted proxy's: who is behind it, requests say
	from    netip.Addr // whom it is counted for; not valid: nobody
	over    *Refusal   // the limit that it is beyond
}

// NetConn is the connection below.
func (c *Conn) NetConn() net.Conn { return c.TCPConn }

// Close implements net.Conn.
func (c *Conn) Close() error {
	if !c.closed.Swap(true) {
		c.l.gone(c)
	}
	return c.TCPConn.Close()
}

// A listener gives the connections that come in to a Limiter first.
type listener struct {
	net.Listener
	l *Limiter
}

// Listener counts a listener's connections. Those beyond the limits come in, too,
// since Arrived is to tell them so, and are sent away when they say nothing.
func (l *Limiter) Listener(in net.Listener) net.Listener { return &listener{in, l} }

// Accept implements net.Listener.
func (in *listener) Accept() (net.Conn, error) {
	c, err := in.Listener.Accept()
	if err != nil {
		return nil, err //nolint:wrapcheck // servers look at what it is
	}
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return c, nil
	}
	return in.l.came(tcp), nil
}

// SetDeadline is the deadline of Accept, which listeners of TCP have.
func (in *listener) SetDeadline(t time.Time) error {
	if d, ok := in.Listener.(interface{ SetDeadline(t time.Time) error }); ok {
		return d.SetDeadline(t) //nolint:wrapcheck // it is the listener's
	}
	return nil
}

// came counts a connection in.
func (l *Limiter) came(tcp *net.TCPConn) *Conn {
	o := l.o.Load()
	c := &Conn{TCPConn: tcp, l: l}
	c.waits.out = func() { _ = c.Close() }
	c.rests.out = c.waits.out
	peer := parse(tcp.RemoteAddr().String())
	c.proxied = within(o.Proxies, peer)
	from := netip.Addr{}
	if !c.proxied && !within(o.Unlimited, peer) {
		from = network(peer)
	}
	d := &l.doors
	d.mu.Lock()
	d.open++
	full := o.Connections > 0 && d.open > o.Connections
	d.mu.Unlock()
	// Whoever rests makes room for whoever comes.
	if full && !d.idle.dismiss() {
		c.over = l.refuse(nameConnections, o.Connections, time.Second, ErrFull)
	}
	if !l.count(c, from) && c.over == nil {
		c.over = l.refuse(nameAddressConnections, o.AddressConnections, time.Second, ErrConnections)
	}
	c.waits.from = from
	if d.waiting.enter(&c.waits, o.Waiting) {
		l.refused(nameWaiting)
	}
	return c
}

// Most is how many connections may be open at a time; 0 is any number.
func (l *Limiter) Most() int { return l.o.Load().Connections }

// Enter takes a handshake, and counts a connection that another listener has taken until
// leave is called, once. The error is a Refusal: it is one too many, and not counted. Who
// is behind a trusted proxy such a listener does not know, and has no limits by address.
func (l *Limiter) Enter(from netip.Addr) (leave func(), err error) {
	o, d := l.o.Load(), &l.doors
	counted := o.counted(from)
	if !counted.IsValid() {
		from = counted
	}
	if err := l.Admit(Handshakes, from, "", 1); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case o.Connections > 0 && d.open >= o.Connections:
		return nil, l.refuse(nameConnections, o.Connections, time.Second, ErrFull)
	case o.AddressConnections > 0 && d.of[counted] >= o.AddressConnections:
		return nil, l.refuse(nameAddressConnections, o.AddressConnections, time.Second, ErrConnections)
	}
	d.open++
	if counted.IsValid() {
		d.of[counted]++
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.open--
		d.forget(counted)
	}, nil
}

// counted is whom a client's connection is counted for; not valid: nobody.
func (o *Options) counted(from netip.Addr) netip.Addr {
	if within(o.Unlimited, from) || within(o.Proxies, from) {
		return netip.Addr{}
	}
	return network(from)
}

// count counts a connection for an address, and for none before. It says whether
// that one may have it.
func (l *Limiter) count(c *Conn, from netip.Addr) bool {
	d, most := &l.doors, l.o.Load().AddressConnections
	d.mu.Lock()
	defer d.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() && from.IsValid() {
		return true // gone has been here, or will look for whom it is counted
	}
	d.forget(c.from)
	c.from = from
	if !from.IsValid() {
		return true
	}
	d.of[from]++
	return most == 0 || d.of[from] <= most
}

// forget counts a connection of an address out; under the lock.
func (d *doors) forget(from netip.Addr) {
	if !from.IsValid() {
		return
	}
	if d.of[from]--; d.of[from] == 0 {
		delete(d.of, from)
	}
}

// gone counts a connection out.
func (l *Limiter) gone(c *Conn) {
	d := &l.doors
	d.waiting.leave(&c.waits)
	d.idle.leave(&c.rests)
	d.mu.Lock()
	d.open--
	d.mu.Unlock()
	l.count(c, netip.Addr{})
}

type connKey struct{}

// ConnContext is that of an http.Server.
func (l *Limiter) ConnContext(ctx context.Context, c net.Conn) context.Context {
	if conn := connOf(c); conn != nil {
		return context.WithValue(ctx, connKey{}, conn)
	}
	return ctx
}

// ConnState is that of an http.Server: what begins a request has to say all of it.
func (l *Limiter) ConnState(c net.Conn, state http.ConnState) {
	conn := connOf(c)
	if conn == nil {
		return
	}
	d := &l.doors
	switch state {
	case http.StateActive:
		d.idle.leave(&conn.rests)
		d.again(conn, &d.waiting, &conn.waits)
	case http.StateIdle:
		d.waiting.leave(&conn.waits)
		d.again(conn, &d.idle, &conn.rests)
	case http.StateHijacked, http.StateClosed:
		d.waiting.leave(&conn.waits)
		d.idle.leave(&conn.rests)
	}
}

// again lets a connection into a room, unless it is there or over.
func (d *doors) again(c *Conn, in *room, g *guest) {
	if in.has(g) {
		return
	}
	most := 0
	if in == &d.waiting {
		most = c.l.o.Load().Waiting
	}
	if in.enter(g, most) {
		c.l.refused(nameWaiting)
	}
	if c.closed.Load() { // in between
		in.leave(g)
	}
}

// connOf finds the Conn below TLS and others.
func connOf(c net.Conn) *Conn {
	for {
		switch t := c.(type) {
		case *Conn:
			return t
		case interface{ NetConn() net.Conn }:
			c = t.NetConn()
		default:
			return nil
		}
	}
}

// leastReserve is how many requests that publish are served beyond the limits of
// connections at least; else it is a tenth of those.
const leastReserve = 16

// An Arrival is a request that has come.
type Arrival struct {
	// From is the client's address; not valid where there is no network.
	From netip.Addr
	// Last: its connection is one too many, and to be closed behind the answer.
	Last bool
	// Done is called when the request has been served.
	Done func()
}

// Arrived notes that a whole request has come. With a Refusal its connection is one
// too many, and the request to be answered with it. One that publishes is served all
// the same, as it may carry a critical alarm, while not too many are.
func (l *Limiter) Arrived(r *http.Request, publishes bool) (Arrival, error) {
	a := Arrival{From: l.Client(r), Done: func() {}}
	c, _ := r.Context().Value(connKey{}).(*Conn)
	if c == nil {
		return a, nil
	}
	d := &l.doors
	d.waiting.leave(&c.waits)
	over := l.over(c, r, a.From)
	if over == nil {
		return a, nil
	}
	a.Last = true
	if !publishes {
		return a, over
	}
	if d.reserve.Add(1) > int64(max(leastReserve, over.Most/10)) {
		d.reserve.Add(-1)
		return a, over
	}
	a.Done = func() { d.reserve.Add(-1) }
	return a, nil
}

// over is the limit that the connection of a request is beyond, if there is one. That
// of a trusted proxy is the client's whose request came last, but over HTTP/2, where
// it is many clients'.
func (l *Limiter) over(c *Conn, r *http.Request, from netip.Addr) *Refusal {
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	if over != nil || !c.proxied || r.ProtoMajor != 1 {
		return over
	}
	o := l.o.Load()
	if l.count(c, o.counted(from)) {
		return nil
	}
	return l.refuse(nameAddressConnections, o.AddressConnections, time.Second, ErrConnections)
}
