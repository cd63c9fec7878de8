package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A partRun says how long a part took, and what else the machine did meanwhile: with
// much of that, the part's figures say little.
type partRun struct {
	Part    string  `json:"part"`
	Seconds float64 `json:"seconds"`
	Others  float64 `json:"others"` // % of all cores that others used, the hypervisor included
}

// A usage is of all cores since the machine started.
type usage struct {
	busy, own time.Duration
	at        time.Time
}

// used asks what the machine has done, and this program with all that it started and
// that has ended.
func used() (u usage, err error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return u, err
	}
	line, _, _ := strings.Cut(string(text), "\n")
	const tick = 10 * time.Millisecond // USER_HZ is 100 wherever Go runs
	for i, word := range strings.Fields(line)[1:] {
		n, err := strconv.ParseInt(word, 10, 64)
		if err != nil {
			return u, fmt.Errorf("read /proc/stat: %w", err)
		}
		// user nice system idle iowait irq softirq steal; guests are within user.
		if i < 8 && i != 3 && i != 4 {
			u.busy += time.Duration(n) * tick
		}
	}
	for _, who := range []int{unix.RUSAGE_SELF, unix.RUSAGE_CHILDREN} {
		var r unix.Rusage
		if err := unix.Getrusage(who, &r); err != nil {
			return u, err
		}
		u.own += time.Duration(r.Utime.Nano() + r.Stime.Nano())
	}
	u.at = time.Now()
	return u, nil
}

// since is what happened between two usages.
func (u usage) since(before usage, part string, cores int) partRun {
	took := u.at.Sub(before.at)
	others := (u.busy - before.busy) - (u.own - before.own)
	return partRun{Part: part, Seconds: took.Seconds(), Others: max(0, 100*others.Seconds()/took.Seconds()/float64(cores))}
}
