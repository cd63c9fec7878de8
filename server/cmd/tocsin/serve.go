package main

import (
	"errors"

	"github.com/spf13/cobra"
)

func newServe() *cobra.Command {
	return &cobra.Command{Use: "serve", GroupID: groupServer, RunE: func(*cobra.Command, []string) error { return errors.New("later") }}
}
