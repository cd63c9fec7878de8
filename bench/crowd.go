package main

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// A crowd is who connects: readers with numbers of their own, all of the same kind.
type crowd struct {
	kind     transport
	from, to int // the readers' numbers
	groups   int // how many they are spread over; 0 is the unassigned one
	cursor   string
	cursors  []string // of each group, in place of cursor
	ahead    int      // how many may be connected that nobody has greeted yet; 0 is 50
}

// group is that of reader n.
func (c crowd) group(n int) string {
	if c.groups == 0 {
		return group
	}
	return groupName(n % c.groups)
}

// begins is the cursor of reader n.
func (c crowd) begins(n int) string {
	if c.cursors == nil {
		return c.cursor
	}
	return c.cursors[n%len(c.cursors)]
}

// openings are made beforehand where the time of connecting counts: signing the
// tokens costs the load more than connecting does.
func (c crowd) openings(s service) ([][]byte, error) {
	all := make([][]byte, 0, c.to-c.from)
	for n := c.from; n < c.to; n++ {
		opening, err := s.opening(c.kind, n, c.group(n), c.begins(n))
		if err != nil {
			return nil, err
		}
		all = append(all, opening)
	}
	return all, nil
}

// connect connects the crowd and waits until each is greeted. Held polls are not
// greeted: when they are there, only the service can say.
func (r *readers) connect(ctx context.Context, s service, c crowd, openings [][]byte) error {
	if err := allowFiles(uint64(c.to) + 500); err != nil {
		return err
	}
	quiet, ahead := dialects[c.kind].quiet, cmp.Or(c.ahead, 50)
	before := int(r.greeted.Load())
	for i, opening := range openings {
		addr, err := netip.ParseAddrPort(s.where())
		if err == nil {
			err = r.open(addr, i, c, opening)
		}
		if err == nil && !quiet && i >= ahead {
			err = r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load())-before >= i-ahead })
		}
		if err != nil {
			return fmt.Errorf("connect reader %d: %w", c.from+i, err)
		}
	}
	switch {
	case c.kind == overShort:
		return nil // it is answered all the time
	case quiet:
		return s.arrive(ctx, len(openings))
	}
	return r.await(ctx, startTimeout, func() bool { return int(r.greeted.Load())-before == len(openings) })
}

// join is openings and connect.
func (g *stage) join(ctx context.Context, c crowd) error {
	openings, err := c.openings(g)
	if err != nil {
		return err
	}
	return g.r.connect(ctx, g, c, openings)
}

// sources is how many loopback addresses the readers come from, so that the ports
// of one do not run out.
const sources = 32

// open connects the i-th stream of a crowd.
func (r *readers) open(to netip.AddrPort, i int, c crowd, opening []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	from := unix.SockaddrInet4{Addr: [4]byte{127, 0, 1, byte(1 + i%sources)}}
	// The port is chosen when it is known where to: then it may serve twice.
	err = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	if err == nil {
		err = unix.Bind(fd, &from)
	}
	if err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()})
	}
	if err == nil {
		_, err = unix.Write(fd, opening) // small enough to be taken whole
	}
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		_ = unix.Close(fd)
		return err
	}
	s := &stream{fd: fd, dialect: dialects[c.kind], cursor: c.begins(c.from + i)}
	if s.again != nil {
		s.opening = opening
	}
	r.mu.Lock()
	r.streams[int32(fd)] = s
	r.mu.Unlock()
	return unix.EpollCtl(r.poll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

// drop has n of the streams go away.
func (r *readers) drop(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for fd := range r.streams {
		if n--; n < 0 {
			return
		}
		_ = unix.Close(int(fd))
		delete(r.streams, fd)
	}
}

// allowFiles raises the number of files that this process may open.
func allowFiles(n uint64) error {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("ask how many files may be open: %w", err)
	}
	if l.Cur >= n {
		return nil
	}
	l.Cur = n
	l.Max = max(l.Max, n)
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return fmt.Errorf("allow %d open files: %w", n, err)
	}
	return nil
}
