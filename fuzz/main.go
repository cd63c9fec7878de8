// Command fuzz runs every fuzz target of the module, each for the same time, on
// as many inputs as it finds in that.
//
//	go run ./fuzz                    two seconds each
//	go run ./fuzz -time 5m           five minutes each
//	go run ./fuzz -run 'Cursor|JWKS' some of them
//
// It finds the targets by itself: whatever `go test -fuzz` would. A run of ten
// seconds or more is guided by what the inputs reach in the code, for which
// everything is compiled once more; a shorter one is not, and costs little more
// than its time. An input that breaks a target is kept below the package's
// testdata/fuzz: commit it with what mends it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, ".", os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "fuzz:", err)
		os.Exit(1)
	}
}

const (
	// guidedFrom is how long a run must be for guidance to be worth compiling for.
	guidedFrom = 10 * time.Second
	// minimizing is how long one input may be made smaller: by default the whole time
	// goes into that where inputs are long.
	minimizing = time.Second
	// overtime is how much longer a target may take before it is said to hang: what
	// it found is made smaller, and its packages start up.
	overtime = 90 * time.Second
)

// run is the program without the process around it, for the checkout at dir.
func run(ctx context.Context, dir string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("fuzz", flag.ContinueOnError)
	each := flags.Duration("time", 2*time.Second, "how long each target runs")
	pattern := flags.String("run", "", "the targets to run, as a `pattern` of package and name; empty is all")
	parallel := flags.Int("parallel", 2, "how many packages run at once, one target at a time each")
	if err := flags.Parse(args); err != nil {
		return err
	}
	wanted, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	packages, err := find(ctx, dir, wanted)
	if err != nil {
		return err
	}
	if len(packages) == 0 {
		return errors.New("there is no such target")
	}
	work, err := os.MkdirTemp("", "tocsin-fuzz")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	f := &fuzzing{each: *each, guided: *each >= guidedFrom, work: work, out: out}
	if f.cache, err = output(ctx, dir, "go", "env", "GOCACHE"); err != nil {
		return err
	}
	return f.all(ctx, packages, max(1, *parallel))
}

// A fuzzing is what the targets have in common.
type fuzzing struct {
	each   time.Duration
	guided bool
	work   string // for what is compiled
	cache  string // of builds, which has inputs that `go test -fuzz` has found too

	mu  sync.Mutex // of out
	out io.Writer
}

// all runs the packages, some at a time.
func (f *fuzzing) all(ctx context.Context, packages []pkg, parallel int) error {
	waiting := make(chan pkg, len(packages))
	for _, p := range packages {
		waiting <- p
	}
	close(waiting)
	failed := make(chan error, parallel)
	for range parallel {
		go func() { // ends with the packages, or with the context
			var errs []error
			for p := range waiting {
				errs = append(errs, f.one(ctx, p))
			}
			failed <- errors.Join(errs...)
		}()
	}
	var errs []error
	for range parallel {
		errs = append(errs, <-failed)
	}
	return errors.Join(errs...)
}

// one compiles a package and runs its targets.
func (f *fuzzing) one(ctx context.Context, p pkg) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	program := filepath.Join(f.work, strings.ReplaceAll(p.path, "/", "-"))
	args := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", program}
	if f.guided {
		args = append(args, "-fuzz=.")
	}
	if _, err := output(ctx, p.dir, "go", append(args, ".")...); err != nil {
		return err
	}
	defer func() { _ = os.Remove(program) }()
	var errs []error
	for _, t := range p.targets {
		errs = append(errs, f.target(ctx, p, t, program))
	}
	return errors.Join(errs...)
}

// progress is what a target says of itself, again and again.
var progress = regexp.MustCompile(`execs: (\d+)`)

// timeUp is how the testing package fails now and then when the time is up while an
// input is under way: it says so and nothing else, and has kept no input.
var timeUp = regexp.MustCompile(`(?m)^--- FAIL: \w+ \(.*\)\n    context deadline exceeded\nFAIL\n`)

// target runs one target, which has to try something.
func (f *fuzzing) target(ctx context.Context, p pkg, name, program string) error {
	ctx, cancel := context.WithTimeout(ctx, f.each+overtime)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, "-test.run=^$", "-test.fuzz=^"+name+"$", "-test.fuzztime="+f.each.String(),
		"-test.fuzzminimizetime="+minimizing.String(), "-test.parallel=1", "-test.fuzzcachedir="+filepath.Join(f.cache, "fuzz", p.path))
	cmd.Dir = p.dir
	cmd.WaitDelay = time.Second // its workers have its output, too
	text, err := cmd.CombinedOutput()
	tried := "0"
	if said := progress.FindAllSubmatch(text, -1); said != nil {
		tried = string(said[len(said)-1][1])
	}
	switch {
	case err != nil && timeUp.Match(text) && tried != "0":
		err = nil
	case ctx.Err() != nil:
		err = fmt.Errorf("%s %s hangs, or was interrupted: %w\n%s", p.path, name, ctx.Err(), text)
	case err != nil:
		err = fmt.Errorf("%s %s: %w\n%s", p.path, name, err, text)
	case tried == "0":
		err = fmt.Errorf("%s %s has tried nothing\n%s", p.path, name, text)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	verdict := "ok  "
	if err != nil {
		verdict = "FAIL"
	}
	_, _ = fmt.Fprintf(f.out, "%s  %10s inputs  %s %s\n", verdict, tried, p.path, name) // for people
	return err
}

// output runs a command in a directory and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s%s", err, exit.Stderr, text)
		}
		return "", fmt.Errorf("%s %s in %s: %w", name, strings.Join(args, " "), dir, err)
	}
	return strings.TrimSpace(string(text)), nil
}
