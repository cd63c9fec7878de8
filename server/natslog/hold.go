package natslog

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// StreamName is the name of the stream whose messages are the log, for who looks
// into files.
const StreamName = streamName

// Hold keeps others from opening the log in a directory until free is called, and
// changes nothing there. Errors: ErrLocked where somebody has it open, those of the
// file system.
func Hold(dir string) (free func(), err error) {
	path := filepath.Join(dir, lockName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return func() {}, nil // nobody ever had it open
	}
	if err != nil {
		return nil, err
	}
	if err := flock(f, dir); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() { _ = f.Close() }, nil
}

// FreeSpace is what an ordinary user may still write to the file system of the
// directory, in bytes: what the reserve is compared with.
func FreeSpace(dir string) (uint64, error) { return freeSpace(dir) }
