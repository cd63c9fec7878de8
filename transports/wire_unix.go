//go:build unix

package transports

import (
	"errors"
	"sync"
	"syscall"
)

// A writeOp is one write that does not wait. They are kept in a pool, as the
// function would else be allocated for each.
type writeOp struct {
	p   []byte
	n   int
	err error
	run func(fd uintptr) bool
}

var writeOps = sync.Pool{New: func() any {
	op := &writeOp{}
	op.run = op.write
	return op
}}

func (op *writeOp) write(fd uintptr) bool {
	for {
		op.n, op.err = syscall.Write(int(fd), op.p)
		if !errors.Is(op.err, syscall.EINTR) {
			return true // also where it would have to wait
		}
	}
}

// writeNow writes as much as the kernel takes at once.
func writeNow(raw syscall.RawConn, p []byte) (n int, err error) {
	op := writeOps.Get().(*writeOp)
	op.p = p
	err = raw.Write(op.run)
	n = max(op.n, 0)
	if err == nil && op.err != nil && !errors.Is(op.err, syscall.EAGAIN) {
		err = op.err
	}
	op.p, op.n, op.err = nil, 0, nil
	writeOps.Put(op)
	return n, err
}
