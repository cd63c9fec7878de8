package natslog

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"unsafe"
)

var (
	kernel32           = syscall.NewLazyDLL("kernel32.dll")
	getDiskFreeSpaceEx = kernel32.NewProc("GetDiskFreeSpaceExW")
	lockFileEx         = kernel32.NewProc("LockFileEx")
)

// Of winbase.h and winerror.h.
const (
	lockExclusively    = 2
	lockOrFail         = 1
	errorLockViolation = syscall.Errno(33)
)

// freeSpace is what this user may still write to dir's volume, in bytes.
func freeSpace(dir string) (uint64, error) {
	path, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("the directory %q: %w", dir, err)
	}
	var free uint64
	if ok, _, err := getDiskFreeSpaceEx.Call(uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&free)), 0, 0); ok == 0 {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return free, nil
}

// lockFile locks the file for this process, without waiting. taken says of an
// error that another process has it. What is locked here nobody else can read, so
// it is a byte far behind what the file says.
func lockFile(f *os.File) (taken bool, err error) {
	behind := syscall.Overlapped{OffsetHigh: 1}
	if ok, _, err := lockFileEx.Call(f.Fd(), lockExclusively|lockOrFail, 0, 1, 0, uintptr(unsafe.Pointer(&behind))); ok == 0 {
		return errors.Is(err, errorLockViolation), err
	}
	return false, nil
}
