// Package docker holds no code, only the test that what is deployed fits the program:
// that manifests name settings, ports and paths that there are, that queries ask for
// metrics that are served, that rules fire, and that the image works.
package docker

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait of these tests.
const patience = 60 * time.Second

// The program under test, and a secret.
var binary, secret string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "tocsin-docker")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		binary, secret = filepath.Join(dir, "tocsin"), filepath.Join(dir, "secret")
		for _, command := range [][]string{{"go", "build", "-o", binary, "tocsin/server/cmd/tocsin"}, {binary, "secret", secret}} {
			if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
				fmt.Fprintf(os.Stderr, "%v: %v\n%s", command, err, out)
				return 1
			}
		}
		return m.Run()
	}())
}

// run runs a program that must succeed, with this input, and returns what it prints.
func run(t *testing.T, stdin, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Fatalf("%s is needed, .ci/setup installs it: %v", name, err)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// A node is a running gateway. http and ops are there once it serves.
type node struct {
	t              *testing.T
	http, ops      string
	serving, ended chan struct{}
	said           strings.Builder // to be read once it has ended
}

// start serves with these flags until the test ends.
func start(t *testing.T, flags ...string) *node {
	t.Helper()
	n := launch(t, flags...)
	n.await()
	if t.Failed() {
		t.FailNow()
	}
	return n
}

// await returns when the gateway serves; the test has failed when it does not.
func (n *node) await() {
	n.t.Helper()
	select {
	case <-n.serving:
	case <-n.ended:
		n.t.Errorf("the gateway ended:\n%s", &n.said)
	case <-time.After(patience):
		n.t.Error("the gateway did not come up")
	}
}

// launch is start for who does not wait.
func launch(t *testing.T, flags ...string) *node {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"serve", "--data", t.TempDir(), "--http", "127.0.0.1:0", "--ops", "127.0.0.1:0",
		"--jwt-hs256-file", secret, "--drain", "0s", "--log-format", "json", "--admin", "public"}, flags...)...)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, serving: make(chan struct{}), ended: make(chan struct{})}
	go func() { // ends with the process
		defer close(n.ended)
		for in := bufio.NewScanner(out); in.Scan(); {
			n.said.WriteString(in.Text() + "\n")
			var line struct{ Msg, HTTP, Ops string }
			if json.Unmarshal(in.Bytes(), &line) == nil && line.Msg == "serving" {
				n.http, n.ops = "http://"+line.HTTP, "http://"+line.Ops
				close(n.serving)
			}
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-n.ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Error("the gateway did not end")
		}
	})
	return n
}

// do is what a request answers.
func (n *node) do(method, url, body string) string {
	n.t.Helper()
	r, err := http.NewRequestWithContext(n.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	token := strings.TrimSpace(run(n.t, "", binary, "token", "--jwt-hs256-file", secret, "--sub", "anna", "--groups", "g", "--scope", "inbox publish admin"))
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	resp, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return string(text)
}

// read is the text of a file of this folder.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
