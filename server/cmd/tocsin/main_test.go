package main

import (
	"bytes"
	"strings"
	"testing"
)

// A called is what one call of the program left behind.
type called struct {
	code     int
	out, err string
}

// call runs the program with this standard input.
func call(t *testing.T, stdin string, args ...string) called {
	t.Helper()
	var out, err bytes.Buffer
	code := run(t.Context(), args, strings.NewReader(stdin), &out, &err)
	return called{code, out.String(), err.String()}
}

func (c called) ok(t *testing.T) {
	t.Helper()
	if c.code != 0 {
		t.Fatalf("exit code %d: %s", c.code, c.err)
	}
}

func TestEveryCommandHelpsWithAnExample(t *testing.T) {
	for _, name := range []string{"serve", "config sample", "config check", "publish", "tail", "replay", "import", "token", "secret"} {
		got := call(t, "", append(strings.Fields(name), "--help")...)
		got.ok(t)
		if !strings.Contains(got.out, "Examples:\n  ") {
			t.Errorf("%s has no example:\n%s", name, got.out)
		}
	}
}

func TestAnUnknownCommandIsAUsageErrorWithAHint(t *testing.T) {
	got := call(t, "", "publsh")
	if got.code != exitUsage || !strings.Contains(got.err, "did you mean publish?") {
		t.Errorf("exit code %d: %s", got.code, got.err)
	}
	if got = call(t, ""); got.code != exitUsage || !strings.Contains(got.out, "Usage:") {
		t.Errorf("without a command: exit code %d: %s", got.code, got.out)
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	version, commit = "v9", "abc"
	t.Cleanup(func() { version, commit = "", "" })
	if got := call(t, "", "version"); got.code != 0 || !strings.HasPrefix(got.out, "tocsin v9 (abc, go") {
		t.Errorf("%d %q", got.code, got.out)
	}
}
