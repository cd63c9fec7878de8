package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks; with the handler gone, a second one kills.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// Exit codes.
const (
	exitFailed = 1 // it was tried and did not work
	exitUsage  = 2 // it was called or configured wrongly; nothing was tried
)

// run is the program without the process around it. The context ends it as a
// signal would.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var usage *usageError
	wrong := errors.As(err, &usage)
	for line := range strings.SplitSeq(strings.TrimRight(err.Error(), "\n"), "\n") {
		_, _ = fmt.Fprintln(stderr, "tocsin: "+line)
	}
	if wrong {
		if usage.command != "" {
			_, _ = fmt.Fprintf(stderr, "tocsin: see '%s --help'\n", usage.command)
		}
		return exitUsage
	}
	return exitFailed
}

// A usageError is a call or a configuration that cannot work.
type usageError struct {
	command string // whose help is worth reading; may be empty
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(cmd *cobra.Command, format string, args ...any) error {
	return &usageError{command: cmd.CommandPath(), err: fmt.Errorf(format, args...)}
}

// Groups of commands in the help.
const (
	groupServer = "server"
	groupClient = "client"
	groupTools  = "tools"
)

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "tocsin",
		Short: "A realtime alarm gateway: one durable inbox each, over whatever transport is at hand",
		Example: `  tocsin demo

  tocsin secret jwt.key
  tocsin serve --data data --jwt-hs256-file jwt.key
  export TOCSIN_TOKEN=$(tocsin token --jwt-hs256-file jwt.key --sub anna --groups fleet-7 --scope "inbox publish")
  tocsin tail --snapshot active &
  tocsin publish --device 860000000000017 --type overspeed --severity major --message "92 km/h"`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE:          wantCommand,
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usagef(cmd, "%w", err) })
	root.AddGroup(
		&cobra.Group{ID: groupServer, Title: "The server:"},
		&cobra.Group{ID: groupClient, Title: "Clients of a server:"},
		&cobra.Group{ID: groupTools, Title: "Tools:"})
	root.SetHelpCommandGroupID(groupTools)
	root.SetCompletionCommandGroupID(groupTools)
	root.AddCommand(
		newServe(), newDemo(), newConfig(), newHealth(), newBackup(), newRestore(), newDoctor(),
		newPublish(), newTail(), newAlarms(), newAck(), newExplain(), newTrace(), newReplay(), newImport(), newDeadLetters(), newAudit(),
		newToken(), newSecret(), newVersion())
	return root
}

// wantCommand is what a command that only groups others does. Cobra itself would
// answer an unknown subcommand with the help text and success.
func wantCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		_ = cmd.Help()
		return usagef(cmd, "want a command")
	}
	hint := ""
	cmd.SuggestionsMinimumDistance = 2 // cobra's own default, set too late for us
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		hint = "; did you mean " + strings.Join(s, " or ") + "?"
	}
	return usagef(cmd, "%q is no command of %s%s", args[0], cmd.CommandPath(), hint)
}

// nargs refuses any other number of arguments; what names those wanted.
func nargs(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || most >= 0 && len(args) > most {
			return usagef(cmd, "%s wants %s, not %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}
