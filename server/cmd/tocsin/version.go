package main

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version and commit can be set at the build: -ldflags "-X main.version=v1.2.3
// -X main.commit=abc". Else the build's own information is used.
var version, commit string

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print what this binary was built from",
		GroupID: groupTools,
		Args:    nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			v, c := built()
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "tocsin %s (%s, %s, %s/%s)\n", v, c, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}

// built is the version of the module and the commit, with a + if files were
// changed since.
func built() (v, c string) {
	v, c = version, commit
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return cmp.Or(v, "unknown"), cmp.Or(c, "unknown")
	}
	if v == "" && info.Main.Version != "(devel)" {
		v = info.Main.Version
	}
	if c == "" {
		dirty := ""
		for _, s := range info.Settings {
			switch {
			case s.Key == "vcs.revision":
				c = s.Value[:min(len(s.Value), 12)]
			case s.Key == "vcs.modified" && s.Value == "true":
				dirty = "+"
			}
		}
		if c != "" {
			c += dirty
		}
	}
	return cmp.Or(v, "development"), cmp.Or(c, "unknown commit")
}
