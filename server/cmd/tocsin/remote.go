package main

import (
	"cmp"
	"errors"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"tocsin/server/client"
)

// What every client command needs to know, and its variables.
const (
	envURL     = "TOCSIN_URL"
	envAdmin   = "TOCSIN_ADMIN_URL"
	envToken   = "TOCSIN_TOKEN"
	defaultURL = "http://127.0.0.1:8080"
	// adminURL is where administration is served unless that is configured otherwise.
	adminURL = "http://127.0.0.1:8081"
)

// A remote is the server that a client command speaks to.
type remote struct {
	url, token string
	admin      bool // the command administers
}

// registerAdmin is register for commands that administer.
func (r *remote) registerAdmin(cmd *cobra.Command) {
	r.admin = true
	cmd.Flags().StringVar(&r.url, "url", "", "the server's `address` of administration; else "+envAdmin+", else "+envURL+", else "+adminURL)
	r.registerToken(cmd)
}

func (r *remote) registerToken(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.token, "token", "", "`token` to show; else "+envToken+" (a command line is public)")
}

func (r *remote) address() string {
	if r.admin {
		return cmp.Or(r.url, os.Getenv(envAdmin), os.Getenv(envURL), adminURL)
	}
	return cmp.Or(r.url, os.Getenv(envURL), defaultURL)
}

func (r *remote) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.url, "url", "", "the server's `address`; else "+envURL+", else "+defaultURL)
	r.registerToken(cmd)
}

func (r *remote) connect(cmd *cobra.Command) (*client.Client, error) {
	c, err := client.New(r.address(), strings.TrimSpace(cmp.Or(r.token, os.Getenv(envToken))))
	if err != nil {
		return nil, usagef(cmd, "%w", err)
	}
	return c, nil
}

// explain adds to an error of a server what a person can do about it.
func explain(err error) error {
	var p *client.Problem
	if errors.As(err, &p) && p.Status == 401 {
		return errors.New(err.Error() + "\ngive a valid token with --token or " + envToken + "; 'tocsin token' makes one")
	}
	return err
}

// explainAdmin is explain for commands that administer.
func explainAdmin(err error) error {
	var p *client.Problem
	if errors.As(err, &p) && p.Status == 404 {
		return errors.New(err.Error() + "\nadministration may be served elsewhere (setting admin): give its address with --url or " + envAdmin)
	}
	return explain(err)
}
