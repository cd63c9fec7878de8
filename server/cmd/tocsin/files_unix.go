//go:build unix

package main

import (
	"math"
	"syscall"
)

// openFiles is how many files the process may have open, each connection one of
// them; 0 where nobody says.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}
