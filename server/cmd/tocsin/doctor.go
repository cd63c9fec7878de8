package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"tocsin/server/natslog"
)

func newDoctor() *cobra.Command {
	var flags configFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "doctor [DIR]",
		Short:   "Check a data directory that nobody serves",
		GroupID: groupServer,
		Long: `Reads everything in a data directory, DIR or that of --data, while no gateway serves
it, and says in one line for each check whether all is well (ok), something wants to
be looked at (warn), or something is wrong (fail), and what to do. Nothing is changed.

It checks that each message is whole, that the log has no holes, that its entries can
be read and their revisions follow each other, the directory, what has been read, the
small things beside the log, the space that is free, who may read the files, and the
keys that the settings name. Give it the configuration of the node: from that it knows
the reserve and what a power failure may have cost.

Exit code 1 if a check fails. Text is for people, --json for programs:
{"dir","ok","checks":[{"check","state","found","advice"}]}.`,
		Example: "  tocsin doctor data\n  tocsin doctor --config /etc/tocsin.yml --json",
		Args:    nargs(0, 1, "at most a directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			conf, err := flags.read(os.Environ())
			if err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			if len(args) == 1 {
				conf.Data = args[0]
			}
			d := &doctor{conf: &conf.settings, Dir: conf.Data, OK: true}
			if err := d.examine(cmd.Context()); err != nil {
				return err
			}
			print := d.print
			if asJSON {
				print = d.printJSON
			}
			if err := print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if !d.OK {
				return errors.New(d.Dir + ": not everything is well")
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print the report as JSON")
	flags.register(cmd)
	return cmd
}

// States of a check.
const (
	stateOK   = "ok"
	stateWarn = "warn"
	stateFail = "fail"
)

// A finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	State  string `json:"state"`
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do; empty where nothing is
}

// A doctor examines one data directory.
type doctor struct {
	conf   *settings
	Dir    string    `json:"dir"`
	OK     bool      `json:"ok"`
	Checks []finding `json:"checks"`
}

func (d *doctor) say(check, state, found, advice string) {
	d.Checks = append(d.Checks, finding{check, state, found, advice})
	d.OK = d.OK && state != stateFail
}

// sayIf says that something is wrong, or what is well.
func (d *doctor) sayIf(wrong bool, check, state, found, advice, well string) {
	if wrong {
		d.say(check, state, found, advice)
	} else {
		d.say(check, stateOK, well, "")
	}
}

// examine does all checks. An error says that they could not be done.
func (d *doctor) examine(ctx context.Context) error {
	info, err := os.Stat(d.Dir)
	switch {
	case err != nil:
		return fmt.Errorf("look at the data directory: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is no directory", d.Dir)
	}
	free, err := natslog.Hold(d.Dir)
	if errors.Is(err, natslog.ErrLocked) {
		return fmt.Errorf("%w: stop the gateway first, or ask it with 'tocsin health'", err)
	}
	if err != nil {
		return err
	}
	defer free()
	d.checkRights(info)
	d.checkSpace()
	if err := d.checkStore(ctx); err != nil {
		return err
	}
	d.checkAside()
	d.checkKeyFiles()
	return nil
}

func (d *doctor) print(w io.Writer) error {
	for _, f := range d.Checks {
		line := fmt.Sprintf("%-4s  %-12s  %s", f.State, f.Check, f.Found)
		if f.Advice != "" {
			line += ": " + f.Advice
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func (d *doctor) printJSON(w io.Writer) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	return out.Encode(d)
}
