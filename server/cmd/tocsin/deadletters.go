package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// mostLetters is what the server lists at most.
const mostLetters = 1000

func newDeadLetters() *cobra.Command {
	var o remote
	var limit int
	var lines bool
	cmd := &cobra.Command{
		Use:     "deadletters",
		Short:   "List what doors refused without being able to tell the sender",
		GroupID: groupClient,
		Long: `Lists the newest dead letters, the newest first: alarms that came through a door
which cannot answer for each of them, such as Alertmanager's webhook, and could
not be taken. Needs the scope admin.

--json prints one JSON object a line, with the whole body.`,
		Example: "  tocsin deadletters --limit 10\n  tocsin deadletters --json | jq -r .body",
		Args:    nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if limit < 1 || limit > mostLetters {
				return usagef(cmd, "--limit: want 1 to %d, not %d", mostLetters, limit)
			}
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			letters, err := c.DeadLetters(cmd.Context(), limit)
			if err != nil {
				return explainAdmin(err)
			}
			if !lines {
				return writeLetters(cmd.OutOrStdout(), letters)
			}
			out := json.NewEncoder(cmd.OutOrStdout())
			out.SetEscapeHTML(false)
			for _, l := range letters {
				if err := out.Encode(l); err != nil {
					return err
				}
			}
			return nil
		},
	}
	o.registerAdmin(cmd)
	cmd.Flags().IntVar(&limit, "limit", 20, "how many to list, at most 1,000")
	cmd.Flags().BoolVar(&lines, "json", false, "print JSON lines")
	return cmd
}

// writeLetters prints a table. What comes from outside is kept on its line and
// from commanding the terminal.
func writeLetters(w io.Writer, letters []client.Letter) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TIME\tDOOR\tPUBLISHER\tDEVICE\tPROBLEM\tBODY") // Flush has the error
	for _, l := range letters {
		body := l.Body
		if len(l.Binary) > 0 {
			body = fmt.Sprintf("%d bytes that are no text", len(l.Binary))
		}
		cells := []string{l.Time, l.Door, l.Publisher, l.Device, l.Problem, body}
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}

// maxCell bounds a column, in characters.
const maxCell = 60

func cell(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsGraphic(r) {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > maxCell {
		text = string(runes[:maxCell-1]) + "…"
	}
	if text == "" {
		return "-"
	}
	return text
}
