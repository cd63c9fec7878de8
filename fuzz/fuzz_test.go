package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// broken is a module with a target that breaks, one that does not, and something
// that only looks like one.
const broken = `package broken

import "testing"

func FuzzBreaks(f *testing.F) {
	f.Add("seed")
	f.Fuzz(func(t *testing.T, s string) {
		if s == "seed" {
			t.Error("the seed breaks it")
		}
	})
}

func FuzzHolds(f *testing.F) {
	f.Fuzz(func(t *testing.T, s string) {})
}

func Fuzzed(f *testing.F) {}
`

func module(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module broken\n\ngo 1.26\n", "broken_test.go": broken} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// A target that breaks is told of, and holds up no other.
func TestWhatBreaksIsTold(t *testing.T) {
	var out bytes.Buffer
	err := run(t.Context(), module(t), []string{"-time", "200ms"}, &out)
	if err == nil || !strings.Contains(err.Error(), "the seed breaks it") {
		t.Errorf("it does not say what breaks: %v", err)
	}
	for _, want := range []string{`FAIL .*broken FuzzBreaks`, `ok .* [1-9]\d* inputs +broken FuzzHolds`} {
		if !regexp.MustCompile(want).Match(out.Bytes()) {
			t.Errorf("want %s in\n%s", want, &out)
		}
	}
	if strings.Contains(out.String(), "Fuzzed") {
		t.Errorf("that is no target:\n%s", &out)
	}
	if err := run(t.Context(), module(t), []string{"-run", "Nobody"}, &out); err == nil {
		t.Error("a name that no target has is accepted")
	}
}

// Every target of ours begins with inputs that reach what it is about.
func TestEveryTargetHasSeeds(t *testing.T) {
	packages, err := find(t.Context(), "..", regexp.MustCompile(""))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, p := range packages {
		n += len(p.targets)
		for _, name := range p.unseeded {
			t.Errorf("%s %s begins with nothing", p.path, name)
		}
	}
	if n < 40 {
		t.Errorf("only %d targets are found", n)
	}
}
