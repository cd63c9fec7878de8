package main

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

// secretBytes of chance: what HS256 can use.
const secretBytes = 32

func newSecret() *cobra.Command {
	return &cobra.Command{
		Use:     "secret FILE",
		Short:   "Make a new secret for HS256",
		GroupID: groupTools,
		Long: `Writes a new random secret to FILE, readable by its owner only, for
--jwt-hs256-file of serve and token. A file that exists is never overwritten:
every token signed with its secret would end.`,
		Example: "  tocsin secret jwt.key",
		Args:    nargs(1, 1, "one file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			secret := make([]byte, secretBytes)
			rand.Read(secret) // never fails
			return createSecret(args[0], base64.RawURLEncoding.EncodeToString(secret)+"\n")
		},
	}
}

func createSecret(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists and is left as it is; remove it yourself if no token of it matters any more", path)
	}
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		_ = os.Remove(path)
	}
	return err
}
