package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func newHealth() *cobra.Command {
	var flags configFlags
	var alive bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:     "health",
		Short:   "Ask the gateway on this machine whether it is well",
		GroupID: groupServer,
		Long: `Asks the gateway that runs with the same settings, at its address of operation
(--ops), whether it wants clients, or with --alive only whether it lives. It is for
health checks where there is no other program, such as in a container. Exit code 0 if
so, 1 if not.`,
		Example: "  tocsin health\n  tocsin health --alive --ops :8081",
		Args:    nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := flags.read(os.Environ())
			if err == nil && conf.Ops == "" {
				err = errors.New("ops: the gateway has no address of operation that could be asked")
			}
			if err != nil {
				return &usageError{command: cmd.CommandPath(), err: err}
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			path := "/readyz"
			if alive {
				path = "/healthz"
			}
			return ask(ctx, "http://"+nearby(conf.Ops)+path, cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&alive, "alive", false, "ask only whether it lives")
	cmd.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long it may take to answer")
	flags.register(cmd)
	return cmd
}

// nearby is where somebody on this machine reaches a listener.
func nearby(address string) string {
	host, port, _ := net.SplitHostPort(address)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return net.JoinHostPort(host, port)
}

// ask prints what a check answers; an error says that it is not well.
func ask(ctx context.Context, url string, to io.Writer) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// No proxy of the environment: it is this machine that is asked.
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil {
		return fmt.Errorf("ask the gateway: %w", err)
	}
	said := cmp.Or(strings.TrimSpace(string(text)), resp.Status)
	if resp.StatusCode != http.StatusOK {
		return errors.New("not well: " + said)
	}
	_, err = fmt.Fprintln(to, said)
	return err
}
