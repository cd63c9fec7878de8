package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// allPlatforms, when it is set, is for by hand: everything is built, and the
// second time without anything that the first has left in the cache of builds.
const allPlatforms = "TOCSIN_RELEASE"

// here is the platform that these tests run on.
const here = runtime.GOOS + "/" + runtime.GOARCH

// built is a release of this checkout, made once for all tests.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tocsin-release-test")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		built = dir
		return m.Run()
	}())
}

// platformsHere are those that are built in these tests.
func platformsHere() string {
	if os.Getenv(allPlatforms) != "" {
		return strings.Join(platforms, ",")
	}
	return here
}

// released is where the release of this checkout lies.
func released(t *testing.T) string {
	t.Helper()
	to := filepath.Join(built, "dist")
	if _, err := os.Stat(filepath.Join(to, sumsFile)); err != nil {
		release(t, ".", to)
	}
	return to
}

func release(t *testing.T, dir, to string) {
	t.Helper()
	if err := run(t.Context(), dir, []string{"-changed", "-platforms", platformsHere(), "-out", to}, io.Discard); err != nil {
		t.Fatal(err)
	}
}

// The same sources give the same archives, whatever the directory.
func TestTheSameCommitGivesTheSameFiles(t *testing.T) {
	first := released(t)
	clone := elsewhere(t)
	if os.Getenv(allPlatforms) != "" {
		t.Setenv("GOCACHE", t.TempDir())
	}
	second := t.TempDir()
	release(t, clone, second)
	entries, err := os.ReadDir(first)
	if err != nil {
		t.Fatal(err)
	}
	if want := 1 + len(strings.Split(platformsHere(), ",")); len(entries) != want {
		t.Errorf("the release has %d files, want %d", len(entries), want)
	}
	for _, e := range entries {
		if a, b := sumOf(t, filepath.Join(first, e.Name())), sumOf(t, filepath.Join(second, e.Name())); a != b {
			t.Errorf("%s has the sum %s, and %s when it is built elsewhere", e.Name(), a, b)
		}
	}
}

// elsewhere is a copy of this checkout, changes and all, in another directory.
func elsewhere(t *testing.T) string {
	t.Helper()
	root := git(t, ".", "rev-parse", "--show-toplevel")
	clone := filepath.Join(t.TempDir(), "another", "place")
	git(t, ".", "clone", "--quiet", "--shared", root, clone)
	for name := range strings.SplitSeq(strings.TrimSpace(git(t, root, "diff", "--name-only", "HEAD")+"\n"+git(t, root, "ls-files", "--others", "--exclude-standard")), "\n") {
		if name == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		to := filepath.Join(clone, name)
		switch {
		case errors.Is(err, os.ErrNotExist):
			err = os.Remove(to)
		case err == nil:
			err = errors.Join(os.MkdirAll(filepath.Dir(to), 0o755), os.WriteFile(to, text, 0o644))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return clone
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git %v: %v", args, err)
	}
	return strings.TrimSpace(string(out))
}

func sumOf(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", sha256.Sum256(text))
}

// The sums are those of the archives, in the form that sha256sum reads.
func TestTheSumsAreRight(t *testing.T) {
	dir := released(t)
	check := exec.CommandContext(t.Context(), "sha256sum", "--check", "--strict", sumsFile)
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	archive := only(t, filepath.Join(dir, "tocsin-v*"+runtime.GOOS+"-"+runtime.GOARCH+"*"))
	text, err := os.ReadFile(archive)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := errors.Join(os.WriteFile(archive, text, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := exec.CommandContext(t.Context(), "sh", "-c", "cd '"+dir+"' && sha256sum --check --strict --status "+sumsFile).Run(); err == nil {
		t.Error("an archive that was changed is not noticed")
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(archive, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// only is the one file of the pattern.
func only(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: %v, %v", pattern, found, err)
	}
	return found[0]
}

// Nothing of the machine is in an archive: neither its clock nor its users.
func TestArchivesSayNothingOfTheMachine(t *testing.T) {
	at := time.Date(2026, 11, 21, 17, 46, 57, 0, time.UTC)
	files := []file{{name: "a", text: []byte("text")}, {name: "program", text: []byte("binary"), program: true}}
	text, err := tarGz("name", files, at)
	if err != nil {
		t.Fatal(err)
	}
	in, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil || !in.ModTime.IsZero() || in.Name != "" {
		t.Fatalf("%+v, %v", in.Header, err)
	}
	archive := tar.NewReader(in)
	for i := range files {
		h, err := archive.Next()
		if err != nil || h.Name != "name/"+files[i].name || !h.ModTime.Equal(at) || h.Uid+h.Gid != 0 || h.Mode != files[i].mode() {
			t.Errorf("%+v, %v", h, err)
		}
	}
	if text, err = zipped("name", files, at); err != nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(text), int64(len(text)))
	if err != nil || len(z.File) != len(files) {
		t.Fatal(err)
	}
	for i, f := range z.File {
		if f.Name != "name/"+files[i].name || !f.Modified.Equal(at) || int64(f.Mode().Perm()) != files[i].mode() {
			t.Errorf("%+v", f.FileHeader)
		}
	}
}

// What is not committed is not released by mistake.
func TestWhatIsNotCommittedIsRefused(t *testing.T) {
	clone := elsewhere(t)
	if err := os.WriteFile(filepath.Join(clone, "README.md"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	err := run(t.Context(), clone, []string{"-platforms", here, "-out", t.TempDir()}, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "not committed") {
		t.Errorf("it is released: %v", err)
	}
	if err := run(t.Context(), clone, []string{"-platforms", "plan9/arm"}, io.Discard); err == nil {
		t.Error("a platform that is not tried is accepted")
	}
}

// The version is the commit's tag, and without one what Go calls the commit.
func TestTheVersionIsThatOfGit(t *testing.T) {
	dir := t.TempDir()
	env := []string{"-c", "user.name=t", "-c", "user.email=t@example.org"}
	git(t, dir, "init", "--quiet")
	git(t, dir, append(env, "commit", "--quiet", "--allow-empty", "--message", "first", "--date", "2026-11-21T10:00:00Z")...)
	s, err := newSource(t.Context(), dir, false)
	if err != nil || s.version != "v0.0.0-"+s.at.Format("20060102150405")+"-"+s.commit {
		t.Errorf("%+v, %v", s, err)
	}
	git(t, dir, "tag", "v1.9.0")
	git(t, dir, "tag", "v1.10.0")
	git(t, dir, "tag", "nonsense")
	if s, err = newSource(t.Context(), dir, false); err != nil || s.version != "v1.10.0" {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if s, err = newSource(t.Context(), dir, true); err != nil || s.version != "v1.10.0+changed" || !strings.HasSuffix(s.commit, "+") {
		t.Errorf("%+v, %v", s, err)
	}
}
