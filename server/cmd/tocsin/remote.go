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
	envToken   = "TOCSIN_TOKEN"
	defaultURL = "http://127.0.0.1:8080"
)

// A remote is the server that a client command speaks to.
type remote struct{ url, token string }

func (r *remote) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&r.url, "url", "", "the server's `address`; else "+envURL+", else "+defaultURL)
	cmd.Flags().StringVar(&r.token, "token", "", "`token` to show; else "+envToken+" (a command line is public)")
}

func (r *remote) connect(cmd *cobra.Command) (*client.Client, error) {
	c, err := client.New(cmp.Or(r.url, os.Getenv(envURL), defaultURL), strings.TrimSpace(cmp.Or(r.token, os.Getenv(envToken))))
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
