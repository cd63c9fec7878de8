package transports

import (
	"errors"
	"net"
	"syscall"
)

// A resumed is a connection of whose next request something has been read.
type resumed struct {
	net.Conn
	read []byte
}

// Resume returns a connection that gives what was read of it before the rest.
func Resume(conn net.Conn, read []byte) net.Conn {
	conn = Unwrap(conn)
	if len(read) == 0 {
		return conn
	}
	return &resumed{conn, read}
}

// Unwrap is the connection itself, once what Resume gave back has been read.
func Unwrap(conn net.Conn) net.Conn {
	if r, ok := conn.(*resumed); ok && len(r.read) == 0 {
		return r.Conn
	}
	return conn
}

// Read implements net.Conn.
func (r *resumed) Read(p []byte) (int, error) {
	if len(r.read) == 0 {
		return r.Conn.Read(p) //nolint:wrapcheck // it is the connection's
	}
	n := copy(p, r.read)
	if r.read = r.read[n:]; len(r.read) == 0 {
		r.read = nil
	}
	return n, nil
}

// NetConn is the connection below.
func (r *resumed) NetConn() net.Conn { return r.Conn }

// SyscallConn implements syscall.Conn, for writing.
func (r *resumed) SyscallConn() (syscall.RawConn, error) {
	if c, ok := r.Conn.(syscall.Conn); ok {
		return c.SyscallConn() //nolint:wrapcheck // it is the connection's
	}
	return nil, errors.ErrUnsupported
}
