package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tocsin/server/auth"
)

func TestATokenIsWhatTheServersVerifierAccepts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwt.key")
	call(t, "", "secret", file).ok(t)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the secret's file: %v %v", info.Mode(), err)
	}
	got := call(t, "", "token", "--jwt-hs256-file", file, "--sub", "anna", "--groups", "b,a", "--scope", "inbox publish", "--ttl", "90s", "--jti", "j1")
	got.ok(t)
	secret, err := auth.ReadSecret(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	v, err := auth.New(t.Context(), auth.Options{HS256: secret})
	if err != nil {
		t.Fatal(err)
	}
	id, err := v.Verify(t.Context(), strings.TrimSuffix(got.out, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	if id.User != "anna" || strings.Join(id.Groups, ",") != "a,b" || id.Scopes.String() != "inbox publish" || id.TokenID != "j1" {
		t.Errorf("the token says %+v", id)
	}
	t.Setenv("TOCSIN_JWT_HS256", string(secret))
	again := call(t, "", "token", "--sub", "anna")
	again.ok(t)
	if _, err := v.Verify(t.Context(), strings.TrimSpace(again.out)); err != nil {
		t.Errorf("with the secret of the environment: %v", err)
	}
}

func TestASecretIsNeverOverwritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "jwt.key")
	call(t, "", "secret", file).ok(t)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := call(t, "", "secret", file)
	after, _ := os.ReadFile(file)
	if got.code != exitFailed || !strings.Contains(got.err, "exists") || string(before) != string(after) {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
}

func TestATokenThatCannotBeMadeSaysWhy(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	short := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(short, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "make one with 'tocsin secret " + none, []string{"--sub", "a", "--jwt-hs256-file", none}},
		{exitFailed, "want at least 32", []string{"--sub", "a", "--jwt-hs256-file", short}},
		{exitUsage, "--sub", []string{"--jwt-hs256-file", none}},
		{exitUsage, `not "root"`, []string{"--sub", "a", "--scope", "root"}},
		{exitUsage, "want the file of the secret", []string{"--sub", "a"}},
	} {
		got := call(t, "", append([]string{"token"}, c.args...)...)
		if got.code != c.code || !strings.Contains(got.err, c.want) || got.out != "" {
			t.Errorf("%v: exit code %d, %q; want %d, %q", c.args, got.code, got.err, c.code, c.want)
		}
	}
}
