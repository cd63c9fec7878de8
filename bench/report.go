package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
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
}

// A report is what a run has found out.
type report struct {
	Date    time.Time `json:"date"`
	Commit  string    `json:"commit"`
	Short   bool      `json:"short,omitempty"`
	Machine machine   `json:"machine"`
	Figures []figure  `json:"figures"`

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

// add notes a figure, and shows it at once.
func (r *report) add(name, unit string, values ...float64) {
	f := figure{Part: r.part, Name: name, Value: median(values), Unit: unit}
	if len(values) > 1 {
		f.Rounds = values
	}
	r.Figures = append(r.Figures, f)
	r.say("  %-64s %10s %-9s %s\n", name, number(f.Value), unit, rounds(f.Rounds))
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
	return "median of " + strings.Join(words, " ")
}

// number writes three significant digits, or all before the point.
func number(v float64) string {
	digits := 0
	for size := v; size < 100 && digits < 2; size *= 10 {
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

// save writes the report as JSON.
func (r *report) save(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, r.Date.Format("2006-01-02")+"-"+r.Commit+".json")
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return err
	}
	r.say("\n%s\n", path)
	return nil
}
