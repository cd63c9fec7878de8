package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

func newAudit() *cobra.Command {
	var o remote
	var q client.AuditQuery
	var limit int
	var since string
	var lines bool
	cmd := &cobra.Command{
		Use:     "audit",
		Short:   "List who did what, when and from where",
		GroupID: groupClient,
		Long: `Lists what people did, the newest first: commands to alarms (alarm.ack, alarm.clear,
alarm.shelve …), changes of the directory (device.put, user.delete, directory.import …),
token.revoke, user.kick and backup. Needs the scope admin.

--what takes one of these words, or what stands before the dot. --since takes a time
(RFC 3339) or how long ago (24h). --json prints one JSON object a line, with everything
that is known.`,
		Example: "  tocsin audit --user anna --since 24h\n  tocsin audit --what token.revoke --json | jq .details",
		Args:    nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.Since, err = sinceOf(since, time.Now()); err != nil {
				return usagef(cmd, "--since: %w", err)
			}
			if limit < 1 {
				return usagef(cmd, "--limit: want at least 1, not %d", limit)
			}
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			records, err := c.Audit(cmd.Context(), q, limit)
			if err != nil {
				return explainAdmin(err)
			}
			return writeAudit(cmd.OutOrStdout(), records, lines)
		},
	}
	o.registerAdmin(cmd)
	cmd.Flags().StringVar(&q.User, "user", "", "what this `user` did")
	cmd.Flags().StringVar(&q.What, "what", "", "what was done, such as `alarm` or token.revoke")
	cmd.Flags().StringVar(&since, "since", "", "nothing before this `time`")
	cmd.Flags().IntVar(&limit, "limit", 20, fmt.Sprintf("how many to list, %d for all", math.MaxInt32))
	cmd.Flags().BoolVar(&lines, "json", false, "print JSON lines")
	return cmd
}

// sinceOf is a time, or how long ago it was, in RFC 3339; empty for none.
func sinceOf(text string, now time.Time) (string, error) {
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago).UTC().Format(time.RFC3339), nil
	}
	if _, err := time.Parse(time.RFC3339, text); text != "" && err != nil {
		return "", fmt.Errorf("want a time, such as 2026-11-21T02:00:00Z, or how long ago, such as 24h, not %q", text)
	}
	return text, nil
}

// writeAudit prints a table, or lines of JSON. What comes from outside is kept on its
// line and from commanding the terminal.
func writeAudit(w io.Writer, records []client.AuditRecord, lines bool) error {
	if lines {
		out := json.NewEncoder(w)
		out.SetEscapeHTML(false)
		for _, r := range records {
			if err := out.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	_, _ = fmt.Fprintln(t, "TIME\tBY\tFROM\tWHAT\tON\tMORE") // Flush has the error
	for _, r := range records {
		on := strings.Join(r.On, ", ")
		if n := len(r.On); n > 1 {
			on = fmt.Sprintf("%d: %s", n, on)
		}
		more := r.Note
		if more == "" {
			more = string(r.Details)
		}
		cells := []string{r.Time, r.By, r.From, r.What, on, more}
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		_, _ = fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	return t.Flush()
}
