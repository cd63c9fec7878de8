package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/alarm"
	"tocsin/server/auth"
	"tocsin/server/internal/samples"
)

// demoHead is how many alarms a new demonstration begins with, so that there is
// something to see at once.
const demoHead = 14

// demoTokenTTL is how long the printed tokens are good for.
const demoTokenTTL = 24 * time.Hour

type demoOptions struct {
	dir, http string
	verbose   bool
}

func newDemo() *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:     "demo",
		Short:   "Run the gateway with sample alarms, and print where to look",
		GroupID: groupServer,
		Long: `Runs the gateway with an embedded log, a secret of its own, three users and a
trickle of made-up alarms, and prints an address to open. Everything is kept in
one directory; a demonstration that is started again goes on where it was.`,
		Example: "  tocsin demo\n  tocsin demo --http 127.0.0.1:9090",
		Args:    nargs(0, 0, "no arguments"),
		RunE:    func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	d := defaults()
	cmd.Flags().StringVar(&o.dir, "data", filepath.Join("data", "demo"), "`dir` of the log and the secret; it is made when missing")
	cmd.Flags().StringVar(&o.http, "http", d.HTTP, "`address` to listen on")
	cmd.Flags().BoolVar(&o.verbose, "verbose", false, "log every request")
	_ = cmd.MarkFlagDirname("data")
	return cmd
}

func (o *demoOptions) run(cmd *cobra.Command) error {
	conf := defaults()
	conf.HTTP, conf.Ops, conf.Admin = o.http, "", adminPublic
	conf.Data = filepath.Join(o.dir, "log")
	conf.SecretFile = filepath.Join(o.dir, "jwt.key")
	conf.PublishFrom = []string{"127.0.0.0/8", "::1/128"}
	conf.Drain = 0 // nobody waits for a demonstration to end
	if conf.LogLevel = "warn"; o.verbose {
		conf.LogLevel = "info"
	}
	if err := os.MkdirAll(o.dir, 0o750); err != nil {
		return err
	}
	if _, err := os.Stat(conf.SecretFile); os.IsNotExist(err) {
		if err := createSecret(conf.SecretFile, newSecretText()); err != nil {
			return err
		}
	}
	logger := newLogger(conf, cmd.ErrOrStderr())
	secret, err := auth.ReadSecret(conf.SecretFile, logger)
	if err != nil {
		return err
	}
	n := newNode(conf, logger)
	n.serving = func(address string) {
		n.background.Go(func() { // ends with running
			if err := n.play(n.running, func() error { return welcome(cmd.OutOrStdout(), address, secret) }); err != nil && n.running.Err() == nil {
				logger.Error("the demonstration has stopped", "error", err)
			}
		})
	}
	return n.serve(cmd.Context())
}

// play fills the directory, calls ready, and publishes sample alarms until the
// context ends. Whoever is let in by ready finds his groups: joining them while
// he reads would be a gap to him.
func (n *node) play(ctx context.Context, ready func() error) error {
	fresh := len(n.directory.User("demo")) == 0
	if _, err := n.directory.Import(ctx, strings.NewReader(samples.Directory())); err != nil {
		return err
	}
	n.view.CatchUp(ctx)
	if err := ready(); err != nil {
		return fmt.Errorf("print where to look: %w", err)
	}
	source := samples.New(uint64(time.Now().UnixNano()))
	for i := 0; ; i++ {
		s := source.Next()
		if !(fresh && i < demoHead) && until(ctx, time.Now().Add(s.After)) != nil {
			return ctx.Err()
		}
		if r := n.alarms.Publish(ctx, "demo", []alarm.Event{s.Event}); r[0].Err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			n.logger.Warn("a sample alarm was not stored", "device", s.Event.Device, "error", r[0].Err)
		}
	}
}

// welcome prints where to look and how to get in.
func welcome(w io.Writer, address string, secret []byte) error {
	sign := func(user, scope string) (string, error) {
		return auth.Sign(secret, auth.Issue{User: user, Scope: scope, TTL: demoTokenTTL}, time.Now())
	}
	demo, err := sign("demo", "inbox publish admin")
	if err != nil {
		return err
	}
	fleet, err := sign("fleet-7", "inbox")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, `
Tocsin shows you made-up alarms of a small fleet, a wind park, a mobile network
and a room of servers. Open one of these:

  all alarms, live; from there to the console and the transport doctor
    http://%[1]s/#token=%[2]s

  what the dispatcher of fleet-7 sees
    http://%[1]s/#token=%[3]s

  the same without JavaScript: http://%[1]s/inbox
  (log in with a token from above, all that follows "token=")

On the command line:

  export TOCSIN_URL=http://%[1]s TOCSIN_TOKEN=%[2]s
  tocsin tail --snapshot active
  tocsin publish --device 350000000000006 --type overspeed --severity critical --message "131 km/h"

The tokens are good for %[4]s. Ctrl-C ends it; started again, it goes on.
`, address, demo, fleet, demoTokenTTL)
	return err
}
