// Command release makes what people download: for each platform one archive with
// the program, its manual and the licences of all that is in it, and a file of
// their checksums.
//
//	go run ./release                          all platforms, into dist
//	go run ./release -platforms linux/amd64   some of them
//	go run ./release -licences                write docs/licences.md
//
// The same commit gives the same bytes, whoever builds it and where, if the version
// of Go is the same: nothing of the machine, its directories or its clock goes into
// the archives. What is not committed is refused, unless -changed is given; then
// the version says so.
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
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, ".", os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// run is the program without the process around it, for the checkout at dir.
func run(ctx context.Context, dir string, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	to := flags.String("out", "dist", "the `directory` for the archives; what it has of an earlier release goes")
	list := flags.String("platforms", strings.Join(platforms, ","), "what to build for, with commas between them")
	changed := flags.Bool("changed", false, "build although there is something that is not committed")
	licences := flags.Bool("licences", false, "build nothing; write docs/licences.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	dir, err := output(ctx, dir, "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return err
	}
	all, err := dependencies(ctx, dir)
	if err != nil {
		return err
	}
	if *licences {
		return os.WriteFile(filepath.Join(dir, licencesFile), licencesPage(all), 0o644)
	}
	wanted := strings.Split(*list, ",")
	for _, p := range wanted {
		if !slices.Contains(platforms, p) {
			return fmt.Errorf("-platforms: want some of %s, not %q", strings.Join(platforms, ", "), p)
		}
	}
	s, err := newSource(ctx, dir, *changed)
	if err != nil {
		return err
	}
	s.texts = licenceTexts(all)
	return s.release(ctx, wanted, *to, out)
}

// A source is what a release is made of.
type source struct {
	dir     string    // of the module
	version string    // the tag v1.2.3, or what Go calls a commit without one
	commit  string    // 12 hexadecimal digits, with a + when something was changed since
	at      time.Time // of the commit; all files have this time
	texts   []byte    // the licences of what is in the program
}

// newSource asks git what is here.
func newSource(ctx context.Context, dir string, changed bool) (*source, error) {
	status, err := output(ctx, dir, "git", "status", "--porcelain")
	if err != nil {
		return nil, err
	}
	if status != "" && !changed {
		return nil, errors.New("there is something that is not committed, see git status: commit it, or give -changed")
	}
	head, err := output(ctx, dir, "git", "show", "--no-patch", "--format=%H %ct", "HEAD")
	if err != nil {
		return nil, err
	}
	hash, stamp, _ := strings.Cut(head, " ")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || len(hash) < 12 {
		return nil, fmt.Errorf("git names the commit %q", head)
	}
	s := &source{dir: dir, commit: hash[:12], at: time.Unix(seconds, 0).UTC()}
	tags, err := output(ctx, dir, "git", "tag", "--points-at", "HEAD", "--list", "v[0-9]*", "--sort=-version:refname")
	if err != nil {
		return nil, err
	}
	s.version, _, _ = strings.Cut(tags, "\n")
	if s.version == "" {
		s.version = "v0.0.0-" + s.at.Format("20060102150405") + "-" + s.commit
	}
	if status != "" {
		s.version, s.commit = s.version+"+changed", s.commit+"+"
	}
	return s, nil
}

// output runs a command in a directory and returns what it prints.
func output(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	text, err := cmd.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(text)), nil
}
