package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// The settings of whoever runs the tests are not those of the tests. TOCSIN_DATA
// says where recorded streams are.
func TestMain(m *testing.M) {
	for name := range ourVariables(os.Environ()) {
		if name != "TOCSIN_DATA" {
			_ = os.Unsetenv(name)
		}
	}
	os.Exit(m.Run())
}

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
	for _, name := range []string{"serve", "config sample", "config check", "health", "publish", "tail", "replay", "import", "token", "secret"} {
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

func TestTheShellCompletesWordsThatAreChosenFrom(t *testing.T) {
	for want, args := range map[string][]string{
		"clamp\ntrust\n":            {"serve", "--device-time", ""},
		"ws\nsse\nlongpoll\npoll\n": {"tail", "--via", ""},
		"sample\t":                  {"config", "sa"},
	} {
		if got := call(t, "", append([]string{"__complete"}, args...)...); got.code != 0 || !strings.HasPrefix(got.out, want) {
			t.Errorf("%v: %q", args, got.out)
		}
	}
}

func TestVersionNamesTheBuild(t *testing.T) {
	version, commit = "v9", "abc"
	t.Cleanup(func() { version, commit = "", "" })
	if got := call(t, "", "version"); got.code != 0 || !strings.HasPrefix(got.out, "tocsin v9 (abc, go") {
		t.Errorf("%d %q", got.code, got.out)
	}
}
