package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// platforms are those that are built for.
var platforms = []string{"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64", "windows/amd64"}

// sumsFile has the SHA-256 of every archive, for `sha256sum --check`.
const sumsFile = "SHA256SUMS"

// release builds for the platforms and writes the archives and their sums.
func (s *source) release(ctx context.Context, wanted []string, to string, out io.Writer) error {
	if err := emptied(to); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "tocsin-release")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	var sums strings.Builder
	for _, p := range slices.Sorted(slices.Values(wanted)) {
		system, _, _ := strings.Cut(p, "/")
		program := filepath.Join(work, strings.ReplaceAll(p, "/", "-"))
		if err := s.build(ctx, p, program); err != nil {
			return err
		}
		files, err := s.files(system, program)
		if err != nil {
			return err
		}
		name := "tocsin-" + s.version + "-" + strings.ReplaceAll(p, "/", "-")
		pack, suffix := tarGz, ".tar.gz"
		if system == "windows" {
			pack, suffix = zipped, ".zip"
		}
		archive, err := pack(name, files, s.at)
		if err != nil {
			return fmt.Errorf("pack %s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(to, name+suffix), archive, 0o644); err != nil {
			return err
		}
		line := fmt.Sprintf("%x  %s\n", sha256.Sum256(archive), name+suffix)
		sums.WriteString(line)
		if _, err := fmt.Fprintf(out, "%9d bytes  %s", len(archive), line); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(to, sumsFile), []byte(sums.String()), 0o644)
}

// emptied makes the directory, and takes an earlier release out of it, and nothing
// else.
func emptied(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "tocsin-v*"))
	if err != nil {
		return err
	}
	for _, path := range append(old, filepath.Join(dir, sumsFile)) {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}

// build compiles the program: static, and without a trace of this machine. What
// the environment or the user's settings of Go could change is set here.
func (s *source) build(ctx context.Context, platform, to string) error {
	system, machine, _ := strings.Cut(platform, "/")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags",
		"-s -w -X main.version="+s.version+" -X main.commit="+s.commit, "-o", to, "./server/cmd/tocsin")
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+machine, "CGO_ENABLED=0",
		"GOFLAGS=-buildvcs=false", "GOWORK=off", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build for %s: %w\n%s", platform, err, text)
	}
	return nil
}

// files are what an archive has, by name.
func (s *source) files(system, program string) ([]file, error) {
	name := "tocsin"
	if system == "windows" {
		name += ".exe"
	}
	from := []struct{ name, path string }{
		{name, program},
		{"README.md", filepath.Join(s.dir, "README.md")},
		{"CHANGELOG.md", filepath.Join(s.dir, "CHANGELOG.md")},
		{"LICENSE", filepath.Join(s.dir, "LICENSE")},
		{"tocsin.yml", filepath.Join(s.dir, "server", "cmd", "tocsin", "tocsin.yml")},
	}
	if system == "linux" {
		from = append(from, struct{ name, path string }{"tocsin.service", filepath.Join(s.dir, "docker", "tocsin.service")})
	}
	files := []file{{name: "LICENSES-OF-OTHERS.txt", text: s.texts}}
	for _, f := range from {
		text, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		files = append(files, file{name: f.name, text: text, program: f.path == program})
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.name, b.name) })
	return files, nil
}
