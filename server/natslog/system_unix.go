//go:build !windows

package natslog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// freeSpace is what an ordinary user may still write to dir's file system, in
// bytes.
func freeSpace(dir string) (uint64, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return s.Bavail * uint64(s.Bsize), nil
}

// lockFile locks the file for this process, without waiting. taken says of an
// error that another process has it.
func lockFile(f *os.File) (taken bool, err error) {
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return errors.Is(err, syscall.EWOULDBLOCK), err
}
