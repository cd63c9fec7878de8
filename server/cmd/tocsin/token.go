package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tocsin/server/auth"
)

type tokenOptions struct {
	secretFile string
	groups     []string
	issue      auth.Issue
}

func newToken() *cobra.Command {
	var o tokenOptions
	cmd := &cobra.Command{
		Use:     "token",
		Short:   "Make a token for a user, a device or a script",
		GroupID: groupTools,
		Long: `Signs a token with the secret that serve verifies with, and prints nothing
else. For development, scripts and small installations; users of an identity
provider get theirs from it (--jwt-jwks-url of serve).

Scopes: inbox (read one's own, the default), publish, admin.`,
		Example: `  tocsin token --jwt-hs256-file jwt.key --sub anna --groups fleet-7,depot
  export TOCSIN_TOKEN=$(tocsin token --jwt-hs256-file jwt.key --sub ops --scope "inbox publish admin" --ttl 24h)`,
		Args: nargs(0, 0, "no arguments"),
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&o.secretFile, "jwt-hs256-file", "", "`file` of the secret; else TOCSIN_JWT_HS256_FILE, else the secret in TOCSIN_JWT_HS256")
	f.StringVar(&o.issue.User, "sub", "", "who the token speaks for")
	f.StringSliceVar(&o.groups, "groups", nil, "groups, added to those of the directory")
	f.StringVar(&o.issue.Scope, "scope", "", `what it may do, such as "inbox publish admin" (default inbox)`)
	f.DurationVar(&o.issue.TTL, "ttl", time.Hour, "how long it lasts")
	f.StringVar(&o.issue.ID, "jti", "", "an `id`, by which it can be revoked")
	return cmd
}

func (o *tokenOptions) run(cmd *cobra.Command) error {
	if o.issue.User == "" {
		return usagef(cmd, "--sub: want the user")
	}
	for _, word := range strings.Fields(o.issue.Scope) {
		switch word {
		case auth.ScopeInbox, auth.ScopePublish, auth.ScopeAdmin:
		default:
			return usagef(cmd, "--scope: want inbox, publish or admin, not %q", word)
		}
	}
	secret, err := o.secret(cmd)
	if err != nil {
		return err
	}
	o.issue.Groups = o.groups
	token, err := auth.Sign(secret, o.issue, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token)
	return err
}

func (o *tokenOptions) secret(cmd *cobra.Command) ([]byte, error) {
	if o.secretFile == "" {
		o.secretFile = os.Getenv(setting{name: "jwt-hs256-file"}.env())
	}
	if o.secretFile == "" {
		if text := os.Getenv(setting{name: "jwt-hs256"}.env()); text != "" {
			return auth.Secret([]byte(text))
		}
		return nil, usagef(cmd, "--jwt-hs256-file: want the file of the secret")
	}
	secret, err := auth.ReadSecret(o.secretFile, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w\nmake one with 'tocsin secret %s'", err, o.secretFile)
	}
	return secret, err
}
