package auth

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func file(t *testing.T, content []byte, mode os.FileMode) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil { // the umask would have its say in WriteFile
		t.Fatal(err)
	}
	return path
}

func TestASecretLosesOneNewline(t *testing.T) {
	for ending, keeps := range map[string]string{"": "", "\n": "", "\r\n": "", "\n\n": "\n", " \n": " ", "\r": "\r"} {
		content := append(bytes.Clone(secret), ending...)
		want := string(secret) + keeps
		got, err := ReadSecret(file(t, content, 0o600), nil)
		if err != nil || string(got) != want {
			t.Errorf("%q in a file: %q, %v", ending, got, err)
		}
		if got, err = Secret(content); err != nil || string(got) != want {
			t.Errorf("%q in a value: %q, %v", ending, got, err)
		}
	}
}

func TestASecretThatOthersMayReadIsUsedWithAWarning(t *testing.T) {
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true} {
		var out strings.Builder
		if _, err := ReadSecret(file(t, secret, mode), slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		if got := strings.Contains(out.String(), "level=WARN"); got != warned || strings.Contains(out.String(), string(secret)) {
			t.Errorf("%o: logged %q", mode, out.String())
		}
	}
}

func TestFilesThatHoldNoKey(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	large := file(t, make([]byte, maxDocument+1), 0o600)
	_, err := ReadSecret(missing, nil)
	reason(t, err, missing)
	short := file(t, []byte("short\n"), 0o600)
	_, err = ReadSecret(short, nil)
	reason(t, err, short)
	reason(t, err, "5 bytes: want at least 32")
	_, err = ReadSecret(large, nil)
	reason(t, err, "larger than 1 MiB")
	_, err = ReadPEM(missing)
	reason(t, err, missing)
	_, err = ReadPEM(short)
	reason(t, err, short)
	_, err = ReadJWKS(missing)
	reason(t, err, missing)
	_, err = ReadSecret(t.TempDir(), nil)
	reason(t, err, "read the secret")
}

func TestKeysFromFilesVerify(t *testing.T) {
	k := ring()
	doc, err := ReadPEM(file(t, pemOf(t, k.rsa), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	set, err := ReadJWKS(file(t, jwks(jwkOf(t, "d", k.ed)), 0o644))
	if err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, Options{PEM: doc, JWKS: set})
	for alg, kid := range map[string]string{rs256: "", edDSA: "d"} {
		if _, err := v.Verify(t.Context(), tokenOf(t, alg, kid)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}
