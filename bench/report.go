package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is what the figures are of.
type machine struct {
	CPU    string `json:"cpu"`
	Cores  int    `json:"cores"`
	Kernel string `json:"kernel"`
	Go     string `json:"go"`
}

// A figure is one result. Of several rounds the value is the median.
type figure struct {
	Part   string    `json:"part"`
	Name   string    `json:"name"`
	Value  float64   `json:"value"`
	Unit   string    `json:"unit"`
	Rounds []float64 `json:"rounds,omitempty"`
	Floor  float64   `json:"floor,omitempty"` // the same of the plain server, in the same run
	Target *target   `json:"target,omitempty"`
}

// A target is what a figure should be.
type target struct {
	Bound   float64 `json:"bound"`
	AtLeast bool    `json:"at_least,omitempty"` // otherwise at most
	OfFloor bool    `json:"of_floor,omitempty"` // the bound is times the floor
}

// A series is what is plotted: what each step cost, of all rounds.
type series struct {
	Part  string    `json:"part"`
	Name  string    `json:"name"`
	Unit  string    `json:"unit"`
	Over  string    `json:"over"` // what grows
	Steps []float64 `json:"steps"`
	// Rounds has the values of each step, round after round.
	Rounds [][]float64 `json:"rounds"`
}

// over sets what the floor came to.
func (f *figure) over(floor float64) *figure { f.Floor = floor; return f }

func (f *figure) atMost(bound float64) *figure { f.Target = &target{Bound: bound}; return f }
func (f *figure) atLeast(bound float64) *figure {
	f.Target = &target{Bound: bound, AtLeast: true}
	return f
}

// timesFloor wants at most so many times the floor.
func (f *figure) timesFloor(bound float64) *figure {
	f.Target = &target{Bound: bound, OfFloor: true}
	return f
}

// met says whether the figure is what it should be.
func (f *figure) met() bool {
	bound := f.Target.Bound
	if f.Target.OfFloor {
		bound *= f.Floor
	}
	return f.Target.AtLeast == (f.Value >= bound) || f.Value == bound
}

// A report is what a run has found out.
type report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"`
	Short   bool      `json:"short,omitempty"`
	Machine machine   `json:"machine"`
	Runs    []partRun `json:"runs,omitempty"`
	Figures []*figure `json:"figures"`
	Series  []series  `json:"series,omitempty"`

	part string
	out  io.Writer
}

func newReport(ctx context.Context, root string, short bool, out io.Writer) report {
	r := report{Date: time.Now().UTC().Truncate(time.Second), Commit: commit(ctx, root), Short: short, Machine: thisMachine(), out: out}
	m := r.Machine
	r.say("%s, %d cores, Linux %s, %s, commit %s\n", m.CPU, m.Cores, m.Kernel, m.Go, r.Commit)
	return r
}

// commit names what was measured; a + says that something was not committed.
func commit(ctx context.Context, root string) string {
	name, err := output(ctx, root, "git", "rev-parse", "--short", "HEAD")
	if err != nil {
		return "unknown" // an archive without its history can be measured too
	}
	if changed, err := output(ctx, root, "git", "status", "--porcelain", "--untracked-files=no"); err != nil || changed != "" {
		name += "+"
	}
	return name
}

func thisMachine() machine {
	m := machine{CPU: "unknown", Cores: runtime.NumCPU(), Kernel: "unknown", Go: runtime.Version()}
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if _, after, ok := strings.Cut(string(text), "model name"); ok {
			line, _, _ := strings.Cut(after, "\n")
			m.CPU = strings.Trim(line, "\t :")
		}
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// add notes a figure.
func (r *report) add(name, unit string, values ...float64) *figure {
	f := &figure{Part: r.part, Name: name, Value: median(values), Unit: unit}
	if len(values) > 1 {
		f.Rounds = values
	}
	r.Figures = append(r.Figures, f)
	return f
}

// show prints the figures of a part that has ended.
func (r *report) show(part string) {
	for _, f := range r.Figures {
		if f.Part != part {
			continue
		}
		r.say("  %-66s %10s %-12s", f.Name, number(f.Value), f.Unit)
		if f.Floor != 0 {
			r.say(" floor %s", number(f.Floor))
		}
		if f.Target != nil {
			r.say(" want %s: %s", f.Target, yesNo(f.met()))
		}
		r.say("%s\n", rounds(f.Rounds))
	}
}

func (t *target) String() string {
	text := "≤ "
	if t.AtLeast {
		text = "≥ "
	}
	text += number(t.Bound)
	if t.OfFloor {
		text += " × floor"
	}
	return text
}

func yesNo(yes bool) string {
	if yes {
		return "met"
	}
	return "missed"
}

// say writes to whoever watches; the figures are saved anyway.
func (r *report) say(format string, args ...any) { _, _ = fmt.Fprintf(r.out, format, args...) }

func rounds(values []float64) string {
	if len(values) == 0 {
		return ""
	}
	var words []string
	for _, v := range values {
		words = append(words, number(v))
	}
	return " median of " + strings.Join(words, " ")
}

// number writes three significant digits, or all before the point.
func number(v float64) string {
	digits := 0
	if v == 0 {
		return "0"
	}
	for size := math.Abs(v); size < 100 && digits < 2; size *= 10 {
		digits++
	}
	return strconv.FormatFloat(v, 'f', digits, 64)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n%2 == 1 {
		return sorted[n/2]
	}
	return (sorted[n/2-1] + sorted[n/2]) / 2
}

// save writes the report as JSON, beside what there is of the commit.
func (r *report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	begin := filepath.Join(dir, r.Date.Format("2006-01-02")+"-"+r.Commit)
	path := begin + ".json"
	for n := 2; ; n++ {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, os.ErrExist) { // another run of the same commit and day
			path = fmt.Sprintf("%s-%d.json", begin, n)
			continue
		}
		if err == nil {
			_, err = f.Write(append(text, '\n'))
			err = errors.Join(err, f.Close())
		}
		if err == nil {
			r.say("\n%s\n", path)
		}
		return err
	}
}
