package natslog_test

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// listening is the TCP ports that this process listens on, as Linux knows it.
func listening(t *testing.T) (ports []string) {
	t.Helper()
	mine := map[string]bool{}
	open, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range open {
		to, _ := os.Readlink(fd) // one that was closed meanwhile is no listener
		if inode, ok := strings.CutPrefix(to, "socket:["); ok {
			mine[strings.TrimSuffix(inode, "]")] = true
		}
	}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		f, err := os.Open(table)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		const state, local, inode = 3, 1, 9
		for in := bufio.NewScanner(f); in.Scan(); {
			field := strings.Fields(in.Text())
			if len(field) <= inode || field[state] != "0A" || !mine[field[inode]] {
				continue
			}
			_, port, _ := strings.Cut(field[local], ":")
			n, err := strconv.ParseUint(port, 16, 16)
			if err != nil {
				t.Fatal(err)
			}
			ports = append(ports, fmt.Sprint(n))
		}
	}
	slices.Sort(ports)
	return ports
}
