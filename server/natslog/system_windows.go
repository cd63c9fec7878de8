package natslog

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// freeSpace is what this user may still write to dir's volume, in bytes.
func freeSpace(dir string) (uint64, error) {
	path, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return 0, fmt.Errorf("the directory %q: %w", dir, err)
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(path, &free, nil, nil); err != nil {
		return 0, fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	return free, nil
}

// lockFile locks the file for this process, without waiting. taken says of an
// error that another process has it. What is locked here nobody else can read, so
// it is a byte far behind what the file says.
func lockFile(f *os.File) (taken bool, err error) {
	behind := &windows.Overlapped{OffsetHigh: 1}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, behind)
	return errors.Is(err, windows.ERROR_LOCK_VIOLATION), err
}
