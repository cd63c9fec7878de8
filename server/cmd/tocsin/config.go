package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"tocsin/server/auth"
)

// sample is the manual of the settings; a test compares it with the table.
//
//go:embed tocsin.yml
var sample string

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Explain and check the configuration of serve",
		GroupID: groupServer,
		Args:    cobra.ArbitraryArgs,
		RunE:    wantCommand,
	}
	cmd.AddCommand(newConfigSample(), newConfigCheck())
	return cmd
}

func newConfigSample() *cobra.Command {
	return &cobra.Command{
		Use:     "sample",
		Short:   "Print a commented configuration file: every key, its default, its reason",
		Example: "  tocsin config sample > tocsin.yml",
		Args:    nargs(0, 0, "nothing else"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), sample)
			return err
		},
	}
}

func newConfigCheck() *cobra.Command {
	var flags configFlags
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Print the settings in force, where each comes from, or what is wrong",
		Long: `Reads flags, environment and file as serve would, starts nothing, and prints the
settings as a configuration file, the origin of each behind it. Secrets and
passwords are replaced by "` + redacted + `". Exit code 2 if serve would refuse.`,
		Example: "  tocsin config check --config tocsin.yml\n  TOCSIN_DEVICE_TIME=trust tocsin config check",
		Args:    nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := flags.load(os.Environ())
			if err == nil {
				err = conf.checkKeys(cmd.Context())
			}
			if err != nil {
				return &usageError{err: err}
			}
			for _, name := range conf.ignored {
				_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "tocsin: ignored: %s is no setting\n", name)
			}
			return conf.print(cmd.OutOrStdout())
		},
	}
	flags.register(cmd)
	return cmd
}

// checkKeys reads the keys that serve would read, so that a missing one shows
// before the start. It asks no URL.
func (c *configuration) checkKeys(ctx context.Context) error {
	o, err := authOptions(c.settings, nil)
	if err != nil || c.JWKSURL != "" {
		return err
	}
	_, err = auth.New(ctx, o)
	return err
}

// print writes the settings so that they could be read back as a file.
func (c *configuration) print(w io.Writer) error {
	var b strings.Builder
	for _, s := range c.table() {
		where := "default"
		if o, found := c.origins[s.name]; found {
			where = o.where
		}
		if s.secret {
			if s.value.String() != "" {
				fmt.Fprintf(&b, "# %s: %s\t# %s\n", s.name, s.shown(), where)
			}
			continue
		}
		fmt.Fprintf(&b, "%-38s # %s\n", s.name+": "+yamlText(s), where)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// yamlText is the setting's value as YAML.
func yamlText(s setting) string {
	text := s.shown()
	switch s.value.(type) {
	case listValue, spansValue:
		if text == "" {
			return "[]"
		}
		items := strings.Split(text, ",")
		for i := range items {
			items[i] = strconv.Quote(items[i])
		}
		return "[" + strings.Join(items, ", ") + "]"
	case textValue, urlValue, addressValue, nodeName:
		return strconv.Quote(text)
	}
	return text
}
