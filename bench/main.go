// Command bench measures Tocsin on this machine: what the engine stores, what the
// server makes of it, how soon an alarm reaches its readers, and what the view
// costs. It builds the real binary and runs it as a process of its own, on the
// loopback, with a data directory that is gone afterwards.
//
//	go run ./bench                  all parts, about ten minutes
//	go run ./bench -short           the same with small numbers, to see it work
//	go run ./bench -only store,load
//	go run ./bench -only cluster,failover
//	go run ./bench -peers           the same load against other servers
//	go run ./bench -render          docs/performance.md from the newest results
//	go run ./bench -profile dir     with profiles of the server, for explanations
//
// The figures go to the standard output as a table, and as JSON into
// bench/results/<date>-<commit>.json. Only figures of one run compare: the
// machine's other work is in all of them.
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
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A part is one measurement.
type part struct {
	name, about string
	run         func(context.Context, *bench) error
}

var parts = []part{
	{"idle", "what a reader costs while nothing happens", measureIdle},
	{"delivery", "one message at a time to the readers of a group", measureDelivery},
	{"burst", "as many messages as they take, with a few in flight", measureBurst},
	{"batch", "many alarms at once to many readers", measureBatch},
	{"unicast", "one user a request", measureUnicast},
	{"groups", "a steady rate to many groups", measureGroups},
	{"catchup", "many readers come back at once", measureCatchUp},
	{"polls", "short polls that find nothing", measurePolls},
	{"single", "one alarm a request, stored", measureSingle},
	{"store", "appends of the engine and alarms through HTTP in batches, in turns", measureStore},
	{"doors", "alarms through each door, as fast as it takes them", measureDoors},
	{"lists", "the first page of very many active alarms, warm and cold", measureLists},
	{"marks", "read marks, and when the other clients of a user hear of them", measureMarks},
	{"behind", "one user comes back after very many alarms", measureBehind},
	{"load", "the view of a log: time to load and memory an alarm", measureLoad},
	{"churn", "many readers come and go", measureChurn},
	{"growth", "what a delivery and a resume cost as what is there grows", measureGrowth},
	{"cluster", "the same with one node and with three", measureCluster},
	{"failover", "the node that leads the log is killed", measureFailover},
}

// apart are parts that are run when they are asked for: three nodes want the machine
// for longer than all the others may take.
var apart = []string{"cluster", "failover"}

func main() {
	if os.Getenv(floorEnv) != "" {
		if err := floorMain(); err != nil {
			fmt.Fprintln(os.Stderr, "floor:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// limit bounds a whole run.
const limit = 30 * time.Minute

// run is the program without the process around it.
func run(ctx context.Context, args []string, out io.Writer) error {
	var names, usual []string
	for _, p := range parts {
		names = append(names, p.name)
		if !slices.Contains(apart, p.name) {
			usual = append(usual, p.name)
		}
	}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	only := flags.String("only", strings.Join(usual, ","), "the parts to run, with commas between them")
	short := flags.Bool("short", false, "small numbers, to see that everything works")
	dir := flags.String("out", "", "where the results go (default bench/results of the repository)")
	peers := flags.Bool("peers", false, "measure other servers that apt-get and npm bring, and Tocsin among them")
	profiles := flags.String("profile", "", "a directory for profiles of the server; the figures suffer")
	draw := flags.Bool("render", false, "measure nothing; write docs/performance.md from the newest results")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen := parts
	if *peers {
		chosen, *only = []part{{peersPart, "the same load against other servers", measurePeers}}, peersPart
		names = []string{peersPart}
	}
	if *draw {
		root, err := output(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}")
		if err != nil {
			return err
		}
		return render(root)
	}
	wanted := strings.Split(*only, ",")
	for _, w := range wanted {
		if !slices.Contains(names, w) {
			return fmt.Errorf("-only: want some of %s, not %q", strings.Join(names, ", "), w)
		}
	}
	// The load has memory, and shares its core with its collector.
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	b, err := newBench(ctx, *short, out)
	if err != nil {
		return err
	}
	defer b.close()
	b.profiles = *profiles
	for _, p := range chosen {
		if !slices.Contains(wanted, p.name) {
			continue
		}
		b.say("\n%s: %s\n", p.name, p.about)
		b.part = p.name
		if err := b.runPart(ctx, p); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	if *dir == "" {
		*dir = filepath.Join(b.root, "bench", "results")
	}
	return b.save(*dir)
}

// runPart runs a part and shows what it came to.
func (b *bench) runPart(ctx context.Context, p part) error {
	before, err := used()
	if err != nil {
		return err
	}
	if err := p.run(ctx, b); err != nil {
		return err
	}
	after, err := used()
	if err != nil {
		return err
	}
	run := after.since(before, p.name, b.Machine.Cores)
	b.Runs = append(b.Runs, run)
	b.show(p.name)
	b.say("  %.0f s, others used %.0f %% of the machine\n", run.Seconds, run.Others)
	return nil
}

// A bench is what the parts share.
type bench struct {
	short    bool
	root     string // of the repository
	dir      string // for everything temporary
	binary   string
	profiles string // where they go; "" takes none
	report
}

func newBench(ctx context.Context, short bool, out io.Writer) (*bench, error) {
	root, err := output(ctx, ".", "go", "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return nil, err
	}
	b := &bench{short: short, root: root}
	if b.dir, err = os.MkdirTemp("", "tocsin-bench"); err != nil {
		return nil, err
	}
	b.binary = filepath.Join(b.dir, "tocsin")
	if _, err := output(ctx, root, "go", "build", "-o", b.binary, "./server/cmd/tocsin"); err != nil {
		b.close()
		return nil, err
	}
	b.report = newReport(ctx, root, short, out)
	return b, nil
}

func (b *bench) close() { _ = os.RemoveAll(b.dir) }

// pick is the number for a short run or a full one.
func pick[T any](b *bench, short, full T) T {
	if b.short {
		return short
	}
	return full
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
