//go:build unix

package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// A machine has the released program and nothing else.
type machine struct {
	t        *testing.T
	root     string // its files, seen from here
	seen     string // what the program takes for the root
	isolated bool
}

// freshMachine unpacks the archive of this platform. For root it is a root of its
// own that holds nothing but the program, run as a user who is nobody; for
// everybody else an empty directory, which is said.
func freshMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, root: t.TempDir(), isolated: os.Getuid() == 0}
	archive := only(t, filepath.Join(released(t), "tocsin-v*"+runtime.GOOS+"-"+runtime.GOARCH+".tar.gz"))
	m.unpack(archive)
	if err := os.Mkdir(m.root+"/data", 0o755); err != nil {
		t.Fatal(err)
	}
	if !m.isolated {
		m.seen = m.root
		t.Log("only root can give the program a root of its own: this runs it in an empty directory")
	} else if err := os.Chown(m.root+"/data", nobody, nobody); err != nil {
		t.Fatal(err)
	}
	return m
}

const nobody = 65534

// unpack takes the program out of the archive, and sees what else is in it.
func (m *machine) unpack(archive string) {
	m.t.Helper()
	text, err := os.ReadFile(archive)
	if err != nil {
		m.t.Fatal(err)
	}
	in, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		m.t.Fatal(err)
	}
	sizes := map[string]int64{}
	for r := tar.NewReader(in); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			m.t.Fatal(err)
		}
		sizes[filepath.Base(h.Name)] = h.Size
		if filepath.Base(h.Name) != "tocsin" {
			continue
		}
		program, err := io.ReadAll(r)
		if err == nil {
			err = os.WriteFile(m.root+"/tocsin", program, os.FileMode(h.Mode))
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	for _, name := range []string{"tocsin", "README.md", "LICENSE", "LICENSES-OF-OTHERS.txt", "CHANGELOG.md", "tocsin.yml", "tocsin.service"} {
		if sizes[name] == 0 && (name != "tocsin.service" || runtime.GOOS == "linux") {
			m.t.Errorf("the archive has no %s", name)
		}
	}
}

// command is the program with these arguments, an empty environment and the
// directory data as its own.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, m.seen+"/tocsin", args...)
	cmd.Dir, cmd.Env = m.seen+"/data", []string{}
	if m.isolated {
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: m.root, Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	return cmd
}

// tocsin runs a command to its end.
func (m *machine) tocsin(args ...string) string {
	m.t.Helper()
	out, err := m.command(m.t.Context(), args...).CombinedOutput()
	if err != nil {
		m.t.Fatalf("tocsin %v: %v\n%s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

// begin runs a command that serves until the returned function is called; it
// waits for what the pattern finds in what the program says.
func (m *machine) begin(pattern string, args ...string) (found []string, end func()) {
	m.t.Helper()
	cmd := m.command(m.t.Context(), args...)
	out, in, err := os.Pipe()
	if err != nil {
		m.t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		m.t.Fatal(err)
	}
	_ = in.Close()
	said := make(chan []string, 1)
	go func() { // ends with the program
		wanted, told := regexp.MustCompile(pattern), false
		for lines := bufio.NewScanner(out); lines.Scan(); {
			m.t.Log(lines.Text())
			if f := wanted.FindStringSubmatch(lines.Text()); f != nil && !told {
				said <- f
				told = true
			}
		}
		close(said)
	}()
	var first []string
	select {
	case first = <-said:
	case <-time.After(patience):
	}
	if first == nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		m.t.Fatalf("tocsin %v does not say %s", args, pattern)
	}
	return first, func() {
		m.t.Helper()
		_ = cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			m.t.Errorf("tocsin %v ended with %v", args, err)
		}
		for range said { // until it has said everything
		}
		_ = out.Close()
	}
}

// get fetches a page, which must be there and say something.
func (m *machine) get(url, token string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		m.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		m.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || len(text) == 0 {
		m.t.Errorf("%s: %s, %d bytes, %v", url, resp.Status, len(text), err)
	}
	return string(text)
}

// asset is what a page has of its own server.
var asset = regexp.MustCompile(`(?:src|href)="([^":#?]*\.(?:js|css|svg))"`)

// pages loads what a browser would, with all that belongs to it.
func (m *machine) pages(base string, pages ...string) {
	m.t.Helper()
	for _, page := range pages {
		at, err := url.Parse(base + page)
		if err != nil {
			m.t.Fatal(err)
		}
		assets := asset.FindAllStringSubmatch(m.get(at.String(), ""), -1)
		if len(assets) < 2 {
			m.t.Errorf("%s names %d scripts and styles", page, len(assets))
		}
		for _, a := range assets {
			m.get(at.ResolveReference(&url.URL{Path: a[1]}).String(), "")
		}
	}
}

// Whoever has downloaded an archive needs nothing else: no file, no library, no
// variable, no user's name.
func TestTheReleasedProgramNeedsNothingElse(t *testing.T) {
	m := freshMachine(t)
	if got := m.tocsin("version"); !strings.Contains(got, "tocsin v") || strings.Contains(got, "unknown") || !strings.Contains(got, here) {
		t.Errorf("it calls itself %q", got)
	}
	said, end := m.begin(`(http://127\.0\.0\.1:[0-9]+)/#token=(\S+)`, "demo", "--http", "127.0.0.1:0")
	m.pages(said[1], "/", "/console", "/doctor")
	if got := m.get(said[1]+"/v1/alarms", said[2]); !strings.Contains(got, `"device":`) {
		t.Errorf("the demonstration shows nothing: %.300s", got)
	}
	end()

	m.tocsin("secret", "jwt.key")
	token := m.tocsin("token", "--jwt-hs256-file", "jwt.key", "--sub", "anna", "--groups", "*", "--scope", "inbox publish")
	said, end = m.begin(`"msg":"serving".*"http":"([^"]+)","ops":"([^"]+)"`, "serve", "--data", "log", "--jwt-hs256-file", "jwt.key",
		"--http", "127.0.0.1:0", "--ops", "127.0.0.1:0", "--drain", "0s", "--log-format", "json")
	base := "http://" + said[1]
	m.tocsin("publish", "--url", base, "--token", token, "--device", "d", "--type", "t", "--severity", "major")
	if got := m.get(base+"/v1/alarms", token); !strings.Contains(got, `"device":"d"`) {
		t.Errorf("what was published is not there: %s", got)
	}
	m.pages(base, "/", "/doctor")
	m.pages("http://"+said[2], "/console")
	end()
	// All that it has written lies where it was told.
	strangers, err := filepath.Glob(m.root + "/*")
	if err != nil || len(strangers) != 2 {
		t.Errorf("the machine has %v", strangers)
	}
}
