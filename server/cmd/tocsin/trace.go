package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// maxTrace is how long the server lets a trace last.
const maxTrace = time.Hour

func newTrace() *cobra.Command {
	var o remote
	var user string
	var span time.Duration
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "trace",
		Short:   "Follow one user: what happens to him, while it happens",
		GroupID: groupClient,
		Long: `Prints what happens to a user at whichever node from now on, a line each: what he
connects with, what is delivered to him and over what, requests with their answers,
what is refused and why, commands, gaps and ends. It needs the scope admin, costs the
server nothing once it is over, and shows no secrets.`,
		Example: `  tocsin trace --user anna
  tocsin trace --user anna --for 1h --json >> anna.jsonl`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case user == "":
				return usagef(cmd, "want --user")
			case span < time.Second || span > maxTrace:
				return usagef(cmd, "--for: want 1s to %s, not %s", maxTrace, span)
			}
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			return explain(c.Trace(cmd.Context(), user, span, func(l client.TraceLine) error {
				return printTrace(cmd.OutOrStdout(), l, asJSON)
			}))
		},
	}
	o.register(cmd)
	cmd.Flags().StringVar(&user, "user", "", "the user's `name`")
	cmd.Flags().DurationVar(&span, "for", 10*time.Minute, "how long")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the server tells, for programs")
	return cmd
}

// printTrace prints a line: when, where, what, and whatever else there is to it.
func printTrace(w io.Writer, l client.TraceLine, asJSON bool) (err error) {
	if asJSON {
		_, err = fmt.Fprintf(w, "%s\n", l.Text)
	} else {
		_, err = fmt.Fprintf(w, "%s  %-10s  %-12s  %s\n", l.At, l.Node, l.What, l.Rest())
	}
	if err != nil {
		return fmt.Errorf("print a line: %w", err)
	}
	return nil
}
