package main

import (
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// alarmPage is how many alarms are asked for at once.
const alarmPage = 1000

type alarmsOptions struct {
	remote
	state, severity, device, group, kind, text string
	limit                                      int
	json                                       bool
}

func newAlarms() *cobra.Command {
	var o alarmsOptions
	cmd := &cobra.Command{
		Use:     "alarms",
		Short:   "List the alarms of an inbox",
		GroupID: groupClient,
		Long: `Prints the alarms of the token's inbox as they are now: what nobody has
acknowledged first, then what is active, then the worst, then the latest. As a table,
in which control characters are shown as ?, or with --json one alarm a line.`,
		Example: `  tocsin alarms --severity-min major
  tocsin alarms --state unacked --q pump --json | jq -r .id | xargs tocsin ack`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	o.register(cmd)
	f := cmd.Flags()
	f.StringVar(&o.state, "state", "active", "active (or unacknowledged), unacked or all")
	f.StringVar(&o.severity, "severity-min", "", "the least `severity` wanted")
	f.StringVar(&o.device, "device", "", "of this `device`")
	f.StringVar(&o.group, "group", "", "for this `group`")
	f.StringVar(&o.kind, "type", "", "of this `type`")
	f.StringVar(&o.text, "q", "", "with this `text` in device, type, qualifier, message or attributes")
	f.IntVar(&o.limit, "limit", 0, "at most so many (default: all)")
	f.BoolVar(&o.json, "json", false, "one JSON object a line instead of a table")
	return cmd
}

func (o *alarmsOptions) run(cmd *cobra.Command) error {
	if o.limit < 0 {
		return usagef(cmd, "--limit: want 0 or more, not %d", o.limit)
	}
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	query := url.Values{}
	for name, value := range map[string]string{
		"state": o.state, "severity_min": o.severity, "device": o.device, "group": o.group, "type": o.kind, "q": o.text,
	} {
		if value != "" {
			query.Set(name, value)
		}
	}
	table := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 8, 2, ' ', 0)
	if !o.json {
		_, _ = fmt.Fprintln(table, "SEVERITY\tSTATE\tRAISED\tDEVICE\tTYPE\tCOUNT\tMESSAGE\tID")
	}
	for left := o.limit; ; {
		most := alarmPage
		if o.limit > 0 {
			most = min(most, left)
		}
		query.Set("limit", strconv.Itoa(most))
		alarms, next, err := c.Alarms(cmd.Context(), query)
		if err != nil {
			return explain(err)
		}
		for i := range alarms {
			if err := o.print(cmd.OutOrStdout(), table, &alarms[i]); err != nil {
				return err
			}
		}
		left -= len(alarms)
		if next == "" || o.limit > 0 && left <= 0 {
			return table.Flush()
		}
		query.Set("after", next)
	}
}

func (o *alarmsOptions) print(out, table io.Writer, a *client.Alarm) error {
	if o.json {
		_, err := fmt.Fprintf(out, "%s\n", a.Raw)
		return err
	}
	what := a.Type
	if a.Qualifier != "" {
		what += " " + a.Qualifier
	}
	_, err := fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", a.Severity, stateOf(a),
		a.RaisedAt.UTC().Format("2006-01-02 15:04:05"), plain(a.Device), plain(what), a.Count, plain(a.Message), plain(a.ID))
	return err
}

func stateOf(a *client.Alarm) string {
	state := "cleared"
	if a.Active {
		state = "active"
	}
	if a.Acked {
		state += ",acked"
	}
	if a.ShelvedUntil != nil {
		state += ",shelved"
	}
	return state
}

// plain keeps a text to its cell: a terminal obeys control characters, and some
// marks turn what follows them around.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsControl(c) || unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp) {
			return '?'
		}
		return c
	}, s)
}

type ackOptions struct {
	remote
	note string
}

func newAck() *cobra.Command {
	var o ackOptions
	cmd := &cobra.Command{
		Use:     "ack id...",
		Short:   "Acknowledge alarms",
		GroupID: groupClient,
		Long: `Acknowledges alarms by their ids and prints what became of each, one JSON object a
line. It fails when one of them could not be acknowledged; the others are, all the
same. Doing it again changes nothing.`,
		Example: `  tocsin ack --note "on my way" 860000000000017.overspeed._.1.mwprg3qy`,
		Args:    nargs(1, -1, "ids of alarms"),
		RunE:    func(cmd *cobra.Command, ids []string) error { return o.run(cmd, ids) },
	}
	o.register(cmd)
	cmd.Flags().StringVar(&o.note, "note", "", "a `text` for the others, of up to 1,024 bytes")
	return cmd
}

func (o *ackOptions) run(cmd *cobra.Command, ids []string) error {
	c, err := o.connect(cmd)
	if err != nil {
		return err
	}
	defer c.Close()
	failed := 0
	for part := range slices.Chunk(ids, client.MaxAcknowledged) {
		results, err := c.Acknowledge(cmd.Context(), part, o.note)
		if err != nil {
			return explain(err)
		}
		for _, r := range results {
			if r.Problem != nil {
				failed++
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", r.Raw); err != nil {
				return err
			}
		}
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d alarms were not acknowledged", failed, len(ids))
	}
	return nil
}
