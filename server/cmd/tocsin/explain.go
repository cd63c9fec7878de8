package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

func newExplain() *cobra.Command {
	var o remote
	var alarm, device, user string
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "explain",
		Short:   "Say why a user got an alarm, or did not",
		GroupID: groupClient,
		Long: `Asks the server what an alarm met on its way to a user, or what the alarms of a
device would, step by step: device, route, groups, sessions, delivery. The last line
is the answer in one word. Needs the scope admin, but for one's own alarms.`,
		Example: `  tocsin explain --alarm 860000000000017.overspeed._.1.mi8q3g00 --user anna
  tocsin explain --device 860000000000017 --user anna --json`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if user == "" || (alarm == "") == (device == "") {
				return usagef(cmd, "want --user, and either --alarm or --device")
			}
			c, err := o.connect(cmd)
			if err != nil {
				return err
			}
			defer c.Close()
			e, err := c.Explain(cmd.Context(), alarm, device, user)
			if err != nil {
				return explainAdmin(err)
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
			}
			return printExplanation(cmd.OutOrStdout(), &e)
		},
	}
	o.registerAdmin(cmd)
	cmd.Flags().StringVar(&alarm, "alarm", "", "the alarm's `id`")
	cmd.Flags().StringVar(&device, "device", "", "the device's `name`")
	cmd.Flags().StringVar(&user, "user", "", "the user's `name`")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print what the server answers, for programs")
	return cmd
}

func printExplanation(w io.Writer, e *client.Explanation) error {
	for _, s := range e.Steps {
		mark := "yes"
		if !s.OK {
			mark = "NO "
		}
		if _, err := fmt.Fprintf(w, "%s  %-12s  %s\n", mark, s.What, s.Says); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%s\n", e.Verdict)
	return err
}
