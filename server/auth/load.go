package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
)

// ReadSecret reads the secret of HS256 from a file. One newline at its end, which
// editors put there, is not part of it. A file that others than its owner may
// read is used with a warning: orchestrators mount secrets that way.
func ReadSecret(path string, log *slog.Logger) ([]byte, error) {
	data, mode, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the secret: %w", err)
	}
	if mode.Perm()&0o077 != 0 && log != nil {
		log.Warn("others than its owner may use the file of the secret", "file", path, "mode", mode.Perm().String())
	}
	secret, err := Secret(data)
	if err != nil {
		return nil, fmt.Errorf("read the secret from %s: %w", path, err)
	}
	return secret, nil
}

// Secret is ReadSecret for a value that stood elsewhere, such as the environment.
func Secret(value []byte) ([]byte, error) {
	if cut, ok := bytes.CutSuffix(value, []byte("\n")); ok {
		value = bytes.TrimSuffix(cut, []byte("\r"))
	}
	if err := checkSecret(value); err != nil {
		return nil, err
	}
	return bytes.Clone(value), nil
}

// ReadPEM reads Options.PEM from a file and checks it, so that an error names
// the file.
func ReadPEM(path string) ([]byte, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read public keys: %w", err)
	}
	if _, err := parsePEM(data); err != nil {
		return nil, fmt.Errorf("read public keys from %s: %w", path, err)
	}
	return data, nil
}

// ReadJWKS reads Options.JWKS from a file. New says what is wrong with it.
func ReadJWKS(path string) ([]byte, error) {
	data, _, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("read a JWKS document: %w", err)
	}
	return data, nil
}

// readFile reads a whole file, up to the size of a document of keys: a path that
// leads to a device would else never end.
func readFile(path string) (data []byte, mode os.FileMode, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	if data, err = io.ReadAll(io.LimitReader(f, maxDocument+1)); err != nil {
		return nil, 0, err
	}
	if len(data) > maxDocument {
		return nil, 0, errors.New(path + " is larger than 1 MiB")
	}
	return data, info.Mode(), nil
}
