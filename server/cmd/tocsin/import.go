package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// directoryBatch is how many lines of the directory go into one request.
const directoryBatch = 1000

func newImport() *cobra.Command {
	var o remote
	cmd := &cobra.Command{
		Use:     "import [FILE…]",
		Short:   "Fill the directory: which groups devices and users have",
		GroupID: groupClient,
		Long: `Sends JSON lines, {"device":"…","groups":["…"]} or {"user":"…","groups":["…"]},
from the files or standard input ("-"). A line replaces all groups of its device
or user; an empty list removes them. Needs the scope admin.

Prints the counts. Lines that are refused are told on standard error, the others
are stored all the same; exit code 1 then.`,
		Example: "  tocsin import directory.jsonl",
		Args:    nargs(0, -1, "files"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			var total client.Report
			err = eachInput(cmd, args, func(name string, r io.Reader) error {
				return importLines(cmd.Context(), c, name, r, &total, cmd.ErrOrStderr())
			})
			if err != nil {
				return explainAdmin(err)
			}
			if err := json.NewEncoder(cmd.OutOrStdout()).Encode(total); err != nil {
				return err
			}
			if total.Rejected > 0 {
				return fmt.Errorf("%d of %d lines were refused", total.Rejected, total.Lines)
			}
			return nil
		},
	}
	o.registerAdmin(cmd)
	return cmd
}

// importLines sends the lines of one file and adds up the reports.
func importLines(ctx context.Context, c *client.Client, name string, r io.Reader, total *client.Report, stderr io.Writer) error {
	var lines [][]byte
	var numbers []int // of the lines in the file, which may have blank ones
	flush := func() error {
		if len(lines) == 0 {
			return nil
		}
		report, err := c.Directory(ctx, lines)
		if err != nil {
			return fmt.Errorf("send %s, lines %d to %d: %w", name, numbers[0], numbers[len(numbers)-1], err)
		}
		total.Add(report)
		for _, bad := range report.Refused {
			if bad.Line >= 1 && bad.Line <= len(numbers) {
				_, _ = fmt.Fprintf(stderr, "tocsin: %s:%d: refused: %s\n", name, numbers[bad.Line-1], bad.Detail)
			}
		}
		lines, numbers = lines[:0], numbers[:0]
		return nil
	}
	err := eachLine(r, func(n int, line []byte) error {
		lines, numbers = append(lines, line), append(numbers, n)
		if len(lines) < directoryBatch {
			return nil
		}
		return flush()
	})
	if err != nil {
		return err
	}
	return flush()
}
